//! Records of voice flows, as a real collector gets them of a real observer.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod peers {
    pub(crate) mod cache;
    pub(crate) mod folder;
    #[expect(dead_code, reason = "these tests ask for voice alone")]
    pub(crate) mod observer;
    pub(crate) mod otelcol;
    pub(crate) mod patience;
    #[expect(dead_code, reason = "a collector has nothing to say and is killed")]
    pub(crate) mod process;
}

use std::{
    collections::{BTreeMap, BTreeSet},
    net::UdpSocket,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use observer::export::{otlp::ATTRIBUTES, snapshot::Voice};
use peers::{
    observer::{Observer, PATIENCE},
    otelcol::{Otelcol, Span},
    patience::until,
};

/// One test at a time: each sees the whole host.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How far a time on the wall may be from the sender's: the clocks of both are read one
/// after the other, and the sender may be interrupted in between.
const NEAR_NS: u64 = 100_000_000;

const CALLS: u32 = 8;
const FIRST: u32 = 0x51ab_0000;

/// A call over loopback, whose sequence has a hole, a repetition and a late packet.
struct Call {
    ssrc: u32,
    address: &'static str,
    payload_type: u8,
    sender: UdpSocket,
    receiver: UdpSocket,
    /// When the first packet went, and the last.
    times_ns: [u64; 2],
}

impl Call {
    fn new(number: u32) -> Self {
        let address = if number.is_multiple_of(2) { "127.0.0.1" } else { "::1" };
        let payload_type = [0, 8, 9, 111][number as usize % 4];
        let [sender, receiver] = [(); 2].map(|()| UdpSocket::bind((address, 0)).unwrap());
        Self { ssrc: FIRST + number, address, payload_type, sender, receiver, times_ns: [0; 2] }
    }

    fn send(&mut self, sequence: u16) {
        let mut packet = [0xd5; 172];
        packet[..2].copy_from_slice(&[0x80, self.payload_type]);
        packet[2..4].copy_from_slice(&sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
        packet[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        let now = now_ns();
        self.sender.send_to(&packet, self.receiver.local_addr().unwrap()).unwrap();
        let [first, _] = self.times_ns;
        self.times_ns = [if first == 0 { now } else { first }, now];
    }
}

fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

/// The figures of all calls' flows, by SSRC and direction.
fn flows(observer: &Observer, ssrcs: impl Iterator<Item = u32>) -> BTreeMap<(u32, String), Voice> {
    let all = ssrcs.flat_map(|ssrc| observer.flows(ssrc));
    all.map(|flow| ((flow.ssrc, flow.direction.clone().unwrap()), flow)).collect()
}

fn ours(collector: &Otelcol, ssrcs: &[u32]) -> Vec<Span> {
    let mut spans = collector.spans();
    spans.retain(|span| {
        let ssrc = span.number("rtp.ssrc").unwrap() as u32;
        ssrcs.contains(&ssrc)
    });
    spans
}

/// Each figure of the snapshot under the name that it has in a record, in its unit.
fn figures(flow: &Voice) -> [(&'static str, Option<f64>); 29] {
    let count = |count: u64| Some(count as f64);
    let seconds = |ms: Option<f64>| ms.map(|ms| ms / 1e3);
    [
        ("rtp.payload_type", count(flow.payload_type.into())),
        ("rtp.clock_rate", count(flow.clock_rate.into())),
        ("rtp.ssrc", count(flow.ssrc.into())),
        ("observer.voice.packets", count(flow.packets)),
        ("observer.voice.expected_packets", count(flow.expected)),
        ("observer.voice.lost_packets", count(flow.lost)),
        ("observer.voice.duplicate_packets", count(flow.duplicates)),
        ("observer.voice.reordered_packets", count(flow.reordered)),
        ("observer.voice.io", count(flow.packets * 172)),
        ("observer.voice.loss.ratio", Some(flow.loss_ratio)),
        ("observer.voice.jitter", seconds(Some(flow.jitter_ms))),
        ("observer.voice.jitter_mean", seconds(flow.jitter_mean_ms)),
        ("observer.voice.jitter_max", seconds(flow.jitter_max_ms)),
        ("observer.voice.delta_max", seconds(flow.delta_max_ms)),
        ("observer.voice.bursts", flow.bursts.map(|bursts| bursts as f64)),
        ("observer.voice.burst.ratio", flow.burst_loss_ratio),
        ("observer.voice.burst.density", flow.burst_density),
        ("observer.voice.gap.density", flow.gap_density),
        ("observer.voice.late.ratio.fixed_50ms", flow.late.map(|late| late.fixed_50ms)),
        ("observer.voice.late.ratio.fixed_200ms", flow.late.map(|late| late.fixed_200ms)),
        ("observer.voice.late.ratio.adaptive", flow.late.map(|late| late.adaptive)),
        ("observer.voice.rating", flow.score.as_ref().map(|score| score.r)),
        ("observer.voice.mouth_to_ear", seconds(flow.score.as_ref().map(|score| score.delay_ms))),
        ("observer.voice.ie", flow.score.as_ref().map(|score| score.ie)),
        ("observer.voice.bpl", flow.score.as_ref().map(|score| score.bpl)),
        ("observer.voice.hop.delay", seconds(flow.hop_delay_ms)),
        ("observer.voice.hop.delay_max", seconds(flow.hop_delay_max_ms)),
        ("observer.voice.rtt", seconds(flow.rtt_ms)),
        ("observer.voice.mos", flow.mos),
    ]
}

#[track_caller]
fn agrees(span: &Span, flow: &Voice, call: &Call, has_ended: bool) {
    assert_eq!((&span.value["name"], &span.value["kind"]), (&"voice.flow".into(), &1.into()));
    assert_eq!(Some(&span.service), flow.service.as_ref());
    assert_eq!(span.text("network.io.direction"), flow.direction.as_deref());
    assert_eq!(span.text("voice.codec"), flow.codec.as_deref());
    assert_eq!(span.text("voice.model"), flow.score.as_ref().map(|score| score.model.as_str()));
    assert_eq!(span.text("voice.no_score"), flow.no_score.as_deref());
    assert_eq!(span.attributes["observer.voice.ended"]["boolValue"], has_ended);
    for (name, expected) in figures(flow) {
        let found = span.number(name);
        let is_same = match (found, expected) {
            (Some(found), Some(expected)) => (found - expected).abs() < 1e-12,
            (found, expected) => found == expected,
        };
        assert!(is_same, "{name}: {found:?}, in the snapshot {expected:?}");
    }
    let [start, end] = ["startTimeUnixNano", "endTimeUnixNano"].map(|name| span.time(name));
    for (time, sent) in [start, end].into_iter().zip(call.times_ns) {
        assert!((sent..sent + NEAR_NS).contains(&(time + 1_000_000)), "{time}, sent at {sent}");
    }
    let lasted_ms = (end - start) as f64 / 1e6;
    assert!((lasted_ms - flow.duration_ms).abs() < 1e-6, "{lasted_ms} {}", flow.duration_ms);
}

#[test]
fn each_flow_that_ends_is_one_span_with_the_figures_of_the_snapshot() {
    let _turn = turn();
    let test = "each_flow_that_ends_is_one_span_with_the_figures_of_the_snapshot";
    for protocol in ["grpc", "http/protobuf"] {
        let Some(collector) = Otelcol::start(test) else { return };
        let endpoint = collector.endpoint(protocol);
        let observer = Observer::start(&[
            "--otlp-endpoint",
            &endpoint,
            "--otlp-protocol",
            protocol,
            "--flow-idle-timeout",
            "3s",
        ]);
        let mut calls: Vec<_> = (0..CALLS).map(Call::new).collect();
        for sequence in [1, 2, 3, 5, 6, 6, 8, 7, 9, 10, 11] {
            calls.iter_mut().for_each(|call| call.send(sequence));
            thread::sleep(Duration::from_millis(20));
        }
        let ssrcs: Vec<_> = calls.iter().map(|call| call.ssrc).collect();
        let mut latest = BTreeMap::new();
        until(PATIENCE, "every flow", || {
            latest = flows(&observer, ssrcs.iter().copied());
            latest.len() == 2 * calls.len() && latest.values().all(|flow| flow.packets == 11)
        });
        until(PATIENCE, "their end", || flows(&observer, ssrcs.iter().copied()).is_empty());

        // Some are alive when the observer ends.
        let mut alive: Vec<_> = (CALLS..CALLS + 3).map(Call::new).collect();
        for sequence in 1..=5 {
            alive.iter_mut().for_each(|call| call.send(sequence));
        }
        let alive_ssrcs: Vec<_> = alive.iter().map(|call| call.ssrc).collect();
        until(PATIENCE, "the others", || {
            let flows = flows(&observer, alive_ssrcs.iter().copied());
            let all = flows.len() == 2 * alive.len() && flows.values().all(|it| it.packets == 5);
            latest.extend(flows);
            all
        });
        let losses = observer.get("/metrics");
        let lost = losses.lines().filter(|line| {
            line.starts_with("observer_events_lost_total") && line.contains("stage=\"otlp\"")
        });
        let lost: Vec<_> = lost.filter(|line| !line.ends_with(" 0")).collect();
        assert!(lost.is_empty(), "{protocol}: {lost:#?}");
        observer.signal(libc::SIGTERM);
        calls.extend(alive);
        let ssrcs = [ssrcs, alive_ssrcs].concat();
        until(PATIENCE, "every record", || ours(&collector, &ssrcs).len() >= 2 * calls.len());
        until(PATIENCE, "the observer's end", || observer.get("/readyz").is_empty());
        thread::sleep(Duration::from_millis(300));

        let spans = ours(&collector, &ssrcs);
        assert_eq!(spans.len(), latest.len(), "{protocol}: one record a flow");
        let traces: BTreeSet<_> =
            spans.iter().map(|span| span.value["traceId"].as_str().unwrap()).collect();
        assert_eq!(traces.len(), spans.len(), "{protocol}: each is a trace of its own");
        for span in &spans {
            let ssrc = span.number("rtp.ssrc").unwrap() as u32;
            let key = (ssrc, span.text("network.io.direction").unwrap().to_owned());
            let call = calls.iter().find(|call| call.ssrc == ssrc).unwrap();
            agrees(span, &latest[&key], call, ssrc < FIRST + CALLS);
        }
        is_private(&collector, &calls);
        println!("{protocol}: {} records, each as the snapshot had it", spans.len());
    }
}

/// No address, whatever it is written like, and no attribute but those that are listed.
#[track_caller]
fn is_private(collector: &Otelcol, calls: &[Call]) {
    let text = collector.text();
    for call in calls {
        for socket in [&call.sender, &call.receiver] {
            let end = socket.local_addr().unwrap();
            assert!(!text.contains(&end.to_string()), "{end}");
            assert!(!text.contains(&format!("\"{}\"", end.port())), "{end}");
        }
        assert!(!text.contains(call.address), "{}", call.address);
    }
    for span in collector.spans() {
        for (name, value) in &span.attributes {
            assert!(ATTRIBUTES.iter().any(|one| one.name == name), "{name}");
            if let Some(text) = value["stringValue"].as_str() {
                let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
                let model = name == "voice.model" && text.starts_with("g107");
                assert!(text.chars().all(is_word) || model, "{name}: {text}");
            }
        }
    }
}

#[test]
fn a_collector_that_is_away_delays_no_reading() {
    let _turn = turn();
    // It takes connections and never answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let observer = Observer::start(&["--otlp-endpoint", &endpoint, "--flow-idle-timeout", "1s"]);
    let readings = || observer.series("observer_reading_duration_seconds_count").unwrap();
    for round in 0..3 {
        let mut call = Call::new(round);
        call.ssrc += 0x1000;
        (1..=5).for_each(|sequence| call.send(sequence));
        until(PATIENCE, "the flow", || observer.flows(call.ssrc).len() == 2);
        until(PATIENCE, "its end", || observer.flows(call.ssrc).is_empty());
        let before = readings();
        thread::sleep(Duration::from_secs(2));
        let more = readings() - before;
        assert!((7.0..=11.0).contains(&more), "{more} readings in 2 s, one each 0.2 s");
    }
}
