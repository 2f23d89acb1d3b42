use std::time::SystemTime;

use crossterm::event::KeyCode;
use ratatui::{Terminal, backend::TestBackend, buffer::Buffer, style::Color};

use super::*;
use crate::export::snapshot::{Interruptions, Ledger, Lost, Setup, Snapshot, Tcp, Voice};

fn flow(src: &str, seconds: u64, every: u64) -> Voice {
    let expected = 50 * seconds;
    let lost = expected.checked_div(every).unwrap_or_default();
    Voice {
        transport: "udp".to_owned(),
        src: src.to_owned(),
        dst: "192.0.2.1:5004".to_owned(),
        ssrc: 0x1a2b,
        payload_type: 0,
        clock_rate: 8000,
        codec: Some("pcmu".to_owned()),
        service: Some("sip-gateway".to_owned()),
        direction: Some("receive".to_owned()),
        packets: expected - lost,
        expected,
        lost,
        loss_ratio: lost as f64 / expected as f64,
        jitter_ms: every as f64,
        jitter_mean_ms: Some(1.25),
        jitter_max_ms: Some(8.5),
        delta_max_ms: Some(41.0),
        duration_ms: seconds as f64 * 1e3,
        ..Voice::default()
    }
}

fn snapshot(seconds: u64) -> Snapshot {
    let hidden = Voice {
        codec: None,
        direction: Some("transmit".to_owned()),
        jitter_mean_ms: None,
        payload_type: 111,
        ..flow("[2001:db8:85a3::8a2e:370:7334]:50004", seconds, 50)
    };
    let tcp = Tcp {
        client: Some("10.0.0.7:40000".to_owned()),
        server: Some("192.0.2.1:443".to_owned()),
        role: "server".to_owned(),
        service: Some("chat".to_owned()),
        adopted: false,
        connect_ms: Some(1.25),
        srtt_ms: Some(0.035),
        min_rtt_ms: Some(0.02),
        retransmits: 4,
        bytes_in: seconds * 2048,
        bytes_out: seconds << 20,
        ..Tcp::default()
    };
    Snapshot {
        taken_at: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)),
        voice: vec![
            flow("10.0.0.1:5004", seconds, 0),
            flow("10.0.0.2:5004", seconds, 10),
            hidden,
            flow("10.0.0.3:5004", seconds, 31),
        ],
        tcp: vec![tcp, Tcp { role: "unknown".to_owned(), ..Tcp::default() }],
        ..Snapshot::default()
    }
}

fn board() -> Board {
    let mut board = Board::new("http://127.0.0.1:9464".to_owned(), Duration::from_secs(1));
    for seconds in 1..=4 {
        board.observe(Ok(snapshot(seconds)), Duration::from_secs(seconds));
    }
    board.now = Duration::from_secs(4);
    board
}

fn press(board: &mut Board, keys: &str) {
    for key in keys.chars() {
        let key = match key {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            letter => KeyCode::Char(letter),
        };
        board.press(key.into());
    }
}

fn buffer(board: &mut Board, width: u16, height: u16, colour: bool) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, board, Theme { colour })).unwrap();
    terminal.backend().buffer().clone()
}

/// The screen without colour, as text; lines without what is right of their last letter.
fn screen(board: &mut Board, width: u16, height: u16) -> Vec<String> {
    let buffer = buffer(board, width, height, false);
    let coloured =
        |cell: &ratatui::buffer::Cell| cell.fg != Color::Reset || cell.bg != Color::Reset;
    assert!(!buffer.content().iter().any(coloured));
    let lines = buffer.content().chunks(usize::from(width));
    lines
        .map(|line| line.iter().map(|cell| cell.symbol()).collect::<String>())
        .map(|line| line.trim_end().to_owned())
        .collect()
}

/// Blank lines at the end of the list are left out of what is compared.
fn check(lines: &[String], expected: &str) {
    let shown: Vec<&str> =
        lines.iter().map(String::as_str).filter(|line| !line.is_empty()).collect();
    assert_eq!(shown.join("\n"), expected.trim_matches('\n'), "\n{}", lines.join("\n"));
}

#[test]
fn voice_at_80_columns() {
    check(
        &screen(&mut board(), 80, 24),
        "
 observer top  http://127.0.0.1:9464                         every 1 s, for 4 s
 flows 4  packets/s 192  now % ! 4.00  complete % 100  sockets 2
  1 Voice 4   2 Sockets 2                                              by why ▼
  source                      → destination     ↕  why        loss %  loss trend
▸ 10.0.0.2:5004               → 192.0.2.1:5004  ↓  !! loss  !! 10.00         ███
  10.0.0.3:5004               → 192.0.2.1:5004  ↓  ! loss     ! 3.00         ▇▄▇
  [2001:db8:85…0:7334]:50004  → 192.0.2.1:5004  ↑  ! loss     ! 2.00         ▄▄▄
  10.0.0.1:5004               → 192.0.2.1:5004  ↓  fine            0         ▁▁▁
 q quit  Tab list  s sort  r reverse  / filter  p pause  Enter details  ? help
",
    );
}

#[test]
fn details_at_80_columns() {
    let mut board = board();
    press(&mut board, "j\n");
    let lines = screen(&mut board, 80, 24);
    assert_eq!(lines.len(), 24);
    check(
        &lines,
        "
 observer top  http://127.0.0.1:9464                         every 1 s, for 4 s
 flows 4  packets/s 192  now % ! 4.00  complete % 100  sockets 2
  1 Voice 4   2 Sockets 2                                              by why ▼
  source                      → destination     ↕  why        loss %  loss trend
  10.0.0.2:5004               → 192.0.2.1:5004  ↓  !! loss  !! 10.00         ███
▸ 10.0.0.3:5004               → 192.0.2.1:5004  ↓  ! loss     ! 3.00         ▇▄▇
  [2001:db8:85…0:7334]:50004  → 192.0.2.1:5004  ↑  ! loss     ! 2.00         ▄▄▄
  10.0.0.1:5004               → 192.0.2.1:5004  ↓  fine            0         ▁▁▁
┌ 10.0.0.3:5004 → 192.0.2.1:5004 · sip-gateway ────────────────────────────────┐
│ ↓ receive  talking  ! loss  codec pcmu/0  ssrc 0x00001a2b  for 4.0 s         │
│ packets 194  expected 200  lost 6  loss % ! 3.00  dup 0  reordered 0         │
│ jitter ms ! 31.0  mean 1.25  max 8.50  longest gap ms 41.0  clock 8000 Hz    │
│ bursts –  in bursts % –  late % –  round trip ms –  MOS –  now –             │
│ silences –  in all –  one-way –  in all –                                    │
│ packets/s                                   ▇█▇  now 48.0      peak 49.0     │
│ loss %                                      █▄█  now 4.00      peak 4.00     │
│ jitter ms                                   ███  now 31.0      peak 31.0     │
└──────────────────────────────────────────────────────────────────────────────┘
 q quit  Tab list  s sort  r reverse  / filter  p pause  Enter details  ? help
",
    );
}

#[test]
fn sockets_with_details_at_80_columns() {
    let mut board = board();
    press(&mut board, "\t\n");
    check(
        &screen(&mut board, 80, 24),
        "
 observer top  http://127.0.0.1:9464                         every 1 s, for 4 s
 flows 4  packets/s 192  now % ! 4.00  complete % 100  sockets 2
  1 Voice 4   2 Sockets 2                                          by retrans ▼
  client          → server         ↔  srtt ms  retrans      in/s     out/s
▸ 10.0.0.7:40000  → 192.0.2.1:443  S    0.035        4  2.00 KiB  1.00 MiB
  –               → –              –        –        0       0 B       0 B
┌ 10.0.0.7:40000 → 192.0.2.1:443 · chat ───────────────────────────────────────┐
│ observed end server  connect ms 1.25  srtt ms 0.035  min rtt ms 0.020        │
│ retransmits 4  received 8.00 KiB  sent and acknowledged 4.00 MiB             │
│ in/s                                        ███  now 2.00 KiB  peak 2.00 KiB │
│ out/s                                       ███  now 1.00 MiB  peak 1.00 MiB │
└──────────────────────────────────────────────────────────────────────────────┘
 q quit  Tab list  s sort  r reverse  / filter  p pause  Enter details  ? help
",
    );
}

#[test]
fn voice_with_details_at_120_columns() {
    let mut board = board();
    press(&mut board, "\n");
    let lines = screen(&mut board, 120, 40);
    assert_eq!(lines.len(), 40);
    check(&lines, "
 observer top  http://127.0.0.1:9464                                                                 every 1 s, for 4 s
 flows 4  packets/s 192  now % ! 4.00  complete % 100  sockets 2
  1 Voice 4   2 Sockets 2                                                                                      by why ▼
  source               → destination     service      ↕  phase    why        loss %  loss trend  jitter ms  jitter trend
▸ 10.0.0.2:5004        → 192.0.2.1:5004  sip-gateway  ↓  talking  !! loss  !! 10.00         ███       10.0         ▄▄▄
  10.0.0.3:5004        → 192.0.2.1:5004  sip-gateway  ↓  talking  ! loss     ! 3.00         ▇▄▇     ! 31.0         ███
  [2001:db8…34]:50004  → 192.0.2.1:5004  sip-gateway  ↑  talking  ! loss     ! 2.00         ▄▄▄          –
  10.0.0.1:5004        → 192.0.2.1:5004  sip-gateway  ↓  talking  fine            0         ▁▁▁          0         ▁▁▁
┌ 10.0.0.2:5004 → 192.0.2.1:5004 · sip-gateway ────────────────────────────────────────────────────────────────────────┐
│ ↓ receive  talking  !! loss  codec pcmu/0  ssrc 0x00001a2b  for 4.0 s                                                │
│ packets 180  expected 200  lost 20  loss % !! 10.00  dup 0  reordered 0                                              │
│ jitter ms 10.0  mean 1.25  max 8.50  longest gap ms 41.0  clock 8000 Hz  over UDP                                    │
│ bursts –  in bursts % –  late % –  round trip ms –  MOS –  now –                                                     │
│ silences –  in all –  one-way –  in all –                                                                            │
│ packets/s                                                                           ███  now 45.0      peak 45.0     │
│ loss %                                                                              ███  now 10.00     peak 10.00    │
│ jitter ms                                                                           ▂▂▂  now 10.0      peak 10.0     │
└──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────┘
 q quit  Tab list  s sort  r reverse  / filter  p pause  Enter details  ? help
");
}

#[test]
fn sockets_at_120_columns() {
    let mut board = board();
    press(&mut board, "2s");
    check(&screen(&mut board, 120, 40), "
 observer top  http://127.0.0.1:9464                                                                 every 1 s, for 4 s
 flows 4  packets/s 192  now % ! 4.00  complete % 100  sockets 2
  1 Voice 4   2 Sockets 2                                                                                  by srtt ms ▼
  client          → server         service  ↔  connect ms  srtt ms  min rtt  retrans      in/s     out/s        in
▸ 10.0.0.7:40000  → 192.0.2.1:443  chat     S        1.25    0.035    0.020        4  2.00 KiB  1.00 MiB  8.00 KiB
  –               → –              –        –           –        –        –        0       0 B       0 B       0 B
 q quit  Tab list  s sort  r reverse  / filter  p pause  Enter details  ? help
");
}

#[test]
fn the_help_fits_the_smallest_screen() {
    let mut board = board();
    press(&mut board, "?");
    check(
        &screen(&mut board, 80, 24),
        "
 observer top  http://127.0.0.1:9464                         every 1 s, for 4 s
┌ Keys ────────────────────────────────────────────────────────────────────────┐
│ 1  2           voice flows, sockets                                          │
│ Tab Shift-Tab  the other list                                                │
│ ↑ ↓  k j       select a row; the cursor stays with it                        │
│ PgUp PgDn      a screen up, a screen down                                    │
│ Home End  g G  the first row, whichever that becomes; the last row           │
│ Enter          details of the row; Esc closes them                           │
│ s  r           next order, the order turned round                            │
│ /              filter: address, SSRC, codec, role                            │
│ Esc            clear the filter                                              │
│ p  Space       stand still, go on                                            │
│ ?  h           this page                                                     │
│ q  Ctrl-C      quit                                                          │
│                                                                              │
│ ! loss, late, one-way > 1 %, jitter > 30 ms, round trip > 400 ms, MOS < 3.6  │
│ !! loss, late, one-way > 5 %, MOS < 3.1                                      │
│ ↕: ↓ received, ↑ transmitted; ↔: C the observed end connected, S it accepted │
│ why: what is farthest over its threshold; silent: no packet for 2 s          │
│ one-way: there is audio in the other direction, and none in this one         │
│ loss %: since the flow began; now %: of the last 100 packets, or 10 s        │
│ trends: the newest at the right; full at 5 % of loss, at 30 ms of jitter     │
│ uncounted: what could not be counted, by stage and reason                    │
└──────────────────────────────────────────────────── any key closes this page ┘
",
    );
}

#[test]
fn the_last_line_is_for_keys_filter_or_error() {
    let mut board = board();
    let last = |board: &mut Board| screen(board, 80, 24).pop().unwrap();
    press(&mut board, "/0.3");
    assert_eq!(last(&mut board), " filter: 0.3▏  Enter keeps it, Esc clears it");
    press(&mut board, "\n");
    let error = "http://127.0.0.1:9464: connection\x1b[2J refused".to_owned();
    board.observe(Err(error), Duration::from_secs(5));
    board.now = Duration::from_secs(75);
    assert_eq!(last(&mut board), " ! Retrying: Figures are 1m11s old. connection [2J refused");
    let tabs = &screen(&mut board, 80, 24)[2];
    assert_eq!(
        tabs,
        "  1 Voice 4   2 Sockets 2                               1 match “0.3”  by why ▼"
    );
    press(&mut board, "/x\n");
    assert_eq!(screen(&mut board, 80, 24)[4], "  Of 4 voice flows, none matches “0.3x”.");
}

#[test]
fn what_went_uncounted_has_a_line_of_its_own() {
    let mut board = board();
    let lost = Lost { stage: "map".to_owned(), reason: "full".to_owned(), count: 12 };
    let ledger = Ledger { completeness: 0.998, lost: vec![lost] };
    board.observe(Ok(Snapshot { ledger, ..snapshot(5) }), Duration::from_secs(5));
    let lines = screen(&mut board, 80, 24);
    assert!(lines[1].contains("complete % ! 99.80"), "{}", lines[1]);
    assert_eq!(lines[2], " uncounted ! map/full 12");
}

#[test]
fn before_a_snapshot_and_without_flows_it_says_so() {
    let mut board = Board::new("here".to_owned(), Duration::from_millis(500));
    assert_eq!(screen(&mut board, 80, 24)[1], " waiting for the first snapshot …");
    board.observe(Ok(Snapshot::default()), Duration::ZERO);
    assert_eq!(screen(&mut board, 80, 24)[4], "  No voice flow seen.");
    press(&mut board, "\tp\n");
    let lines = screen(&mut board, 80, 24);
    assert_eq!(lines[4], "  No connection seen.");
    assert!(lines[0].ends_with(" PAUSED  every 500 ms, for 0 s"), "{}", lines[0]);
    assert!(lines[18].contains("No connection is selected."), "{}", lines.join("\n"));
}

#[test]
fn a_small_terminal_is_asked_to_grow() {
    let mut board = board();
    let lines = screen(&mut board, 50, 14);
    assert!(board.cramped);
    check(
        &lines,
        "
       This view needs 60 × 15 characters.
            The terminal has 50 × 14.
          Please enlarge it, or press q.",
    );
    for (width, height) in [(1, 1), (59, 15), (60, 14), (200, 2)] {
        screen(&mut board, width, height);
        assert!(board.cramped);
    }
    screen(&mut board, 60, 15);
    assert!(!board.cramped);
}

#[test]
fn the_smallest_screen_has_rows_and_both_pages_of_help() {
    let mut board = board();
    check(
        &screen(&mut board, 60, 15),
        "
 observer top  http://127.0.0.1:9464     every 1 s, for 4 s
 flows 4  packets/s 192  now % ! 4.00  complete % 100
  1 Voice 4   2 Sockets 2                          by why ▼
  source                 → destination     why        loss %
▸ 10.0.0.2:5004          → 192.0.2.1:5004  !! loss  !! 10.00
  10.0.0.3:5004          → 192.0.2.1:5004  ! loss     ! 3.00
  [2001:db8:…334]:50004  → 192.0.2.1:5004  ! loss     ! 2.00
  10.0.0.1:5004          → 192.0.2.1:5004  fine            0
 q quit  Tab list  s sort  r reverse  / filter  ? help
",
    );
    press(&mut board, "?");
    let keys = screen(&mut board, 60, 15).join("\n");
    assert!(keys.contains("q  Ctrl-C") && keys.contains("any key: more"), "{keys}");
    press(&mut board, "x");
    let notes = screen(&mut board, 60, 15).join("\n");
    assert!(notes.contains("by stage and reason") && notes.contains("closes"), "{notes}");
    press(&mut board, "x");
    assert_eq!(board.help, None);
}

#[test]
fn colours_repeat_what_marks_say() {
    let mut board = board();
    let buffer = buffer(&mut board, 80, 24, true);
    for cell in buffer.content() {
        assert!(matches!(cell.fg, Color::Reset | Color::Cyan | Color::Yellow | Color::Red));
    }
    let red = buffer.content().iter().filter(|cell| cell.fg == Color::Red);
    assert!(red.map(|cell| cell.symbol()).collect::<String>().contains("!! 10.00"));
}

#[test]
fn every_size_from_the_smallest_up_can_be_drawn() {
    let mut board = board();
    press(&mut board, "\n?");
    for (width, height) in (60..200).zip(15..) {
        screen(&mut board, width, height);
    }
}

/// A call that is fine, one that loses in bursts, one that falls silent, one that ends.
#[test]
fn each_flow_says_its_phase_its_reason_and_its_trends() {
    let mut board = Board::new("here".to_owned(), Duration::from_secs(1));
    for seconds in 1..=14_u64 {
        let fine = Voice { mos: Some(4.37), ..flow("10.0.0.1:4000", seconds, 0) };
        let bursts = Voice {
            burst_loss_ratio: Some(0.8),
            mos: Some(2.9),
            rtt_ms: Some(85.0),
            ..flow("10.0.0.2:4000", seconds, 8)
        };
        let silent = flow("10.0.0.3:4000", seconds.min(5), 0);
        let jittery = Voice {
            jitter_ms: seconds as f64 * 4.0,
            jitter_mean_ms: Some(20.0),
            mos: Some(3.4),
            ..flow("10.0.0.4:4000", seconds, 0)
        };
        let mut voice = vec![fine, bursts, silent, jittery];
        if seconds < 12 {
            voice.push(flow("10.0.0.5:4000", seconds, 0));
        }
        let taken_at = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let snapshot = Snapshot { taken_at, voice, ..Snapshot::default() };
        board.observe(Ok(snapshot), Duration::from_secs(seconds));
    }
    board.now = Duration::from_secs(14);
    check(
        &screen(&mut board, 140, 24),
        "
 observer top  here                                                                                                     every 1 s, for 14 s
 flows 4  packets/s 144  now % ! 4.00  complete % 100  sockets 0
  1 Voice 4   2 Sockets 0                                                                                                          by why ▼
  source         → destination     service      ↕  phase       why            MOS    loss %  loss trend  jitter ms  jitter trend  rtt ms
▸ 10.0.0.2:4000  → 192.0.2.1:5004  sip-gateway  ↓  talking     !! bursts  !! 2.90  !! 12.43  ██████████       8.00  ▃▃▃▃▃▃▃▃▃▃      85.0
  10.0.0.4:4000  → 192.0.2.1:5004  sip-gateway  ↓  talking     ! jitter    ! 3.40         0  ▁▁▁▁▁▁▁▁▁▁     ! 56.0  ▆▇████████         –
  10.0.0.3:4000  → 192.0.2.1:5004  sip-gateway  ↓  silent 9 s  silence          –         0  ▁                   0  ▁                  –
  10.0.0.1:4000  → 192.0.2.1:5004  sip-gateway  ↓  talking     fine          4.37         0  ▁▁▁▁▁▁▁▁▁▁          0  ▁▁▁▁▁▁▁▁▁▁         –
  10.0.0.5:4000  → 192.0.2.1:5004  sip-gateway  ↓  ended       fine             –         0  ▁▁▁▁▁▁▁▁▁▁          0  ▁▁▁▁▁▁▁▁▁▁         –
 q quit  Tab list  s sort  r reverse  / filter  p pause  Enter details  ? help
",
    );
    let buffer = buffer(&mut board, 140, 24, true);
    let letters = |hue| {
        let cells = buffer.content().iter().filter(|cell| cell.fg == hue);
        cells.map(|cell| cell.symbol()).collect::<String>()
    };
    let (red, yellow) = (letters(Color::Red), letters(Color::Yellow));
    assert!(red.contains("!! bursts") && red.contains("!! 2.90") && red.contains('█'), "{red}");
    assert!(yellow.contains("! jitter") && yellow.contains("! 3.40"), "{yellow}");
}

/// A call that is set up and then talks, one that never gets so far, and one that is heard
/// one way alone.
#[test]
fn a_call_without_media_has_a_row_until_it_is_a_flow() {
    let mut board = Board::new("here".to_owned(), Duration::from_secs(1));
    let setup = |local: &str, phase: &str, seconds: u64| Setup {
        local: local.to_owned(),
        peer: "192.0.2.7:61000".to_owned(),
        phase: phase.to_owned(),
        duration_ms: seconds as f64 * 1e3,
        service: Some("sfu".to_owned()),
        process: None,
    };
    let mut observe = |seconds: u64, setups: Vec<Setup>, voice: Vec<Voice>| {
        let taken_at = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let snapshot = Snapshot { taken_at, setups, voice, ..Snapshot::default() };
        board.observe(Ok(snapshot), Duration::from_secs(seconds));
        board.now = Duration::from_secs(seconds);
        screen(&mut board, 120, 24)
    };
    let one_way = |seconds| Voice {
        interruptions: Some(Interruptions {
            one_way: 1,
            current: Some("one_way".to_owned()),
            ..Interruptions::default()
        }),
        ..flow("10.0.0.3:5004", seconds, 0)
    };
    let fine = |seconds| flow("10.0.0.1:5004", seconds, 0);
    let first = vec![setup("10.0.0.1:5004", "dtls", 1), setup("10.0.0.2:5004", "ice", 1)];
    observe(1, first, vec![one_way(1)]);
    let second = vec![setup("10.0.0.1:5004", "media", 2), setup("10.0.0.2:5004", "ice", 2)];
    check(
        &observe(2, second, vec![one_way(2)]),
        "
 observer top  here                                                                                  every 1 s, for 2 s
 flows 1  packets/s 50.0  now % 0  complete % 100  sockets 0
  1 Voice 3   2 Sockets 0                                                                                      by why ▼
  source         → destination      ↕  phase       why           loss %  loss trend  jitter ms  jitter trend
▸ 10.0.0.3:5004  → 192.0.2.1:5004   ↓  talking     !! one-way         0           ▁          0           ▁
  10.0.0.1:5004  ↔ 192.0.2.7:61000  –  setting up  no media           –                      –
  10.0.0.2:5004  ↔ 192.0.2.7:61000  –  setting up  no pair            –                      –
 q quit  Tab list  s sort  r reverse  / filter  p pause  Enter details  ? help
",
    );
    let third = vec![setup("10.0.0.2:5004", "ice", 3)];
    observe(3, third.clone(), vec![one_way(3), fine(1)]);
    check(
        &observe(4, third, vec![one_way(4), fine(2)]),
        "
 observer top  here                                                                                  every 1 s, for 4 s
 flows 2  packets/s 100  now % 0  complete % 100  sockets 0
  1 Voice 3   2 Sockets 0                                                                                      by why ▼
  source         → destination      ↕  phase       why           loss %  loss trend  jitter ms  jitter trend
▸ 10.0.0.3:5004  → 192.0.2.1:5004   ↓  talking     !! one-way         0         ▁▁▁          0         ▁▁▁
  10.0.0.2:5004  ↔ 192.0.2.7:61000  –  setting up  no pair            –                      –
  10.0.0.1:5004  → 192.0.2.1:5004   ↓  talking     fine               0           ▁          0           ▁
 q quit  Tab list  s sort  r reverse  / filter  p pause  Enter details  ? help
",
    );
    press(&mut board, "j\n");
    let lines = screen(&mut board, 80, 24).join("\n");
    assert!(lines.contains("│ setting up  no pair  for 3.0 s "), "{lines}");
    assert!(lines.contains("┌ 10.0.0.2:5004 ↔ 192.0.2.7:61000 · sfu ─"), "{lines}");
}
