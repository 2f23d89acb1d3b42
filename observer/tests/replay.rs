//! `observer replay` against captures whose answers tshark 4.0 gave
//! (`fixtures/captures/README.md`). Needs no privileges.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    env, fs,
    io::Write as _,
    path::PathBuf,
    process::{self, Command, Output, Stdio},
};

use observer::export::snapshot::{Snapshot, Voice};

fn capture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/captures").join(name)
}

fn replay(name: &str) -> Snapshot {
    replay_with(name, &[])
}

fn replay_with(name: &str, options: &[&str]) -> Snapshot {
    let output = Command::new(env!("CARGO_BIN_EXE_observer"))
        .args(["replay", "--format", "json"])
        .args(options)
        .arg(capture(name))
        .output()
        .unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The replay of a capture on standard input, and how it ended.
fn replay_bytes(bytes: &[u8]) -> (Snapshot, Output) {
    let mut observer = Command::new(env!("CARGO_BIN_EXE_observer"))
        .args(["replay", "--format", "json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    observer.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = observer.wait_with_output().unwrap();
    (serde_json::from_slice(&output.stdout).unwrap(), output)
}

/// Source, SSRC, packets, expected, lost, duplicates, reordered.
type Answer = (&'static str, u32, u64, u64, u64, u64, u64);

fn answers(snapshot: &Snapshot) -> Vec<(&str, u32, u64, u64, u64, u64, u64)> {
    let mut answers: Vec<_> = snapshot
        .voice
        .iter()
        .map(|flow| {
            let Voice { src, ssrc, packets, expected, lost, duplicates, reordered, .. } = flow;
            (src.as_str(), *ssrc, *packets, *expected, *lost, *duplicates, *reordered)
        })
        .collect();
    answers.sort_unstable();
    answers
}

fn lost(snapshot: &Snapshot) -> Vec<(&str, &str, u64)> {
    let lines = snapshot.ledger.lost.iter();
    lines.map(|line| (line.stage.as_str(), line.reason.as_str(), line.count)).collect()
}

#[track_caller]
fn assert_answers(name: &str, expected: &[Answer]) -> Snapshot {
    let snapshot = replay(name);
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(answers(&snapshot), expected, "{name}");
    snapshot
}

fn near(ours: Option<f64>, judge: f64, tolerance: f64) -> bool {
    ours.is_some_and(|ours| (ours - judge).abs() <= tolerance)
}

#[test]
fn g711_played_by_sipp_and_echoed() {
    let snapshot = assert_answers(
        "sipp-g711-echo.pcapng",
        &[
            ("127.0.0.1:6000", 0xdee0_ee8f, 236, 236, 0, 0, 0),
            ("127.0.0.1:7000", 0xdee0_ee8f, 236, 236, 0, 0, 0),
            // The closing packet of the digit comes three times (RFC 4733).
            ("127.0.0.1:6000", 0x0e05_384e, 10, 8, 0, 2, 0),
            ("127.0.0.1:7000", 0x0e05_384e, 10, 8, 0, 2, 0),
        ],
    );
    for flow in snapshot.voice.iter().filter(|flow| flow.payload_type == 8) {
        assert!(near(flow.jitter_mean_ms, 0.3555, 0.001), "{flow:?}");
        assert!(near(flow.jitter_max_ms, 0.831, 0.001), "{flow:?}");
        assert!(near(flow.delta_max_ms, 34.825, 0.003), "{flow:?}");
        assert_eq!((flow.clock_rate, flow.codec.as_deref()), (8_000, Some("pcma")));
    }
}

#[test]
fn opus_in_srtp_between_browsers_that_change_their_path() {
    let snapshot = assert_answers(
        "chromium-opus-srtp-ice-switch.pcapng",
        // 8 packets over IPv4, and 1,523 over IPv6 once ICE found that.
        &[("[fd00::2]:46490", 0x7536_3087, 1_531, 1_531, 0, 0, 0)],
    );
    let flow = &snapshot.voice[0];
    assert_eq!(flow.moves, 1);
    assert!(near(flow.jitter_mean_ms, 0.663 * 1_523.0 / 1_531.0, 0.001), "{flow:?}");
    assert!(near(flow.jitter_max_ms, 4.465, 0.001), "{flow:?}");
    assert!(near(flow.delta_max_ms, 48.025, 0.002), "{flow:?}");
}

#[test]
fn opus_in_srtp_between_aiortc_peers() {
    let expected = [("192.0.2.2:41914", 0x0382_cabb, 798, 798, 0, 0, 0)];
    assert_answers("aiortc-opus-srtp.pcapng", &expected);
}

#[test]
fn a_relayed_call_with_loss_reordering_and_a_pause() {
    let snapshot = assert_answers(
        "kakaotalk-four-streams.pcap",
        &[
            ("10.24.82.188:11320", 0x0b86_5519, 757, 760, 3, 0, 0),
            ("10.24.82.188:10268", 0x549a_a5da, 746, 746, 0, 0, 0),
            ("1.201.1.174:23044", 0x549a_a5da, 746, 746, 0, 0, 21),
            ("1.201.1.174:23046", 0x0b86_5519, 742, 745, 3, 0, 26),
        ],
    );
    let longest = snapshot.voice.iter().filter_map(|flow| flow.delta_max_ms).fold(0.0, f64::max);
    assert!((longest - 2_844.36).abs() < 0.01, "{longest}");
}

/// The losses by number, from tshark's `rtp.seq`: 20416, and 18 later 20434 and 20435.
#[test]
fn losses_are_in_bursts_where_they_stand_together() {
    let snapshot = replay("kakaotalk-four-streams.pcap");
    for flow in &snapshot.voice {
        let (bursts, share, burst, gap) = match flow.expected {
            760 => (1, Some(2.0 / 3.0), Some(1.0), 1.0 / 758.0),
            745 => (1, Some(2.0 / 3.0), Some(1.0), 1.0 / 743.0),
            _ => (0, None, None, 0.0),
        };
        assert_eq!(flow.bursts, Some(bursts), "{flow:?}");
        assert_eq!((flow.burst_loss_ratio, flow.burst_density), (share, burst), "{flow:?}");
        assert!(near(flow.gap_density, gap, 1e-9), "{flow:?}");
    }
}

/// Shares of packets that came 50, 200 and 500 ms after the quickest of late, from tshark's
/// `frame.time_epoch` and `rtp.timestamp` at 16 kHz, the quickest forgotten as
/// [`observer_common::rtp::delay`] does. Before its clock is known nothing of a flow is
/// timed, which is a twentieth of these.
#[test]
fn packets_are_late_that_tshark_s_times_say_are() {
    let snapshot = replay("kakaotalk-four-streams.pcap");
    for (src, fixed_50ms, fixed_200ms, beyond_500ms) in [
        ("10.24.82.188:11320", 0.396, 0.0, 0.0),
        ("10.24.82.188:10268", 0.011, 0.0, 0.0),
        ("1.201.1.174:23044", 0.712, 0.513, 0.328),
        ("1.201.1.174:23046", 0.757, 0.512, 0.337),
    ] {
        let flow = snapshot.voice.iter().find(|flow| flow.src == src).unwrap();
        let late = flow.late.unwrap();
        assert!(near(Some(late.fixed_50ms), fixed_50ms, 0.06), "{flow:?}");
        assert!(near(Some(late.fixed_200ms), fixed_200ms, 0.01), "{flow:?}");
        assert!(near(Some(late.adaptive), beyond_500ms, 0.03), "{flow:?}");
        // Half of a second late is no call.
        let mos = flow.mos.unwrap();
        assert_eq!(mos < 1.5, beyond_500ms > 0.3, "{flow:?}");
    }
}

#[test]
fn a_score_says_by_which_model_it_is() {
    let model = |name, options: &[&str]| {
        let snapshot = replay_with(name, options);
        let flow = snapshot.voice.into_iter().find(|flow| flow.packets > 90).unwrap();
        assert!(flow.mos.is_some_and(|mos| mos > 4.2), "{flow:?}");
        let score = flow.score.unwrap();
        assert_eq!(score.vantage, "capture");
        (flow.codec.unwrap_or_default(), score.model, score.delay, score.delay_ms.round())
    };
    let expected = |codec: &str, model: &str, delay: &str, ms| {
        (codec.to_owned(), model.to_owned(), delay.to_owned(), ms)
    };
    let opus = &["--voice-codecs", "{96: opus}"];
    let quick = &["--voice-assumed-delay", "20ms"];
    // 50 or 20 ms of network, 20 of an adaptive buffer, 20 of a packet, 6.5 of Opus' own.
    let pcma = |ms| expected("pcma", "g107", "assumed", ms);
    assert_eq!(model("g711-raw-ip.pcap", &[]), pcma(90.0));
    assert_eq!(model("g711-raw-ip.pcap", quick), pcma(60.0));
    // Checks were answered within a millisecond.
    let unknown = expected("", "codec_unknown", "measured", 40.0);
    assert_eq!(model("aiortc-opus-srtp.pcapng", &[]), unknown);
    let known = expected("opus", "g107.2", "measured", 47.0);
    assert_eq!(model("aiortc-opus-srtp.pcapng", opus), known);
}

/// Of the flows that find no room, each packet that follows the one before it is counted.
#[test]
fn a_table_of_one_flow_counts_what_the_others_lose() {
    let snapshot = replay_with("kakaotalk-four-streams.pcap", &["--max-flows", "1"]);
    assert_eq!(snapshot.voice.len(), 1);
    assert_eq!(lost(&snapshot), [("voice", "table_full", 745 + 699 + 682)]);
}

#[test]
fn every_file_format_and_link_layer_gives_one_answer() {
    let variants = [
        "ethernet.pcapng",
        "big-endian.pcapng",
        "nanoseconds.pcap",
        "microseconds.pcap",
        "linux-cooked-v1.pcap",
        "linux-cooked-v2.pcap",
        "raw-ip.pcap",
        "loopback.pcap",
        "vlan.pcap",
        "stacked-vlan.pcap",
    ];
    for variant in variants {
        let name = format!("g711-{variant}");
        let expected = [("127.0.0.1:6000", 0xdee0_ee8f, 100, 100, 0, 0, 0)];
        let snapshot = assert_answers(&name, &expected);
        let flow = &snapshot.voice[0];
        assert!(near(flow.jitter_mean_ms, 0.256, 0.001), "{name}: {flow:?}");
        assert!(near(flow.jitter_max_ms, 0.495, 0.001), "{name}: {flow:?}");
    }
}

/// The frames of `g711-microseconds.pcap`, each with `before` between its addresses and
/// its IP header.
fn reframed(before: &[u8]) -> Vec<u8> {
    let file = g711();
    let (header, mut rest) = file.split_at(24);
    let mut reframed = header.to_vec();
    while !rest.is_empty() {
        let (record, behind) = rest.split_at(16);
        let (frame, next) = behind.split_at(280 + 14);
        let length = (280 + 12 + before.len() as u32).to_le_bytes();
        for part in [&record[..8], &length, &length, &frame[..12], before, &frame[14..]] {
            reframed.extend_from_slice(part);
        }
        rest = next;
    }
    reframed
}

#[test]
fn a_call_over_pppoe_is_followed() {
    let snapshot = replay_bytes(&reframed(&[0x88, 0x64, 0x11, 0, 0, 7, 1, 26, 0, 0x21])).0;
    let expected = ("127.0.0.1:6000", 0xdee0_ee8f, 100, 100, 0, 0, 0);
    assert_eq!(answers(&snapshot), [expected]);
    assert_eq!(lost(&snapshot), []);
}

#[test]
fn a_call_inside_what_is_not_read_is_in_the_ledger() {
    let snapshot = replay_bytes(&reframed(&[0x88, 0x47, 0, 1, 0x01, 64])).0;
    assert_eq!(answers(&snapshot), []);
    assert_eq!(lost(&snapshot), [("capture", "unsupported_encapsulation", 100)]);
}

/// 100 packets, each 16 bytes of record and 294 of frame behind the file's header of 24.
fn g711() -> Vec<u8> {
    fs::read(capture("g711-microseconds.pcap")).unwrap()
}

#[track_caller]
fn assert_ends(output: &Output, code: i32, word: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert_eq!(said.matches(word).count(), 1, "{said}");
}

#[test]
fn a_damaged_capture_gives_what_stands_before_the_damage() {
    let mut file = g711();
    let record = 24 + 60 * 310;
    file[record + 8..record + 12].fill(0xff);
    let (snapshot, output) = replay_bytes(&file);
    assert_ends(&output, 1, &format!("byte {record} claims"));
    assert_eq!(snapshot.voice[0].packets, 60);
    assert_eq!(lost(&snapshot), [("capture", "file_damaged", 1)]);
}

#[test]
fn a_capture_that_is_cut_off_gives_its_whole_packets_and_says_so() {
    let (snapshot, output) = replay_bytes(&g711()[..24 + 60 * 310 + 100]);
    assert_ends(&output, 0, "ends in the middle of a packet");
    assert_eq!(snapshot.voice[0].packets, 60);
    assert_eq!(lost(&snapshot), [("capture", "file_cut_off", 1)]);
}

#[test]
fn a_clock_that_goes_back_is_told_once() {
    let file = g711();
    let records = file[24..].rchunks_exact(310);
    let backwards: Vec<u8> = file[..24].iter().chain(records.flatten()).copied().collect();
    let (snapshot, output) = replay_bytes(&backwards);
    assert_ends(&output, 0, "clock goes back 99 times");
    assert_eq!(lost(&snapshot), []);
}

#[test]
fn a_pipe_is_read_once() {
    let pipe = env::temp_dir().join(format!("observer-replay-{}", process::id()));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let observer = Command::new(env!("CARGO_BIN_EXE_observer"))
        .args(["replay", "--format", "json"])
        .arg(&pipe)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    fs::write(&pipe, g711()).unwrap();
    let output = observer.wait_with_output().unwrap();
    fs::remove_file(&pipe).unwrap();
    let snapshot: Snapshot = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(snapshot.voice[0].packets, 100);
}

#[test]
fn what_is_not_voice_yields_no_flow() {
    for name in [
        "dns.pcapng",
        "quic.pcapng",
        "random-udp.pcapng",
        "rtcp-only.pcapng",
        "stun-dtls-only.pcapng",
        "sdp-prefix-opus.pcap",
    ] {
        let snapshot = replay(name);
        assert_eq!(snapshot.voice, [], "{name}");
        assert!(snapshot.ledger.lost.is_empty(), "{name}: {:?}", snapshot.ledger);
    }
}

#[test]
fn a_replay_knows_no_process_and_no_direction() {
    let snapshot = replay("g711-raw-ip.pcap");
    assert_eq!(snapshot.voice[0].direction, None);
    assert!(snapshot.tcp.is_empty() && snapshot.websockets.is_empty());
}

/// The `KakaoTalk` call without what the relay's port 23044 sends within these seconds.
fn without_the_relay(gone: std::ops::Range<u32>) -> Vec<u8> {
    let file = fs::read(capture("kakaotalk-four-streams.pcap")).unwrap();
    let word = |bytes: &[u8]| u32::from_le_bytes(bytes[..4].try_into().unwrap());
    let (header, mut rest) = file.split_at(24);
    let first = word(rest);
    let mut kept = header.to_vec();
    while !rest.is_empty() {
        let (record, next) = rest.split_at(16 + word(&rest[8..]) as usize);
        let is_of_relay = record.get(44..48) == Some(&[1, 201, 1, 174])
            && record.get(52..54) == Some(&23_044_u16.to_be_bytes());
        if !(is_of_relay && gone.contains(&(word(record) - first))) {
            kept.extend_from_slice(record);
        }
        rest = next;
    }
    kept
}

#[test]
fn a_call_that_is_silent_for_a_while_and_one_that_goes_one_way_say_so() {
    let told = |gone| {
        let mut snapshot = replay_bytes(&without_the_relay(gone)).0;
        snapshot.voice.sort_by(|a, b| a.src.cmp(&b.src));
        let known = |flow: Voice| (flow.src, flow.interruptions.unwrap());
        snapshot.voice.into_iter().map(known).collect::<Vec<_>>()
    };
    for (gone, silence, one_way) in [(50..56, 1, 0), (50..80, 0, 1)] {
        for (src, known) in told(gone.clone()) {
            let is_it = src == "1.201.1.174:23044";
            let expected = if is_it { (silence, one_way) } else { (0, 0) };
            assert_eq!((known.silence, known.one_way), expected, "{src}: {known:?}");
            if is_it {
                let is_one_way = known.current.as_deref() == Some("one_way");
                assert_eq!(is_one_way, one_way == 1);
                // By tshark's times, the pause of the call before the cut with it.
                assert!(silence == 0 || near(Some(known.silence_ms), 7_502.6, 1.0), "{known:?}");
                // 28 s, but for what the last look, a quarter of 15 s, did not see.
                assert!(one_way == 0 || near(Some(known.one_way_ms), 26_150.0, 1_900.0));
            }
        }
    }
}

#[test]
fn the_table_says_that_audio_goes_one_way() {
    let path = env::temp_dir().join(format!("observer-one-way-{}.pcap", process::id()));
    fs::write(&path, without_the_relay(50..80)).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_observer")).arg("replay").arg(&path).output();
    fs::remove_file(&path).unwrap();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    let worst = text.lines().nth(2).unwrap();
    assert!(worst.starts_with("1.201.1.174:23044") && worst.contains("!! one-way"), "{text}");
    assert_eq!(text.matches("!! one-way").count(), 1, "{text}");
}

/// A capture shows both ends, and a call is one row.
#[test]
fn a_call_without_its_media_is_being_set_up() {
    let name = "stun-dtls-only.pcapng";
    let [call] = &replay(name).setups[..] else { panic!("one call") };
    assert_eq!((call.local.as_str(), call.phase.as_str()), ("192.0.2.2:37858", "media"));
    // By tshark, from the first check to the last packet.
    assert!(near(Some(call.duration_ms), 29_053.247_632, 0.001), "{call:?}");
    assert_eq!(replay("chromium-opus-srtp-ice-switch.pcapng").setups, []);
    assert_eq!(replay("aiortc-opus-srtp.pcapng").setups, []);
}

/// The call in a TCP stream, with its records in another order.
fn in_another_order(swap: impl Fn(&mut Vec<Vec<u8>>)) -> Vec<u8> {
    let file = fs::read(capture("gstreamer-opus-rfc4571.pcap")).unwrap();
    let (header, mut rest) = file.split_at(24);
    let mut records = Vec::new();
    while !rest.is_empty() {
        let length = u32::from_le_bytes(rest[8..12].try_into().unwrap());
        let (record, next) = rest.split_at(16 + length as usize);
        records.push(record.to_vec());
        rest = next;
    }
    swap(&mut records);
    [header, &records.concat()].concat()
}

#[test]
fn opus_in_a_tcp_stream() {
    let whole = |reordered| ("10.45.71.1:53072", 0x4571_4571, 251, 251, 0, 0, reordered);
    let snapshot = assert_answers("gstreamer-opus-rfc4571.pcap", &[whole(0)]);
    assert!(near(snapshot.voice[0].delta_max_ms, 20.026, 0.001), "{:?}", snapshot.voice[0]);
    assert_eq!((snapshot.voice[0].transport.as_str(), lost(&snapshot)), ("tcp", vec![]));

    // Each tenth segment overtaken by three others, as if it had been sent again.
    let late = in_another_order(|records| {
        for at in (21..400).step_by(20) {
            let segment = records.remove(at);
            records.insert(at + 6, segment);
        }
    });
    let (snapshot, _) = replay_bytes(&late);
    assert_eq!(answers(&snapshot)[0].2, 251);
    assert!(answers(&snapshot)[0].6 >= 9, "{:?}", answers(&snapshot));
    assert_eq!((snapshot.voice[0].lost, lost(&snapshot)), (0, vec![]));

    // Twice, and without its end.
    let twice = in_another_order(|records| {
        *records = records.iter().flat_map(|record| [record.clone(), record.clone()]).collect();
    });
    assert_eq!(answers(&replay_bytes(&twice).0), [whole(0)]);
    let cut = in_another_order(|records| {
        for record in records {
            let kept = record.len().min(16 + 14 + 52 + 20);
            record.truncate(kept);
            record[8..12].copy_from_slice(&(kept as u32 - 16).to_le_bytes());
        }
    });
    let (snapshot, _) = replay_bytes(&cut);
    assert!(snapshot.voice[0].packets > 200, "{:?}", answers(&snapshot));
    let seen = snapshot.voice[0].packets;
    let gaps = lost(&snapshot).iter().map(|(_, _, count)| count).sum::<u64>();
    assert!(seen + gaps >= 251, "{seen} packets and {:?}", lost(&snapshot));
}
