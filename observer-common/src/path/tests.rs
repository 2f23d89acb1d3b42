use super::*;
use crate::stun::Span;
use proptest::prelude::*;
use std::vec::Vec;

const MS: u64 = 1_000_000;

fn name(text: &str) -> Name {
    let mut bytes = std::vec![0; 4];
    bytes.extend(text.as_bytes());
    bytes.resize(bytes.len() + 3, 0xee);
    Name::read(&bytes.as_slice(), Span { at: 4, length: text.len() as u32 })
}

fn text(name: &Name) -> std::string::String {
    let (bytes, length) = name.bytes();
    std::string::String::from_utf8(bytes[..length].to_vec()).unwrap()
}

#[test]
fn a_check_of_ours_measures_the_network_and_one_of_theirs_the_application() {
    let mut path = Path::NONE;
    path.check(TRANSMIT, 1, false, &name("far:near"), 10 * MS);
    path.check(RECEIVE, 2, false, &name("near:far"), 11 * MS);
    assert!(!path.is_proved());
    path.answer(TRANSMIT, 2, true, 14 * MS);
    path.answer(RECEIVE, 1, true, 30 * MS);
    assert!(path.is_proved());
    let once = |ns| Times { last_ns: ns, min_ns: ns, max_ns: ns, sum_ns: ns, count: 1 };
    assert_eq!((path.round_trip, path.stall), (once(20 * MS), once(3 * MS)));
    assert_eq!((path.first_check_ns, path.in_use_ns), (10 * MS, 0));
}

#[test]
fn an_answer_counts_once_and_only_to_a_known_check() {
    let mut path = Path::NONE;
    path.check(TRANSMIT, 1, false, &name("a:b"), MS);
    path.answer(RECEIVE, 2, true, 2 * MS);
    path.answer(TRANSMIT, 1, true, 2 * MS);
    assert!(!path.is_proved(), "no answer to what was asked");
    path.answer(RECEIVE, 1, true, 3 * MS);
    path.answer(RECEIVE, 1, true, 9 * MS);
    assert_eq!((path.round_trip.count, path.round_trip.last_ns), (1, 2 * MS));
}

#[test]
fn a_check_that_was_sent_again_measures_the_application_alone() {
    let mut path = Path::NONE;
    for (at, direction) in [(1, TRANSMIT), (1, RECEIVE), (501, TRANSMIT), (501, RECEIVE)] {
        path.check(direction, 7, true, &name("a:b"), at * MS);
    }
    path.answer(RECEIVE, 7, true, 510 * MS);
    path.answer(TRANSMIT, 7, true, 511 * MS);
    assert_eq!((path.round_trip.count, path.stall.last_ns), (0, 510 * MS));
    assert!(path.is_proved());
    assert_eq!(path.in_use_ns, 510 * MS, "it chose the pair all the same");
}

#[test]
fn a_pair_is_in_use_once_the_choice_is_granted() {
    let mut path = Path::NONE;
    path.check(RECEIVE, 1, true, &name("a:b"), MS);
    path.answer(TRANSMIT, 1, false, 2 * MS);
    assert_eq!((path.in_use_ns, path.is_proved()), (0, false));
    path.check(RECEIVE, 2, true, &name("a:b"), 3 * MS);
    path.check(RECEIVE, 3, true, &name("a:b"), 4 * MS);
    path.answer(TRANSMIT, 2, true, 5 * MS);
    path.answer(TRANSMIT, 3, true, 6 * MS);
    assert_eq!(path.in_use_ns, 5 * MS);
}

#[test]
fn a_name_is_kept_once_it_was_granted() {
    let mut path = Path::NONE;
    path.check(RECEIVE, 1, false, &name("forged:check"), MS);
    assert_eq!(path.name, Name::NONE);
    path.answer(TRANSMIT, 1, false, 2 * MS);
    path.check(TRANSMIT, 2, false, &name("far:near"), 3 * MS);
    path.check(RECEIVE, 3, false, &name("other:forged"), 4 * MS);
    path.answer(RECEIVE, 2, true, 5 * MS);
    assert_eq!(path.name, Name::NONE, "the name that was granted had been driven out");
    path.check(TRANSMIT, 4, false, &name("far:near"), 6 * MS);
    path.answer(RECEIVE, 4, true, 7 * MS);
    assert_eq!((text(&path.name).as_str(), path.is_name_sent()), ("far:near", true));
    path.check(RECEIVE, 5, false, &name("near:far"), 8 * MS);
    path.answer(TRANSMIT, 5, true, 9 * MS);
    assert_eq!(text(&path.name), "far:near", "the other end's name is the same pair");
    path.check(TRANSMIT, 6, true, &name("FAR:NEAR"), 10 * MS);
    assert_eq!(text(&path.name), "far:near");
    path.answer(RECEIVE, 6, true, 11 * MS);
    assert_eq!(text(&path.name), "FAR:NEAR", "ICE began anew");
    assert_eq!((path.first_check_ns, path.in_use_ns), (10 * MS, 11 * MS));
}

#[test]
fn a_server_that_never_asks_has_the_name_by_which_it_is_asked() {
    let mut path = Path::NONE;
    path.check(RECEIVE, 1, true, &name("server:client"), MS);
    path.answer(TRANSMIT, 1, true, 2 * MS);
    assert_eq!((text(&path.name).as_str(), path.is_name_sent()), ("server:client", false));
}

#[test]
fn what_comes_without_an_end_drives_out_the_oldest_check() {
    let mut path = Path::NONE;
    for transaction in 1..10 {
        path.check(TRANSMIT, transaction, false, &name("a:b"), u64::from(transaction) * MS);
    }
    path.answer(RECEIVE, 1, true, 20 * MS);
    assert_eq!(path.round_trip.count, 0);
    for transaction in 2..10 {
        path.answer(RECEIVE, transaction, true, 20 * MS);
    }
    assert_eq!((path.round_trip.count, path.round_trip.max_ns), (8, 18 * MS));
}

#[test]
fn the_first_hello_counts_and_proves_nothing() {
    let mut path = Path::NONE;
    path.hello(5 * MS);
    path.hello(6 * MS);
    assert_eq!((path.hello_ns, path.last_ns, path.is_proved()), (5 * MS, 6 * MS, false));
}

#[test]
fn rtcp_proves_itself_by_a_known_stream_or_both_ways() {
    let mut path = Path::NONE;
    for _ in 0..3 {
        path.rtcp(RECEIVE, true, false, MS);
        path.rtcp(TRANSMIT, false, false, MS);
    }
    assert_eq!((path.is_proved(), path.rtcp, path.srtcp), (false, 3, 0));
    path.rtcp(TRANSMIT, true, false, MS);
    assert_eq!((path.is_proved(), path.rtcp), (true, 4));
    path.rtcp(RECEIVE, false, false, MS);
    assert_eq!(path.srtcp, 1);
    let mut path = Path::NONE;
    path.rtcp(TRANSMIT, false, true, MS);
    assert_eq!((path.is_proved(), path.srtcp), (true, 1));
}

#[derive(Clone, Debug)]
enum Event {
    Check(u8, u32),
    Answer(u8, u32),
}

/// Few transactions, so that repeats and crossings are many.
fn event() -> impl Strategy<Value = Event> {
    (any::<bool>(), 0..2_u8, 1..13_u32).prop_map(|(asks, direction, transaction)| {
        if asks {
            Event::Check(direction, transaction)
        } else {
            Event::Answer(direction, transaction)
        }
    })
}

/// Checks of one direction in a list, the last eight of which can be answered.
#[derive(Default)]
struct Model {
    asked: Vec<(u32, u64, bool)>,
    times: Vec<u64>,
}

impl Model {
    fn open(&mut self, transaction: u32) -> Option<&mut (u32, u64, bool)> {
        let last = self.asked.len().saturating_sub(8);
        self.asked[last..].iter_mut().find(|(known, ..)| *known == transaction)
    }

    fn check(&mut self, transaction: u32, now: u64) {
        match self.open(transaction) {
            Some(known) => known.2 = true,
            None => self.asked.push((transaction, now, false)),
        }
    }

    fn answer(&mut self, transaction: u32, now: u64, repeated_counts: bool) {
        let Some(known) = self.open(transaction) else { return };
        let (_, then, repeated) = std::mem::replace(known, (u32::MAX, 0, false));
        if repeated_counts || !repeated {
            self.times.push(now - then);
        }
    }

    fn check_against(&self, times: &Times) -> Result<(), TestCaseError> {
        prop_assert_eq!(times.count as usize, self.times.len());
        prop_assert_eq!(times.sum_ns, self.times.iter().sum::<u64>());
        prop_assert_eq!(times.max_ns, self.times.iter().copied().max().unwrap_or(0));
        prop_assert_eq!(times.min_ns, self.times.iter().copied().min().unwrap_or(u64::MAX));
        prop_assert_eq!(times.last_ns, self.times.last().copied().unwrap_or(0));
        Ok(())
    }
}

proptest! {
    #[test]
    fn times_are_those_of_a_list(events in prop::collection::vec(event(), 0..300)) {
        let mut path = Path::NONE;
        let (mut theirs, mut ours) = (Model::default(), Model::default());
        for (at, event) in (1..).zip(events) {
            let now = at * MS;
            match event {
                Event::Check(direction, transaction) => {
                    path.check(direction, transaction, false, &name("a:b"), now);
                    let side = if direction == TRANSMIT { &mut ours } else { &mut theirs };
                    side.check(transaction, now);
                }
                Event::Answer(direction, transaction) => {
                    path.answer(direction, transaction, true, now);
                    if direction == TRANSMIT {
                        theirs.answer(transaction, now, true);
                    } else {
                        ours.answer(transaction, now, false);
                    }
                }
            }
            ours.check_against(&path.round_trip)?;
            theirs.check_against(&path.stall)?;
        }
    }
}
