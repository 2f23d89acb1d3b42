use super::*;
use crate::export::snapshot::Voice;

fn press(board: &mut Board, keys: &[KeyCode]) -> Next {
    keys.iter().map(|key| board.press((*key).into())).last().unwrap_or(Next::GoOn)
}

fn type_text(board: &mut Board, text: &str) -> Next {
    press(board, &text.chars().map(KeyCode::Char).collect::<Vec<_>>())
}

fn board() -> Board {
    Board::new("here".to_owned(), Duration::from_secs(1))
}

/// Read `seconds` after some moment.
fn snapshot(seconds: u64, packets: u64, lost: u64) -> Snapshot {
    let voice = |ssrc| Voice { ssrc, packets, lost, expected: packets + lost, ..Voice::default() };
    Snapshot {
        taken_at: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)),
        voice: vec![voice(1), voice(2)],
        tcp: vec![Tcp::default()],
        ..Snapshot::default()
    }
}

#[test]
fn totals_add_up_once_there_are_two_snapshots() {
    let mut board = board();
    board.observe(Ok(snapshot(1, 0, 0)), Duration::from_secs(1));
    assert_eq!(board.totals(), Totals { packets: None, recent: RecentLoss::default() });
    board.observe(Ok(snapshot(3, 90, 10)), Duration::from_secs(3));
    assert_eq!(board.totals().packets, Some(90.0));
    assert_eq!(board.totals().recent.ratio(), Some(0.1));
    // Silence is a rate of nothing; what was lost just before is not forgotten at once.
    board.observe(Ok(snapshot(4, 90, 10)), Duration::from_secs(4));
    assert_eq!(board.totals().packets, Some(0.0));
    assert_eq!(board.totals().recent.ratio(), Some(0.1));
    board.observe(Ok(snapshot(14, 90, 10)), Duration::from_secs(14));
    assert_eq!(board.totals().recent.ratio(), None);
}

#[test]
fn rates_go_by_the_observers_clock() {
    let mut board = board();
    let mut observe = |seconds, packets, at_ms| {
        board.observe(Ok(snapshot(seconds, packets, 0)), Duration::from_millis(at_ms));
        board.totals().packets
    };
    assert_eq!(observe(1, 0, 990), None);
    // A reading that was late by almost a whole interval of ours, and one seen twice.
    assert_eq!(observe(2, 50, 2_900), Some(100.0));
    assert_eq!(observe(2, 50, 3_000), Some(100.0));
    assert_eq!(observe(4, 150, 4_100), Some(100.0));
    // A clock set back tells no rate, and is believed from there on.
    assert_eq!(observe(3, 200, 5_000), None);
    assert_eq!(observe(4, 250, 6_000), Some(100.0));
}

#[test]
fn an_error_leaves_the_figures_and_goes_with_the_next_snapshot() {
    let mut board = board();
    board.observe(Ok(snapshot(1, 0, 0)), Duration::from_secs(1));
    board.observe(Err("refused".to_owned()), Duration::from_secs(2));
    assert_eq!(
        (board.error.as_deref(), board.taken),
        (Some("refused"), Some(Duration::from_secs(1)))
    );
    assert_eq!(board.voice.rows().len(), 2);
    board.observe(Ok(snapshot(4, 60, 0)), Duration::from_secs(4));
    assert_eq!(board.error, None);
    // By the time that passed, not by the interval.
    assert_eq!(board.totals().packets, Some(40.0));
}

#[test]
fn a_pause_stands_still_and_goes_on_with_true_rates() {
    let mut board = board();
    board.observe(Ok(snapshot(1, 0, 0)), Duration::from_secs(1));
    type_text(&mut board, "p");
    board.observe(Ok(snapshot(2, 50, 0)), Duration::from_secs(2));
    assert_eq!(board.voice.rows()[0].subject.flow.packets, 0);
    type_text(&mut board, " ");
    board.observe(Ok(snapshot(3, 100, 0)), Duration::from_secs(3));
    assert_eq!(board.totals().packets, Some(100.0));
}

#[test]
fn keys_do_what_the_help_says() {
    let mut board = board();
    press(&mut board, &[KeyCode::Tab]);
    assert_eq!(board.tab, Tab::Sockets);
    type_text(&mut board, "1");
    assert_eq!(board.tab, Tab::Voice);
    type_text(&mut board, "2s");
    assert_eq!(board.sockets.sorted_by().0.column, "srtt ms");
    assert_eq!(board.voice.sorted_by().0.column, "why");
    type_text(&mut board, "r");
    assert!(!board.sockets.sorted_by().1);
    press(&mut board, &[KeyCode::Enter]);
    assert!(board.details);
    press(&mut board, &[KeyCode::Esc]);
    assert!(!board.details);
    assert_eq!(type_text(&mut board, "q"), Next::Quit);
}

#[test]
fn letters_go_to_the_filter_until_it_is_done() {
    let mut board = board();
    board.observe(Ok(snapshot(0, 0, 0)), Duration::ZERO);
    assert_eq!(type_text(&mut board, "/0x2q"), Next::GoOn);
    assert_eq!((board.filter.as_str(), board.voice.shown()), ("0x2q", 0));
    press(&mut board, &[KeyCode::Backspace, KeyCode::Backspace, KeyCode::Enter]);
    assert_eq!((board.filter.as_str(), board.voice.shown(), board.typing), ("0x", 2, false));
    press(&mut board, &[KeyCode::Esc]);
    assert_eq!(board.filter, "");
    type_text(&mut board, "/xyz");
    press(&mut board, &[KeyCode::Esc]);
    assert_eq!((board.filter.as_str(), board.typing), ("", false));
}

#[test]
fn any_key_closes_the_help_and_control_c_always_leaves() {
    let mut board = board();
    type_text(&mut board, "?");
    assert!(board.help.is_some());
    assert_eq!(type_text(&mut board, "q"), Next::GoOn);
    assert!(board.help.is_none());
    type_text(&mut board, "/?");
    assert!(board.help.is_none());
    let control = |key| KeyEvent::new(KeyCode::Char(key), KeyModifiers::CONTROL);
    assert_eq!(board.press(control('p')), Next::GoOn);
    assert!(!board.paused);
    assert_eq!(board.press(control('c')), Next::Quit);
}

#[test]
fn a_key_let_go_does_nothing() {
    let mut board = board();
    let mut key = KeyEvent::from(KeyCode::Char('q'));
    key.kind = KeyEventKind::Release;
    assert_eq!(board.press(key), Next::GoOn);
}

#[test]
fn one_lost_packet_of_a_few_is_no_alarm() {
    let mut board = board();
    let mut observe = |seconds, packets, lost| {
        board.observe(Ok(snapshot(seconds, packets, lost)), Duration::from_secs(seconds));
        board.totals().recent.cell().text
    };
    observe(0, 0, 0);
    // Two flows, each with 24 of 25 packets.
    assert_eq!(observe(1, 24, 1), "4.00");
    assert_eq!(observe(2, 49, 1), "! 2.00");
    assert_eq!(observe(3, 74, 1), "0");
    // Few packets are judged after 10 s.
    assert_eq!(observe(4, 75, 2), "! 1.92");
    assert_eq!(observe(14, 76, 3), "!! 50.00");
}

#[test]
fn keys_whose_work_cannot_be_seen_do_nothing() {
    let mut board = board();
    type_text(&mut board, "/");
    board.cramped = true;
    assert_eq!(type_text(&mut board, "x?2"), Next::GoOn);
    assert_eq!((board.filter.as_str(), board.help, board.tab), ("", None, Tab::Voice));
    assert_eq!(type_text(&mut board, "q"), Next::Quit);
    let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(board.press(control_c), Next::Quit);
}
