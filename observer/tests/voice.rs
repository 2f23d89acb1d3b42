//! Voice across network namespaces, with losses that the test knows of: the flows
//! that the kernel side counts against tshark's reading of a capture taken beside.
//!
//! What nft drops in the sender's output hook falls before the sender's own
//! `cgroup_skb` hook, so both flows of a stream lack it: the transmitted one too.

mod peers {
    pub(crate) mod baresip;
    #[expect(dead_code, reason = "nothing here goes over TCP")]
    pub(crate) mod capture;
    pub(crate) mod device;
    pub(crate) mod ends;
    pub(crate) mod firewall;
    pub(crate) mod folder;
    #[expect(dead_code, reason = "nothing here goes over TCP")]
    pub(crate) mod gstreamer;
    pub(crate) mod judge;
    #[expect(dead_code, reason = "nothing here goes by way of a relay of TURN")]
    pub(crate) mod loss;
    pub(crate) mod namespace;
    pub(crate) mod observed;
    pub(crate) mod patience;
    pub(crate) mod process;
    pub(crate) mod relay;
    pub(crate) mod segments;
    pub(crate) mod sipp;
    pub(crate) mod tool;
    #[expect(dead_code, reason = "nothing here goes over TCP")]
    pub(crate) mod tshark;
}

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket},
    os::fd::AsRawFd as _,
    thread::{scope, sleep},
    time::Duration,
};

use observer::{
    model::{Direction, Endpoint, Losses, VoiceFlow},
    source::ebpf::read::Kernel,
};
use peers::{
    baresip::{self, Baresip},
    capture::{Capture, CaptureFile},
    device,
    ends::{DEVICE, Ends},
    firewall::Firewall,
    folder::Folder,
    gstreamer::{self, Codec, Voice},
    judge::{Edges, Truth, counts_agree, do_times_agree, mean_jitter_agrees, times_agree},
    loss, observed,
    relay::{Fate, Relay},
    segments, sipp, tool,
    tshark::{self, Count},
};

/// Where GStreamer receives.
const PORT: u16 = 5_004;
/// How long a sender may take beyond its packets.
const GRACE: Duration = Duration::from_secs(15);
const GSTREAMER: [&str; 6] =
    ["ip", "nft", "tcpdump", "tshark", "gst-launch-1.0", "GStreamer element rtppcmapay"];
const SIPP: [&str; 6] = ["ip", "nft", "tcpdump", "tshark", "sipp", sipp::RECORDING];

/// Longest delay of the relay that makes jitter. Under the time between packets, so
/// that it does not fall behind.
const RELAY_DELAY_US: u64 = 8_000;
/// Between the observer's and tcpdump's look at one packet lies the way from the
/// device to the socket, and an interrupt may hold the packet up there. On 2 busy
/// processors the jitter of both differs by up to 4 µs and the longest gap by 21,
/// over 25 runs; a packet in probation, which tshark takes in, makes it 36.
const LEAST_MS: f64 = 0.05;

/// What came of one stream.
struct Outcome {
    /// As it went past the sender's socket.
    transmitted: VoiceFlow,
    /// As it went past the receiver's.
    received: VoiceFlow,
    /// As tshark read it beside the receiver.
    stream: tshark::Stream,
    /// The mean of the jitter by tshark's times, with the clock of the receiver's flow.
    mean_jitter_ms: f64,
    truth: Truth,
    /// Packets that nft dropped.
    dropped: u64,
}

/// Sends `voice` to `ends`' far end through `rules` in the output hook of the near
/// end, by a relay if it has a script, and waits until all of it has arrived.
fn send(ends: &Ends, mut voice: Voice, rules: &str, script: Option<fn(u32) -> Fate>) -> Outcome {
    let mut kernel = observed::kernel();
    let folder = Folder::new();
    let rules = format!("udp dport {PORT} counter name seen {rules}");
    let rules: Vec<_> = rules.split(';').map(ToOwned::to_owned).collect();
    let firewall = Firewall::new(&ends.near, "output", &rules);
    let _receiver = gstreamer::receiver(&ends.far, PORT);
    let capture = Capture::start(&ends.far, &folder);
    let to = voice.to;
    let relay = script.map(|script| Relay::start(&ends.near, to, script));
    if let Some(relay) = &relay {
        voice.to = relay.at();
    }
    let status = voice.start(&ends.near).finish(voice.duration() + GRACE);
    assert!(status.success(), "the sender: {status}");
    let capture = capture.stop();
    let seen = Seen::by(&mut kernel);
    let arrived = tshark::sequence_numbers(&capture, PORT, voice.ssrc);
    let received = seen.only(Direction::Receive, to, voice.ssrc);
    let clock = received.stream.clock_rate;
    let mut stream = stream(&capture, PORT, voice.ssrc);
    // What came in probation and was not followed is none of the flow's.
    let begin = received.stream.base as u16;
    let before = arrived.iter().position(|number| *number == begin).unwrap_or_default();
    if before > 0 {
        (stream.jitter_mean_ms, stream.jitter_max_ms) =
            tshark::jitter_ms(&capture, PORT, voice.ssrc, clock, before);
    }
    Outcome {
        transmitted: seen.only(Direction::Transmit, to, voice.ssrc),
        received,
        mean_jitter_ms: tshark::mean_jitter_ms(&capture, PORT, voice.ssrc, clock),
        stream,
        truth: Truth::new(voice.first, firewall.count("seen"), &arrived),
        dropped: firewall.count("dropped"),
    }
}

/// All that the observer has at one moment.
struct Seen {
    flows: Vec<VoiceFlow>,
    losses: Losses,
}

impl Seen {
    fn by(kernel: &mut Kernel) -> Self {
        let flows = kernel.flows().expect("the map can be read");
        Self { flows, losses: observed::losses(kernel) }
    }

    /// The only flow of a direction and a payload type to an address.
    fn to(&self, direction: Direction, to: IpAddr, payload_type: u8) -> VoiceFlow {
        let is_it = |flow: &&VoiceFlow| {
            let is_there = SocketAddr::from(flow.destination()).ip() == to;
            is_there && (flow.key.direction, flow.stream.payload_type) == (direction, payload_type)
        };
        let found: Vec<_> = self.flows.iter().filter(is_it).collect();
        assert_eq!(found.len(), 1, "to {to}: {found:#?}, and uncounted {:?}", self.losses);
        *found[0]
    }

    /// The only flow of a direction and a stream to `to`.
    fn only(&self, direction: Direction, to: (IpAddr, u16), ssrc: u32) -> VoiceFlow {
        let to = Endpoint::from(SocketAddr::from(to));
        let is_it = |flow: &&VoiceFlow| {
            let key = &flow.key;
            let is_stream = (key.direction, key.ssrc) == (direction, ssrc);
            is_stream && flow.destination() == to
        };
        let found: Vec<_> = self.flows.iter().filter(is_it).collect();
        assert_eq!(
            found.len(),
            1,
            "{ssrc:#x} to {to}: {found:#?}, and uncounted {:?}",
            self.losses
        );
        *found[0]
    }
}

/// tshark's line for a stream.
fn stream(capture: &CaptureFile, port: u16, ssrc: u32) -> tshark::Stream {
    let streams = tshark::streams(capture, port);
    let found: Vec<_> = streams.iter().filter(|stream| stream.ssrc == ssrc).collect();
    assert_eq!(found.len(), 1, "tshark's streams of {ssrc:#x}: {streams:#?}");
    found[0].clone()
}

/// The two flows of a stream saw the same packets.
fn ends_agree(name: &str, outcome: &Outcome) {
    let [sent, received] = [&outcome.transmitted, &outcome.received].map(|flow| {
        let stream = &flow.stream;
        (stream.packets, stream.expected(), stream.lost(), stream.duplicates, stream.reordered)
    });
    assert_eq!(sent, received, "{name}: (packets, expected, lost, duplicates, reordered) of ends");
}

/// Delays each packet by a time that looks random.
fn unevenly(number: u32) -> Fate {
    let mut random = number.wrapping_mul(0x85eb_ca6b);
    random = (random ^ random >> 13).wrapping_mul(0xc2b2_ae35);
    Fate::Delayed(Duration::from_micros(u64::from(random ^ random >> 16) % RELAY_DELAY_US))
}

/// Three packets in a hundred, and a run of 25: the sequence numbers wrap on the way.
#[test]
fn random_loss_and_a_burst_of_pcma_over_ipv4() {
    let name = "random_loss_and_a_burst_of_pcma_over_ipv4";
    if !tool::all_there(name, &GSTREAMER) {
        return;
    }
    let ends = Ends::by_cable();
    let voice = Voice {
        codec: Codec::Pcma,
        packets: 1_000,
        first: 65_300,
        ssrc: 0x1234_5678,
        to: (ends.far_v4, PORT),
    };
    let rules = format!(
        "numgen inc mod 1000 vmap {{ 400-424 : jump lose }}; \
         udp dport {PORT} numgen random mod 100 < 3 jump lose"
    );
    let outcome = send(&ends, voice, &rules, Some(unevenly));
    let Outcome { received, stream, truth, dropped, .. } = &outcome;
    counts_agree(name, received, stream.count(), truth, *dropped);
    times_agree(name, received, stream, LEAST_MS);
    ends_agree(name, &outcome);
    assert!(*dropped > 25, "the firewall dropped the burst and more: {dropped}");
    assert_eq!((received.stream.payload_type, &*stream.payload), (8, "g711A"));
    assert_eq!(received.stream.clock_rate, 8_000);
}

/// A hole in probation, two runs of 8, and the last two packets.
#[test]
fn bursts_and_lost_edges_of_pcma_over_ipv6() {
    let name = "bursts_and_lost_edges_of_pcma_over_ipv6";
    if !tool::all_there(name, &GSTREAMER) {
        return;
    }
    let ends = Ends::by_cable();
    let voice = Voice {
        codec: Codec::Pcma,
        packets: 700,
        first: 1,
        ssrc: 0xfedc_ba98,
        to: (ends.far_v6, PORT),
    };
    let rules = "numgen inc mod 700 vmap { 0-1 : jump lose, 3 : jump lose, 60-67 : jump lose, \
         300-307 : jump lose, 698-699 : jump lose }";
    let outcome = send(&ends, voice, rules, None);
    let Outcome { received, stream, truth, dropped, .. } = &outcome;
    let edges = counts_agree(name, received, stream.count(), truth, *dropped);
    times_agree(name, received, stream, LEAST_MS);
    ends_agree(name, &outcome);
    let known = Edges { in_probation: 1, lost_in_probation: 1, lost_before: 2, lost_after: 2 };
    assert_eq!(edges, known, "{name}: where the rules cut");
    assert_eq!(received.stream.lost(), 16, "{name}: the two runs");
}

/// Nothing comes for ten seconds in the middle of a call, and the rest does.
#[test]
fn ten_seconds_of_pcma_are_lost() {
    let name = "ten_seconds_of_pcma_are_lost";
    if !tool::all_there(name, &GSTREAMER) {
        return;
    }
    let ends = Ends::by_cable();
    let outage = Duration::from_secs(10);
    let voice = Voice {
        codec: Codec::Pcma,
        packets: 1_300,
        first: 65_000,
        ssrc: 0x0000_0a11,
        to: (ends.far_v4, PORT),
    };
    let outcome = send(&ends, voice, "numgen inc mod 65536 vmap { 150-1149 : jump lose }", None);
    let Outcome { received, stream, truth, dropped, .. } = &outcome;
    counts_agree(name, received, stream.count(), truth, *dropped);
    times_agree(name, received, stream, LEAST_MS);
    ends_agree(name, &outcome);
    assert_eq!((received.stream.packets, received.stream.lost()), (300, 1_000), "{name}");
    assert_eq!(received.stream.restarts, 0, "{name}: the sender did not begin anew");
    let longest = Duration::from_nanos(received.stream.delta_max_ns);
    assert!(longest > outage, "{name}: longest gap {longest:?}");
}

/// Two senders that chose the same SSRC talk to one port: two flows, each with its own
/// figures.
#[test]
fn two_calls_with_one_ssrc_on_one_port() {
    let name = "two_calls_with_one_ssrc_on_one_port";
    if !tool::all_there(name, &GSTREAMER) {
        return;
    }
    let mut kernel = observed::kernel();
    let ends = Ends::by_cable();
    let folder = Folder::new();
    let rtp = format!("udp dport {PORT}");
    // The first of each pass, and the last: there are 800 packets.
    let rules = [
        format!("{rtp} numgen inc mod 65536 < 40 accept"),
        format!("{rtp} numgen inc mod 65536 > 600 accept"),
        format!("{rtp} numgen random mod 100 < 10 jump lose"),
    ];
    let firewall = Firewall::new(&ends.near, "output", &rules);
    let _receiver = gstreamer::receiver(&ends.far, PORT);
    let capture = Capture::start(&ends.far, &folder);
    let (ssrc, to) = (0x5a5a_5a5a, (ends.far_v4, PORT));
    let voices =
        [400, 40_000].map(|first| Voice { codec: Codec::Pcma, packets: 400, first, ssrc, to });
    let senders = voices.map(|voice| (voice.start(&ends.near), voice.duration() + GRACE));
    for (mut sender, within) in senders {
        let status = sender.finish(within);
        assert!(status.success(), "{name}: a sender: {status}");
    }
    let capture = capture.stop();
    let seen = Seen::by(&mut kernel);
    let mut streams = tshark::streams(&capture, PORT);
    streams.retain(|stream| stream.ssrc == ssrc);
    assert_eq!(streams.len(), 2, "{name}: {streams:#?}");
    let mut lost = 0;
    for stream in &streams {
        let is_it = |flow: &&VoiceFlow| {
            let from = SocketAddr::from(flow.source());
            let is_there = SocketAddr::from(flow.destination()) == SocketAddr::from(to);
            (flow.key.ssrc, flow.key.direction) == (ssrc, Direction::Receive)
                && is_there
                && from == SocketAddr::new(ends.near_v4, stream.from)
        };
        let found: Vec<_> = seen.flows.iter().filter(is_it).map(|flow| flow.stream).collect();
        let [flow] = found[..] else { panic!("{name}: {found:#?}, {:?}", seen.losses) };
        println!("{name}: {} packets, {} lost, {stream:?}", flow.packets, flow.lost());
        assert_eq!(flow.packets, stream.packets, "{name}: packets, ours and tshark's");
        assert_eq!(flow.lost() as i64, stream.lost, "{name}: lost, ours and tshark's");
        assert_eq!((flow.restarts, flow.strays), (0, 0), "{name}: one sequence alone");
        lost += flow.lost();
    }
    assert_eq!(lost, firewall.count("dropped"), "{name}: lost, ours and nft's");
}

/// Of a dynamic payload type tshark without SDP knows no clock, so its jitter is computed
/// from its times.
#[test]
fn random_loss_of_opus() {
    let name = "random_loss_of_opus";
    if !tool::all_there(name, &[&GSTREAMER[..], &["GStreamer element opusenc"]].concat()) {
        return;
    }
    let ends = Ends::by_cable();
    let voice = Voice {
        codec: Codec::Opus,
        packets: 600,
        first: 40_000,
        ssrc: 0x0000_0001,
        to: (ends.far_v4, PORT),
    };
    let outcome = send(&ends, voice, "numgen random mod 100 < 3 jump lose", None);
    let Outcome { received, stream, truth, dropped, .. } = &outcome;
    counts_agree(name, received, stream.count(), truth, *dropped);
    ends_agree(name, &outcome);
    mean_jitter_agrees(name, received, outcome.mean_jitter_ms, LEAST_MS);
    assert_eq!((received.stream.payload_type, received.stream.clock_rate), (96, 48_000));
}

/// G.722 samples at 16 kHz, and its timestamps count at 8 (RFC 3551 section 4.5.2).
#[test]
fn random_loss_of_g722_over_ipv6() {
    let name = "random_loss_of_g722_over_ipv6";
    if !tool::all_there(name, &[&GSTREAMER[..], &["GStreamer element avenc_g722"]].concat()) {
        return;
    }
    let ends = Ends::by_cable();
    let voice = Voice {
        codec: Codec::G722,
        packets: 600,
        first: 65_300,
        ssrc: 0x0000_0722,
        to: (ends.far_v6, PORT),
    };
    let outcome = send(&ends, voice, "numgen random mod 100 < 3 jump lose", Some(unevenly));
    let Outcome { received, stream, truth, dropped, .. } = &outcome;
    counts_agree(name, received, stream.count(), truth, *dropped);
    times_agree(name, received, stream, LEAST_MS);
    ends_agree(name, &outcome);
    assert_eq!((received.stream.payload_type, &*stream.payload), (9, "g722"));
    assert_eq!((received.stream.clock_rate, received.codec()), (8_000, "g722"));
}

/// Which packets the relay repeats, drops, or holds back behind others.
fn by_script(number: u32) -> Fate {
    match number {
        _ if number % 60 == 30 => Fate::Dropped,
        _ if number % 40 == 5 => Fate::Repeated,
        _ if number % 50 == 20 => Fate::Behind(1),
        _ if number % 50 == 41 => Fate::Behind(3),
        _ => Fate::Delayed(Duration::ZERO),
    }
}

#[test]
fn reordering_and_duplication_by_a_script() {
    let name = "reordering_and_duplication_by_a_script";
    if !tool::all_there(name, &GSTREAMER) {
        return;
    }
    let ends = Ends::by_cable();
    let packets = 600;
    let voice = Voice {
        codec: Codec::Pcma,
        packets,
        first: 65_400,
        ssrc: 0x8000_0000,
        to: (ends.far_v4, PORT),
    };
    let outcome = send(&ends, voice, "accept", Some(by_script));
    let fates = |is_it: fn(&Fate) -> bool| (0..packets).map(by_script).filter(is_it).count() as u64;
    let dropped = fates(|fate| *fate == Fate::Dropped);
    let repeated = fates(|fate| *fate == Fate::Repeated);
    let behind = fates(|fate| matches!(fate, Fate::Behind(_)));
    let Outcome { received, stream, .. } = &outcome;
    let ours = &received.stream;
    println!(
        "{name}: packets {} (tshark {}), lost {} (script {dropped}, tshark {}), \
         duplicates {} (script {repeated}), reordered {} (script {behind})",
        ours.packets,
        stream.packets,
        ours.lost(),
        stream.lost,
        ours.duplicates,
        ours.reordered,
    );
    assert_eq!(ours.duplicates, repeated, "{name}: duplicates, ours and the script's");
    assert_eq!(ours.reordered, behind, "{name}: reordered, ours and the script's");
    assert_eq!(ours.expected(), u64::from(packets), "{name}: expected, ours and the script's");
    assert_eq!(ours.lost(), dropped, "{name}: lost, ours and the script's");
    assert_eq!(ours.packets, stream.packets, "{name}: packets, ours and tshark's");
    assert_eq!(
        ours.lost() as i64 - ours.duplicates as i64,
        stream.lost,
        "{name}: lost less duplicates, ours and tshark's"
    );
    ends_agree(name, &outcome);
}

/// What came of one call of sipp's.
struct Call {
    /// The recording, as the caller played and as the callee heard it.
    there: Outcome,
    /// The echo, as the callee sent it.
    back: VoiceFlow,
    /// The echo, as the caller heard it.
    heard: VoiceFlow,
}

fn call(rules: &str) -> Call {
    let mut kernel = observed::kernel();
    let ends = Ends::by_cable();
    let folder = Folder::new();
    // In the output hook a dropped packet is an error to its sender, and sipp stops
    // playing at the first. On its way out of the device it is none, and it has been
    // past the sender's own `cgroup_skb` hook.
    let hook = format!("egress device {DEVICE}");
    // The recording, and not the digit that follows it, whose packets are short.
    let rules =
        format!("udp dport {} udp length > 100 counter name seen {rules}", sipp::CALLEE_PORT);
    let firewall = Firewall::new(&ends.near, &hook, &[rules]);
    let capture = Capture::start(&ends.far, &folder);
    let _callee = sipp::callee(&ends.far, ends.far_v4, &folder);
    let mut caller = sipp::caller(&ends.near, ends.near_v4, ends.far_v4, &folder);
    let status = caller.finish(sipp::LASTS + GRACE);
    assert!(status.success(), "the caller: {status}");
    let capture = capture.stop();
    let seen = Seen::by(&mut kernel);
    let there = (ends.far_v4, sipp::CALLEE_PORT);
    let back = (ends.near_v4, sipp::CALLER_PORT);
    let ssrc = sipp::SSRC;
    let arrived = tshark::sequence_numbers(&capture, there.1, ssrc);
    let transmitted = seen.only(Direction::Transmit, there, ssrc);
    Call {
        there: Outcome {
            transmitted,
            received: seen.only(Direction::Receive, there, ssrc),
            mean_jitter_ms: tshark::mean_jitter_ms(&capture, there.1, ssrc, 8_000),
            stream: stream(&capture, there.1, ssrc),
            truth: Truth::new(sipp::FIRST, firewall.count("seen"), &arrived),
            dropped: firewall.count("dropped"),
        },
        back: seen.only(Direction::Transmit, back, ssrc),
        // sipp plays through a raw socket, which gets a copy of the echo too: no flow.
        heard: seen.only(Direction::Receive, back, ssrc),
    }
}

#[test]
fn sipp_plays_a_recording_with_and_without_loss() {
    let name = "sipp_plays_a_recording_with_and_without_loss";
    if !tool::all_there(name, &SIPP) {
        return;
    }
    // Two calls at once are four programs on as few as two processors. One packet that is
    // held up between the two looks makes the largest jitter another; the counts hold in
    // every attempt.
    assert!((0..3).any(|_| do_calls_agree()), "{name}: no attempt had tshark's times");
}

/// Both calls: counts have to agree, and it says whether times do.
fn do_calls_agree() -> bool {
    let (clean, lossy) = scope(|scope| {
        let clean = scope.spawn(|| call("accept"));
        let lossy = call("numgen random mod 100 < 3 jump lose");
        (clean.join().expect("the call without loss ended well"), lossy)
    });
    let mut agree = true;
    for (call, name) in [(&clean, "sipp without loss"), (&lossy, "sipp with loss")] {
        let Outcome { transmitted, received, stream, truth, dropped, .. } = &call.there;
        counts_agree(name, received, stream.count(), truth, *dropped);
        agree &= do_times_agree(name, received, stream, LEAST_MS);
        assert_eq!((received.stream.payload_type, &*stream.payload), (8, "g711A"));
        let sent = &transmitted.stream;
        assert_eq!((sent.packets, sent.lost()), (sipp::PACKETS, 0), "{name}: packets played");
        for echo in [&call.back, &call.heard] {
            assert_eq!(echo.stream.packets, stream.packets, "{name}: packets echoed, and heard");
        }
    }
    assert_eq!(clean.there.received.stream.lost(), 0, "nothing was dropped, and nothing lost");
    agree
}

/// A call of baresip's, for six seconds; two of them it is on hold.
struct Held {
    name: &'static str,
    codec: baresip::Codec,
    is_v4: bool,
}

/// Most that the mean jitter of a call may differ from tshark's. Three calls at once are six
/// programs on as few as two processors.
const MEAN_MS: f64 = 0.2;

impl Held {
    fn try_out(&self) {
        let Self { name, codec, is_v4 } = *self;
        let mut kernel = observed::kernel();
        let ends = Ends::by_cable();
        let folder = Folder::new();
        let (near, far) =
            if is_v4 { (ends.near_v4, ends.far_v4) } else { (ends.near_v6, ends.far_v6) };
        let rules = loss::of(codec.payload_type, 3);
        let hook = format!("egress device {DEVICE}");
        let firewall = Firewall::new(&ends.near, &hook, &rules);
        let capture = Capture::start(&ends.far, &folder);
        let _callee = Baresip::callee(&ends.far, far, codec);
        let lasts = Duration::from_secs(6);
        let mut caller = Baresip::caller(&ends.near, near, codec, far, lasts);
        sleep(Duration::from_secs(2));
        baresip::tell(&ends.near, "hold");
        sleep(Duration::from_millis(500));
        let held = firewall.count("seen");
        sleep(Duration::from_millis(1_500));
        assert_eq!(firewall.count("seen"), held, "{name}: packets of a call on hold");
        baresip::tell(&ends.near, "resume");
        caller.finish(lasts + GRACE);
        let capture = capture.stop();
        let seen = Seen::by(&mut kernel);
        let received = seen.to(Direction::Receive, far, codec.payload_type);
        let (port, ssrc) = (SocketAddr::from(received.destination()).port(), received.key.ssrc);
        let arrived = tshark::sequence_numbers(&capture, port, ssrc);
        let dropped = firewall.count("dropped");
        let sent = firewall.count("seen");
        let truth = Truth::new(arrived[0], sent, &arrived);
        let stream = stream(&capture, port, ssrc);
        let counted = stream.count();
        assert_eq!(counted, Count::of(&arrived), "{name}: tshark's count and ours of its numbers");
        let edges = counts_agree(name, &received, counted, &truth, dropped);
        assert_eq!((edges.lost_before, edges.lost_in_probation), (0, 0), "{name}: {edges:?}");
        assert!(sent > held + 50, "{name}: {held} packets before the hold, {sent} in all");
        let transmitted = seen.to(Direction::Transmit, far, codec.payload_type).stream;
        assert_eq!((transmitted.packets, transmitted.lost()), (sent, 0), "{name}: packets sent");
        let jitter = tshark::mean_jitter_ms(&capture, port, ssrc, received.stream.clock_rate);
        mean_jitter_agrees(name, &received, jitter, MEAN_MS);
        let [sent, heard] = [Direction::Transmit, Direction::Receive]
            .map(|direction| seen.to(direction, near, codec.payload_type).stream);
        assert_eq!((sent.lost(), heard.lost()), (0, 0), "{name}: lost the other way");
        // Who hangs up first has no socket for the last of what is on its way.
        assert!(sent.packets - heard.packets <= 2, "{name}: {sent:?} sent and {heard:?} heard");
    }
}

/// G.711, G.722 and Opus, each call on hold for a while: what was not sent is not lost.
#[test]
fn baresip_on_hold_with_loss() {
    let name = "baresip_on_hold_with_loss";
    if !tool::all_there(name, &["ip", "nft", "tcpdump", "tshark", "baresip"]) {
        return;
    }
    let calls = [
        Held { name: "G.711 over IPv4", codec: baresip::PCMA, is_v4: true },
        Held { name: "G.722 over IPv6", codec: baresip::G722, is_v4: false },
        Held { name: "Opus over IPv4", codec: baresip::OPUS, is_v4: true },
    ];
    scope(|scope| {
        for call in &calls {
            scope.spawn(|| call.try_out());
        }
    });
}

/// A virtual network card hands on many packets in one, and does not always say how many.
/// A socket that takes them together gets them so.
#[test]
fn a_device_that_puts_datagrams_together_says_not_how_many() {
    const DATAGRAMS: u16 = 20;
    const EACH: u16 = 10;
    const SSRC: u32 = 0x0bad_ca01;
    let mut kernel = observed::kernel();
    let ends = Ends::apart();
    let (ours, theirs) = (Ipv4Addr::new(10, 9, 0, 1), Ipv4Addr::new(10, 9, 0, 2));
    let mut device = device::open(&ends.near, libc::IFF_VNET_HDR);
    for words in [
        ["ip", "address", "add", "10.9.0.1/24", "dev", DEVICE],
        ["ip", "link", "set", "up", "dev", DEVICE],
    ] {
        ends.near.run(&words);
    }
    let there = SocketAddrV4::new(ours, 5_004);
    let receiver = ends.near.enter(|| UdpSocket::bind(there).expect("the port is free"));
    // SAFETY: the option is a number, and the socket is open.
    let result = unsafe {
        let (on, size) = (1_i32, size_of::<i32>() as u32);
        libc::setsockopt(
            receiver.as_raw_fd(),
            libc::SOL_UDP,
            libc::UDP_GRO,
            (&raw const on).cast(),
            size,
        )
    };
    assert_eq!(result, 0, "UDP_GRO: {}", std::io::Error::last_os_error());
    for datagram in 0..DATAGRAMS {
        let mut payload = Vec::new();
        for number in datagram * EACH..(datagram + 1) * EACH {
            payload.extend([0x80, 8]);
            payload.extend(number.to_be_bytes());
            payload.extend((u32::from(number) * 160).to_be_bytes());
            payload.extend(SSRC.to_be_bytes());
            payload.extend([0xd5; 160]);
        }
        segments::deliver(&mut device, SocketAddrV4::new(theirs, 6_004), there, &payload, 172);
        let mut together = [0; 4_096];
        assert_eq!(receiver.recv(&mut together).expect("it arrives"), payload.len());
    }
    let seen = Seen::by(&mut kernel).only(Direction::Receive, (ours.into(), 5_004), SSRC).stream;
    let packets = u64::from(DATAGRAMS * EACH);
    assert_eq!((seen.packets, seen.expected(), seen.bytes), (packets, packets, packets * 172));
}
