use super::*;
use crate::{export::snapshot::Voice, view::top::flow::Call};

fn flow(name: &str, packets: u64, lost: u64) -> Call {
    voice(name, packets, lost).into()
}

fn voice(name: &str, packets: u64, lost: u64) -> Voice {
    let expected = packets + lost;
    Voice {
        src: name.to_owned(),
        dst: "z".to_owned(),
        packets,
        expected,
        lost,
        loss_ratio: lost as f64 / expected as f64,
        codec: Some("pcma".to_owned()),
        ..Voice::default()
    }
}

fn list(flows: &[(&str, u64, u64)]) -> List<Call> {
    let mut list = List::new();
    list.observe(
        flows.iter().map(|(name, packets, lost)| flow(name, *packets, *lost)).collect(),
        None,
    );
    list
}

fn names(list: &mut List<Call>, height: usize) -> String {
    let (rows, cursor) = list.visible(height);
    let name = |(place, row): (usize, &&Row<Call>)| {
        format!("{}{}", if cursor == Some(place) { ">" } else { "" }, row.subject.flow.src)
    };
    rows.iter().enumerate().map(name).collect::<Vec<_>>().join(" ")
}

#[test]
fn rates_are_differences_by_the_time_between() {
    let mut list = list(&[("a", 100, 0), ("b", 10, 0)]);
    assert!(list.rows().iter().all(|row| row.rate.is_none()));
    list.observe(vec![flow("c", 5, 0), flow("a", 190, 10)], Some(2.0));
    let [new, old, gone] = list.rows() else { panic!("two rows, and one that was") };
    assert_eq!((gone.subject.flow.src.as_str(), gone.gone, gone.rate), ("b", Some(2.0), None));
    assert_eq!(list.present(), 2);
    assert!(new.rate.is_none() && new.history.is_empty());
    let rate = old.rate.unwrap();
    assert_eq!((rate.packets, rate.expected, rate.lost), (45.0, 50.0, 5.0));
    assert_eq!(rate.loss_ratio(), Some(0.1));
    assert_eq!(old.history.len(), 1);
}

#[test]
fn a_counter_that_went_back_has_no_rate() {
    let mut list = list(&[("a", 100, 0)]);
    list.observe(vec![flow("a", 50, 0)], Some(1.0));
    assert!(list.rows()[0].rate.is_none());
    // Two looks at the same moment tell nothing either.
    list.observe(vec![flow("a", 60, 0)], Some(0.0));
    assert!(list.rows()[0].rate.is_none());
}

#[test]
fn the_other_direction_and_another_ssrc_are_other_flows() {
    let with = |ssrc, direction: &str, packets| {
        let direction = Some(direction.to_owned());
        Call::from(Voice { ssrc, direction, ..voice("a", packets, 0) })
    };
    let mut list = List::new();
    let three = |packets| {
        vec![
            with(1, "receive", packets),
            with(1, "transmit", packets * 2),
            with(2, "receive", packets * 3),
        ]
    };
    list.observe(three(10), None);
    list.observe(three(20), Some(1.0));
    let rates: Vec<_> = list.rows().iter().map(|row| row.rate.unwrap().packets).collect();
    assert_eq!(rates, [10.0, 20.0, 30.0]);
}

#[test]
fn a_history_is_bounded_by_time_and_by_rows() {
    let mut one = list(&[("a", 0, 0)]);
    for packets in 0..500 {
        one.observe(vec![flow("a", packets, 0)], Some(1.0));
    }
    assert_eq!(one.rows()[0].history.len(), 120);

    let many = || (0..5_000).map(|n| flow(&format!("{n:04}"), 1, 0)).collect::<Vec<_>>();
    let mut list = List::new();
    list.observe(many(), None);
    list.step(Step::End);
    for _ in 0..3 {
        list.observe(many(), Some(1.0));
    }
    let kept = list.rows().iter().filter(|row| !row.history.is_empty()).count();
    assert_eq!(kept, HISTORIES + 1);
    assert_eq!(list.current().unwrap().history.len(), 3);
}

#[test]
fn the_worst_is_first_and_the_order_can_be_turned_round() {
    let mut list = list(&[("a", 99, 1), ("c", 90, 10), ("b", 100, 0)]);
    assert_eq!(names(&mut list, 9), ">c a b");
    list.reverse();
    assert_eq!(names(&mut list, 9), ">b a c");
    let mut seen = Vec::new();
    for _ in Call::ORDERS {
        list.next_order();
        seen.push(list.sorted_by().0.column);
    }
    assert_eq!(seen, ["loss %", "now %", "jitter ms", "MOS", "pkt/s", "duration", "source", "why"]);
    assert_eq!(names(&mut list, 9), ">c a b");
}

#[test]
fn the_first_row_is_selected_until_the_user_chooses_one() {
    let mut list = list(&[("a", 90, 10), ("b", 100, 0)]);
    list.observe(vec![flow("a", 90, 10), flow("b", 50, 50)], None);
    assert_eq!(names(&mut list, 9), ">b a");
    list.step(Step::Down);
    list.observe(vec![flow("a", 10, 90), flow("b", 50, 50)], None);
    assert_eq!(names(&mut list, 9), ">a b");
    list.step(Step::Home);
    list.observe(vec![flow("a", 90, 10), flow("b", 50, 50)], None);
    assert_eq!(names(&mut list, 9), ">b a");
}

#[test]
fn who_is_gone_is_not_replaced_by_a_stranger() {
    let mut list = list(&[("a", 90, 10), ("b", 100, 0)]);
    list.stay();
    list.observe(vec![flow("b", 100, 0)], None);
    assert_eq!(names(&mut list, 9), "b");
    assert!(list.current().is_none());
    list.observe(vec![flow("b", 100, 0), flow("a", 90, 10)], None);
    assert_eq!(names(&mut list, 9), ">a b");
    list.observe(Vec::new(), None);
    assert_eq!(names(&mut list, 9), "");
    list.step(Step::End);
    assert!(list.current().is_none());
}

#[test]
fn the_window_follows_the_cursor() {
    let mut list = list(&["a", "b", "c", "d", "e"].map(|name| (name, 1, 0)));
    assert_eq!(names(&mut list, 2), ">a b");
    list.step(Step::Down);
    list.step(Step::Down);
    assert_eq!(names(&mut list, 2), "b >c");
    list.step(Step::PageDown);
    assert_eq!(names(&mut list, 2), "d >e");
    list.step(Step::PageUp);
    assert_eq!(names(&mut list, 2), ">c d");
    // A screen that grows is filled.
    assert_eq!(names(&mut list, 4), "b >c d e");
    list.step(Step::End);
    list.step(Step::Down);
    assert_eq!(names(&mut list, 9), "a b c d >e");
    assert_eq!(names(&mut list, 0), "");
}

#[test]
fn every_word_of_the_filter_must_occur() {
    let mut list = list(&[("10.0.0.1:5004", 1, 0), ("10.0.0.2:5004", 1, 0)]);
    for (filter, shown) in
        [("10.0", 2), ("0.0.2 PCMA", 1), ("pcma 0x00000000", 2), ("0.0.2 opus", 0), ("  ", 2)]
    {
        list.set_filter(filter);
        assert_eq!(list.shown(), shown, "{filter}");
    }
}

#[test]
fn every_order_is_that_of_a_column() {
    fn check<S: Subject>() {
        for order in S::ORDERS {
            assert!(
                S::COLUMNS.iter().any(|column| column.name == order.column),
                "{}",
                order.column
            );
        }
    }
    check::<Call>();
    check::<crate::export::snapshot::Tcp>();
}

#[test]
fn a_flow_that_has_ended_is_shown_for_a_while_and_may_come_back() {
    let mut list = list(&[("a", 100, 0), ("b", 10, 0)]);
    list.observe(vec![flow("a", 150, 0), flow("b", 60, 0)], Some(1.0));
    for second in 1..=30 {
        list.observe(vec![flow("a", 150, 0)], Some(1.0));
        let [_, gone] = list.rows() else { panic!("b is still shown") };
        assert_eq!((gone.gone, gone.history.len()), (Some(f64::from(second)), 1));
        assert_eq!((list.present(), names(&mut list, 9).as_str()), (1, ">a b"));
    }
    list.observe(vec![flow("a", 150, 0)], Some(1.0));
    assert_eq!(names(&mut list, 9), ">a");
    list.observe(vec![flow("b", 61, 0), flow("a", 150, 0)], Some(1.0));
    assert!(list.rows().iter().all(|row| row.gone.is_none()));
}
