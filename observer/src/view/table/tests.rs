use super::*;

fn flow(src: &str, lost: u64, jitter_ms: f64) -> Voice {
    Voice {
        src: src.to_owned(),
        dst: "10.0.0.2:6000".to_owned(),
        ssrc: 0x1a2b,
        payload_type: 0,
        clock_rate: 8000,
        codec: Some("pcmu".to_owned()),
        direction: Some("receive".to_owned()),
        packets: 1000 - lost,
        expected: 1000,
        lost,
        loss_ratio: lost as f64 / 1000.0,
        duplicates: 2,
        reordered: 3,
        jitter_ms,
        jitter_mean_ms: Some(jitter_ms),
        jitter_max_ms: Some(jitter_ms * 2.0),
        delta_max_ms: Some(120.0),
        duration_ms: 65_000.0,
        ..Voice::default()
    }
}

fn snapshot() -> Snapshot {
    let unknown = Voice {
        src: "[2001:db8:85a3::8a2e:370:7334]:50004".to_owned(),
        dst: "[2001:db8:85a3::8a2e:370:7335]:50006".to_owned(),
        payload_type: 111,
        ..Voice::default()
    };
    let tcp = Tcp {
        client: Some("10.0.0.1:40000".to_owned()),
        server: Some("10.0.0.2:443".to_owned()),
        role: "server".to_owned(),
        adopted: false,
        connect_ms: Some(1.25),
        srtt_ms: Some(0.035),
        min_rtt_ms: Some(0.02),
        retransmits: 4,
        bytes_in: 2048,
        bytes_out: 3 << 20,
        ..Tcp::default()
    };
    let adopted = Tcp { role: "unknown".to_owned(), adopted: true, ..Tcp::default() };
    let lost =
        |stage: &str, count| Lost { stage: stage.to_owned(), reason: "full".to_owned(), count };
    Snapshot {
        voice: vec![
            unknown,
            flow("10.0.0.1:5004", 0, 1.5),
            flow("10.0.0.9:5004", 0, 31.0),
            flow("10.0.0.3:5004", 60, 2.0),
            flow("10.0.0.4:5004", 30, 2.0),
        ],
        tcp: vec![adopted, tcp],
        ledger: Ledger { completeness: 0.999_99, lost: vec![lost("ring", 12), lost("map", 3)] },
        ..Snapshot::default()
    }
}

fn at(width: u16) -> String {
    render(&snapshot(), Style { colour: false, width: Some(width) })
}

#[test]
fn every_column_where_there_is_room() {
    let expected = "\
Voice: 5 voice flows, worst first
source                                → destination                           ssrc        codec/PT  direction  why       packets  lost   loss %  dup  reord  jitter ms  jitter max  gap ms  duration
10.0.0.3:5004                         → 10.0.0.2:6000                         0x00001a2b  pcmu/0    ↓ receive  !! loss       940    60  !! 6.00    2      3       2.00        4.00     120     1m05s
10.0.0.4:5004                         → 10.0.0.2:6000                         0x00001a2b  pcmu/0    ↓ receive  ! loss        970    30   ! 3.00    2      3       2.00        4.00     120     1m05s
10.0.0.9:5004                         → 10.0.0.2:6000                         0x00001a2b  pcmu/0    ↓ receive  ! jitter     1000     0        0    2      3     ! 31.0        62.0     120     1m05s
10.0.0.1:5004                         → 10.0.0.2:6000                         0x00001a2b  pcmu/0    ↓ receive  fine         1000     0        0    2      3       1.50        3.00     120     1m05s
[2001:db8:85a3::8a2e:370:7334]:50004  → [2001:db8:85a3::8a2e:370:7335]:50006  0x00000000  –/111     –          –               0     0        –    0      0          –           –       –      0 ms
! loss, late, one-way > 1 %, jitter > 30 ms, round trip > 400 ms, MOS < 3.6
!! loss, late, one-way > 5 %, MOS < 3.1

TCP: 2 connections, worst first
client          → server        role     connect ms  srtt ms  min rtt ms  retrans        in       out
10.0.0.1:40000  → 10.0.0.2:443  server         1.25    0.035       0.020        4  2.00 KiB  3.00 MiB
–               → –             unknown           –        –           –        0       0 B       0 B

Ledger: 99.99 % complete, lost by stage and reason:
  ring/full 12, map/full 3
";
    let text = render(&snapshot(), Style::default());
    assert_eq!(text, expected, "\n{text}");
}

#[test]
fn a_narrow_terminal_gets_fewer_columns_and_short_addresses() {
    let expected = "\
Voice: 5 voice flows, worst first
source                    → destination             why        loss %  jitter ms
10.0.0.3:5004             → 10.0.0.2:6000           !! loss   !! 6.00       2.00
10.0.0.4:5004             → 10.0.0.2:6000           ! loss     ! 3.00       2.00
10.0.0.9:5004             → 10.0.0.2:6000           ! jitter        0     ! 31.0
10.0.0.1:5004             → 10.0.0.2:6000           fine            0       1.50
[2001:db8:8…:7334]:50004  → [2001:db8…:7335]:50006  –               –          –
";
    let text: String = at(80).lines().take(7).map(|line| format!("{line}\n")).collect();
    assert_eq!(text, expected, "\n{text}");
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for width in 50..200 {
        let text = at(width);
        let widest = text.lines().map(grid::width).max();
        assert!(widest <= Some(usize::from(width)), "{width}:\n{text}");
    }
}

#[test]
fn colour_adds_nothing_but_colour() {
    let coloured = render(&snapshot(), Style { colour: true, width: None });
    let mut plain = coloured.clone();
    for code in ["\x1b[0m", "\x1b[1m", "\x1b[31m", "\x1b[33m"] {
        assert!(plain.contains(code), "{code:?}");
        plain = plain.replace(code, "");
    }
    assert_eq!(plain, render(&snapshot(), Style::default()));
}

#[test]
fn nothing_is_said_in_words() {
    let text = render(&Snapshot::default(), Style { colour: false, width: Some(80) });
    assert_eq!(
        text,
        "Voice: no voice flow seen\n\nTCP: no connection seen\n\nLedger: 100 % complete, nothing lost\n"
    );
}

#[test]
fn a_name_cannot_command_the_terminal() {
    let mut hostile = snapshot();
    hostile.voice[0].codec = Some("\x1b]0;x\x07".to_owned());
    hostile.tcp[0].role = "\r\n".to_owned();
    hostile.ledger.lost[0].stage = "\x1b[2J".to_owned();
    let text = render(&hostile, Style::default());
    assert!(!text.contains(|letter: char| letter.is_control() && letter != '\n'), "{text:?}");
    assert_eq!(text.lines().count(), at(200).lines().count());
}

#[test]
fn calls_without_media_have_a_table_of_their_own() {
    let setup = |phase: &str, duration_ms| Setup {
        local: "10.0.0.2:5004".to_owned(),
        peer: "192.0.2.7:61000".to_owned(),
        phase: phase.to_owned(),
        duration_ms,
        ..Setup::default()
    };
    let setups = vec![setup("ice", 350.0), setup("dtls", 12_000.0), setup("media", 7_000.0)];
    let snapshot = Snapshot { setups, ..Snapshot::default() };
    let text = render(&snapshot, Style { colour: false, width: Some(80) });
    let (_, text) = text.split_once("\n\n").unwrap();
    let expected = "\
Setting up: 3 calls, worst first
near end       ↔ far end          why       duration
10.0.0.2:5004  ↔ 192.0.2.7:61000  no DTLS     12.0 s
10.0.0.2:5004  ↔ 192.0.2.7:61000  no media     7.0 s
10.0.0.2:5004  ↔ 192.0.2.7:61000  no pair     350 ms

TCP: no connection seen
";
    assert!(text.starts_with(expected), "\n{text}");
}
