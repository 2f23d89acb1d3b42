//! WebRTC calls of real browsers across network namespaces, with losses that the test
//! knows of: the flows that the kernel side counts against what the receiving browser
//! says of itself (`getStats()`), the firewall's counters and tshark.

mod peers {
    #[expect(dead_code, reason = "nothing here goes over TCP")]
    pub(crate) mod capture;
    #[expect(dead_code, reason = "round trips are not judged here")]
    pub(crate) mod chromium;
    pub(crate) mod coturn;
    pub(crate) mod device;
    pub(crate) mod ends;
    pub(crate) mod firewall;
    pub(crate) mod folder;
    #[expect(dead_code, reason = "a relay listens as it does")]
    pub(crate) mod gstreamer;
    #[expect(dead_code, reason = "nothing here goes over TCP")]
    pub(crate) mod janus;
    #[expect(dead_code, reason = "browsers have jitter of their own between the two looks")]
    pub(crate) mod judge;
    pub(crate) mod loss;
    pub(crate) mod namespace;
    pub(crate) mod observed;
    pub(crate) mod office;
    pub(crate) mod patience;
    pub(crate) mod process;
    pub(crate) mod samples;
    pub(crate) mod tool;
    #[expect(dead_code, reason = "its own count is not that of SRTP")]
    pub(crate) mod tshark;
    pub(crate) mod tunnel;
}

use std::{net::SocketAddr, thread::sleep, time::Duration};

use observer::{
    model::{Direction, VoiceFlow},
    source::ebpf::read::Kernel,
};
use peers::{
    capture::Capture,
    chromium::{self, Chromium, Counts},
    coturn::Coturn,
    ends::{DEVICE, Ends},
    firewall::Firewall,
    folder::Folder,
    janus::{self, Janus},
    judge::{Truth, counts_agree},
    loss,
    namespace::Namespace,
    observed,
    office::Office,
    patience::until,
    samples::{SPACING, median},
    tool,
    tshark::{self, Count},
    tunnel::Tunnel,
};
use serde_json::json;

const CHROMIUM: [&str; 5] = ["ip", "nft", "tcpdump", "tshark", "chromium"];
/// Opus' payload type in Chromium.
const OPUS: u8 = 111;
/// Looks at the jitter of both.
const SAMPLES: u32 = 40;
/// Longest wait for the first packet of a call that stands.
const PATIENCE: Duration = Duration::from_secs(10);
/// From the last packet to the moment when the receiver has taken it.
const SETTLE: Duration = Duration::from_millis(500);

/// The flow of a stream in one direction.
fn flow(kernel: &mut Kernel, direction: Direction, ssrc: u32) -> VoiceFlow {
    let mut flows = kernel.flows().expect("the map can be read");
    flows.retain(|flow| (flow.key.ssrc, flow.key.direction) == (ssrc, direction));
    assert_eq!(flows.len(), 1, "{ssrc:#x}: {flows:#?}, {:?}", observed::losses(kernel));
    flows[0]
}

/// What stands beside a stream on its way from one end to the other.
struct Beside<'a> {
    name: &'a str,
    kernel: Kernel,
    firewall: Firewall<'a>,
    capture: Capture,
    _folder: Folder,
}

/// What came of a stream.
struct Outcome {
    /// As it went past the receiver's socket.
    received: VoiceFlow,
    /// Packets that came after a later one, by tshark's reading of the order.
    reordered: u64,
    /// Medians of the jitter, ours and the browser's, in ms.
    jitter_ms: (f64, f64),
    /// Our mean of the jitter and the one by tshark's times, in ms.
    mean_jitter_ms: (f64, f64),
}

impl<'a> Beside<'a> {
    /// Loses three packets in a hundred on their way out of `from`, but for the first, so
    /// that the flow has begun; captures what comes to `to`.
    fn new(name: &'a str, from: &'a Namespace, to: &Namespace) -> Self {
        let rules = loss::of(OPUS, 3);
        let folder = Folder::new();
        Self {
            name,
            kernel: observed::kernel(),
            firewall: Firewall::new(from, &format!("egress device {DEVICE}"), &rules),
            capture: Capture::start(to, &folder),
            _folder: folder,
        }
    }

    /// Looks at the jitter of what a browser hears for a while: medians, ours and its own.
    fn watch(&mut self, listener: &Chromium<'_>) -> (f64, f64) {
        let mut ssrc = 0;
        until(PATIENCE, "a stream", || {
            ssrc = listener.counts().received_ssrc;
            ssrc != 0
        });
        listener.begin("sample", json!(SAMPLES));
        let ours = (0..SAMPLES).map(|_| {
            sleep(SPACING);
            let flow = flow(&mut self.kernel, Direction::Receive, ssrc);
            flow.stream.jitter_ns() as f64 / 1e6
        });
        let ours = median(ours.collect());
        (ours, median(listener.samples().iter().map(|sample| sample.jitter_ms).collect()))
    }

    /// Judges the counts of a stream that has ended: the observer's, tshark's, the
    /// firewall's, and what the browser `heard`.
    fn judge(mut self, heard: &Counts, jitter_ms: (f64, f64)) -> Outcome {
        let (name, ssrc) = (self.name, heard.received_ssrc);
        let capture = self.capture.stop();
        let received = flow(&mut self.kernel, Direction::Receive, ssrc);
        let port = SocketAddr::from(received.destination()).port();
        let arrived = tshark::sequence_numbers(&capture, port, ssrc);
        let (seen, dropped) = (self.firewall.count("seen"), self.firewall.count("dropped"));
        let truth = Truth::new(arrived[0], seen, &arrived);
        let edges = counts_agree(name, &received, Count::of(&arrived), &truth, dropped);
        assert_eq!((edges.in_probation, edges.lost_before, edges.lost_in_probation), (0, 0, 0));
        println!("{name}: the browser: {heard:?}");
        let ours = &received.stream;
        assert_eq!(ours.packets, heard.received, "{name}: packets, ours and getStats");
        assert_eq!(ours.lost() as i64, heard.lost, "{name}: lost, ours and getStats");
        assert!(dropped > 0, "{name}: some were lost");
        let sent = flow(&mut self.kernel, Direction::Transmit, ssrc).stream;
        assert_eq!((sent.packets, sent.lost()), (seen, 0), "{name}: before the loss");

        let mean = ours.jitter_sum_ns as f64 / 1e6 / ours.jitter_samples as f64;
        let theirs = tshark::mean_jitter_ms(&capture, port, ssrc, 48_000);
        let reordered = behind(&arrived);
        println!(
            "{name}: median jitter {:.3} ms (getStats {:.3} ms), mean {mean:.3} ms (by tshark's \
             times {theirs:.3} ms), reordered {} (tshark {reordered})",
            jitter_ms.0, jitter_ms.1, ours.reordered,
        );
        Outcome { received, reordered, jitter_ms, mean_jitter_ms: (mean, theirs) }
    }
}

/// Two browsers talk, and what the callee hears is judged.
fn talk(name: &str, ends: &Ends, more: &str) -> Outcome {
    let mut beside = Beside::new(name, &ends.near, &ends.far);
    let office = Office::new(chromium::PAGE);
    let caller = Chromium::start(&ends.near, &office, "caller", more);
    let callee = Chromium::start(&ends.far, &office, "callee", more);
    for browser in [&caller, &callee] {
        browser.connected();
    }
    let jitter_ms = beside.watch(&callee);
    for browser in [&caller, &callee] {
        browser.ask("talk", json!(false));
    }
    sleep(SETTLE);
    let (said, heard) = (caller.counts(), callee.counts());
    assert_eq!(said.sent_ssrc, heard.received_ssrc, "{name}: one stream");
    assert_eq!(said.sent, beside.firewall.count("seen"), "{name}: packets, getStats and nft");
    beside.judge(&heard, jitter_ms)
}

/// A browser tells its jitter in whole milliseconds, and looks at the time in a process of
/// its own, after the kernel has.
fn times_agree(name: &str, outcome: &Outcome) {
    let (ours, theirs) = outcome.jitter_ms;
    assert!((ours - theirs).abs() <= (theirs * 0.2).max(1.0), "{name}: median jitter");
    let (ours, theirs) = outcome.mean_jitter_ms;
    assert!((ours - theirs).abs() <= (theirs * 0.05).max(0.05), "{name}: mean jitter");
}

/// How many of them came behind a later one.
fn behind(arrived: &[u16]) -> u64 {
    let mut highest = arrived[0];
    let mut count = 0;
    for number in arrived {
        if (number.wrapping_sub(highest) as i16) < 0 {
            count += 1;
        } else {
            highest = *number;
        }
    }
    count
}

/// Up to so many µs that look random.
fn random_us(number: u32, most: u64) -> Duration {
    let mut random = number.wrapping_mul(0x85eb_ca6b);
    random = (random ^ random >> 13).wrapping_mul(0xc2b2_ae35);
    Duration::from_micros(u64::from(random ^ random >> 16) % most)
}

#[test]
fn browsers_with_loss_and_jitter_over_ipv4() {
    let name = "browsers_with_loss_and_jitter_over_ipv4";
    if !tool::all_there(name, &CHROMIUM) {
        return;
    }
    let tunnel = Tunnel::new(|number| random_us(number, 8_000));
    let outcome = talk(name, &tunnel.ends, "&family=4");
    assert_eq!((outcome.received.stream.reordered, outcome.reordered), (0, 0), "{name}: order");
    times_agree(name, &outcome);
}

/// Packets of 20 ms that take up to 50 come in any order, and are neither lost nor twice.
/// The first keep theirs, so that everyone begins to count with the same.
#[test]
fn browsers_out_of_order_over_ipv6() {
    let name = "browsers_out_of_order_over_ipv6";
    if !tool::all_there(name, &CHROMIUM) {
        return;
    }
    let tunnel = Tunnel::out_of_order(|number| match number {
        ..100 => Duration::from_millis(25),
        _ => random_us(number, 50_000),
    });
    let outcome = talk(name, &tunnel.ends, "&family=6");
    assert!(outcome.reordered > 0, "{name}: some overtook others");
    assert_eq!(outcome.received.stream.reordered, outcome.reordered, "{name}: out of order");
    assert_eq!(outcome.received.stream.duplicates, 0, "{name}: none came twice");
}

/// Janus sends back what it hears, and what comes back is judged.
#[test]
fn janus_echoes_with_loss() {
    let name = "janus_echoes_with_loss";
    if !tool::all_there(name, &[&CHROMIUM[..], &["janus", &janus::modules()]].concat()) {
        return;
    }
    let ends = Ends::by_cable();
    let mut beside = Beside::new(name, &ends.far, &ends.near);
    let office = Office::new(chromium::PAGE);
    let janus = Janus::start(&ends.far, ends.far_v4);
    let browser = Chromium::start(&ends.near, &office, "janus", &format!("&at={}", janus.url));
    browser.connected();
    let jitter_ms = beside.watch(&browser);
    browser.ask("talk", json!(false));
    sleep(SETTLE);
    let outcome = beside.judge(&browser.counts(), jitter_ms);
    times_agree(name, &outcome);
}

/// The caller's packets go to a relay in `ChannelData`, and on to the callee as they are: what
/// the relay receives is, to the packet, what it transmits and what the callee receives.
#[test]
fn a_call_by_a_relay_is_the_call_behind_it() {
    let name = "a_call_by_a_relay_is_the_call_behind_it";
    if !tool::all_there(name, &[&CHROMIUM[..], &["turnserver"]].concat()) {
        return;
    }
    let mut kernel = observed::kernel();
    let ends = Ends::by_cable();
    let (office, folder) = (Office::new(chromium::PAGE), Folder::new());
    let hook = format!("egress device {DEVICE}");
    let firewall = Firewall::new(&ends.near, &hook, &loss::of_channel_data(OPUS, 3));
    // Relay and callee are one host: between them is its loopback.
    let capture = Capture::on("lo", &ends.far, &folder);
    let coturn = Coturn::start(&ends.far, ends.far_v4);
    let by_relay = format!("&family=4{}", coturn.query);
    let caller = Chromium::start(&ends.near, &office, "caller", &by_relay);
    let callee = Chromium::start(&ends.far, &office, "callee", "&family=4");
    for browser in [&caller, &callee] {
        browser.connected();
    }
    sleep(Duration::from_secs(4));
    for browser in [&caller, &callee] {
        browser.ask("talk", json!(false));
    }
    sleep(SETTLE);
    let (said, heard) = (caller.counts(), callee.counts());
    let ssrc = heard.received_ssrc;
    let (seen, dropped) = (firewall.count("seen"), firewall.count("dropped"));
    let flows = kernel.flows().expect("the map can be read");
    let only = |direction: Direction, local, peer| {
        let is_it = |flow: &&VoiceFlow| {
            let address = |of| SocketAddr::from(of).ip();
            (address(flow.local), address(flow.key.peer)) == (local, peer)
                && (flow.key.ssrc, flow.key.direction) == (ssrc, direction)
        };
        let found: Vec<_> = flows.iter().filter(is_it).collect();
        assert_eq!(found.len(), 1, "{name}: {direction:?} {local} and {peer}: {found:#?}");
        found[0]
    };
    let (near, far) = (ends.near_v4, ends.far_v4);
    let sent = only(Direction::Transmit, near, far);
    let framed = only(Direction::Receive, far, near);
    let plain = [Direction::Transmit, Direction::Receive].map(|way| only(way, far, far));
    let counts = |flow: &VoiceFlow| {
        let flow = &flow.stream;
        (flow.packets, flow.expected(), flow.lost(), flow.duplicates, flow.reordered)
    };
    let port = SocketAddr::from(plain[1].destination()).port();
    let arrived = tshark::sequence_numbers(&capture.stop(), port, ssrc);
    println!(
        "{name}: sent {:?}, to the relay {:?}, behind it {:?}, {said:?}, {heard:?}, nft {seen}, \
         {dropped}, tshark {:?}",
        counts(sent),
        counts(framed),
        plain.map(counts),
        Count::of(&arrived),
    );
    assert_eq!(counts(framed), counts(plain[0]), "{name}: received in frames, and sent on");
    assert_eq!(counts(framed), counts(plain[1]), "{name}: received in frames, and by the callee");
    let ours = &framed.stream;
    assert_eq!(Count { packets: ours.packets, lost: ours.lost() as i64 }, Count::of(&arrived));
    assert_eq!(
        (ours.packets, ours.lost() as i64),
        (heard.received, heard.lost),
        "{name}: getStats"
    );
    assert_eq!((sent.stream.packets, sent.stream.lost()), (said.sent, 0), "{name}: as it left");
    assert_eq!(said.sent - heard.received, dropped, "{name}: on its way, and nft's");
    assert!(seen > 100 && dropped > 0, "{name}: {seen} packets in frames, {dropped} lost");
}
