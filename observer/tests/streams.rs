//! Voice in TCP streams across network namespaces, where segments are lost on the way: RFC 4571
//! by GStreamer, ICE over TCP by Chromium and Janus, and TURN over TCP by Chromium and coturn.

mod peers {
    #[expect(dead_code, reason = "nothing here goes over UDP")]
    pub(crate) mod capture;
    #[expect(dead_code, reason = "neither jitter nor round trips are judged here")]
    pub(crate) mod chromium;
    pub(crate) mod coturn;
    pub(crate) mod device;
    pub(crate) mod ends;
    pub(crate) mod firewall;
    pub(crate) mod folder;
    #[expect(dead_code, reason = "nothing here goes over UDP")]
    pub(crate) mod gstreamer;
    #[expect(dead_code, reason = "nothing here goes over UDP")]
    pub(crate) mod janus;
    pub(crate) mod namespace;
    pub(crate) mod observed;
    pub(crate) mod office;
    pub(crate) mod patience;
    pub(crate) mod process;
    pub(crate) mod tool;
    #[expect(dead_code, reason = "numbers alone are judged here")]
    pub(crate) mod tshark;
    #[expect(dead_code, reason = "order is not kept here")]
    pub(crate) mod tunnel;
}

use std::{
    io::{self, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    thread::{sleep, spawn},
    time::Duration,
};

use observer::{
    model::{Direction, Losses, VoiceFlow},
    source::ebpf::read::Kernel,
};
use observer_common::rtp::flow::Flow;
use peers::{
    capture::Capture,
    chromium::{self, Chromium},
    coturn::Coturn,
    ends::{DEVICE, Ends},
    firewall::Firewall,
    folder::Folder,
    gstreamer::{self, Codec, Voice},
    janus::{self, Janus},
    namespace::Namespace,
    observed,
    office::Office,
    tool,
    tshark::{self, Count},
    tunnel::Tunnel,
};
use serde_json::json;

const GSTREAMER: [&str; 6] =
    ["ip", "nft", "tcpdump", "tshark", "gst-launch-1.0", "GStreamer element rtpstreampay"];
const PORT: u16 = 5_004;
/// How long a sender may take beyond its packets.
const GRACE: Duration = Duration::from_secs(15);
/// From the last packet to the moment when the receiver has taken it.
const SETTLE: Duration = Duration::from_secs(1);

fn flows(kernel: &mut Kernel, direction: Direction, ssrc: u32) -> Vec<VoiceFlow> {
    let mut flows = kernel.flows().expect("the map can be read");
    flows.retain(|flow| (flow.key.ssrc, flow.key.direction) == (ssrc, direction));
    flows
}

fn flow(kernel: &mut Kernel, direction: Direction, ssrc: u32) -> VoiceFlow {
    let flows = flows(kernel, direction, ssrc);
    assert_eq!(flows.len(), 1, "{ssrc:#x}: {flows:#?}, {:?}", observed::losses(kernel));
    flows[0]
}

/// Loses so many in a hundred of the segments of TCP that carry something.
fn lossy(from: &Namespace, percent: u32) -> Firewall<'_> {
    let data = "meta l4proto tcp meta length > 100";
    let lose = format!("{data} numgen random mod 100 < {percent} jump lose");
    Firewall::new(
        from,
        &format!("egress device {DEVICE}"),
        &[format!("{data} counter name seen"), lose],
    )
}

/// GStreamer sends in a stream of which segments are lost. What was lost is sent again, so no
/// packet is, and each end sees every one.
fn framed(name: &str, ends: &Ends, (to, ssrc): (IpAddr, u32), percent: u32) {
    let mut kernel = observed::kernel();
    let folder = Folder::new();
    let firewall = lossy(&ends.near, percent);
    let _receiver = gstreamer::framed_receiver(&ends.far, PORT);
    let capture = Capture::of_tcp(&ends.far, &folder);
    let voice = Voice { codec: Codec::Opus, packets: 1_000, first: 65_000, ssrc, to: (to, PORT) };
    let status = voice.start_framed(&ends.near).finish(voice.duration() + GRACE);
    assert!(status.success(), "the sender: {status}");
    sleep(SETTLE);
    let arrived = tshark::framed_sequence_numbers(&capture.stop(), PORT, voice.ssrc);
    let [sent, received] = [Direction::Transmit, Direction::Receive]
        .map(|direction| flow(&mut kernel, direction, voice.ssrc).stream);
    let losses = observed::losses(&mut kernel);
    let count = |flow: &Flow| Count { packets: flow.packets, lost: flow.lost() as i64 };
    println!(
        "{name}: sent {:?}, received {:?} ({} out of order), tshark {:?}, nft {} of {}, {losses:?}",
        count(&sent),
        count(&received),
        received.reordered,
        Count::of(&arrived),
        firewall.count("dropped"),
        firewall.count("seen"),
    );
    let whole = Count::of(&arrived);
    assert!(whole.packets >= voice.packets.into() && whole.lost == 0, "{name}: TCP loses nothing");
    assert_eq!([count(&sent), count(&received)], [whole; 2], "{name}: sent and received");
    assert_eq!(firewall.count("dropped") > 0, percent > 0, "{name}: segments were lost");
}

#[test]
fn opus_in_a_stream_over_ipv6() {
    let name = "opus_in_a_stream_over_ipv6";
    if !tool::all_there(name, &GSTREAMER) {
        return;
    }
    let ends = Ends::by_cable();
    framed(name, &ends, (ends.far_v6, 0x4571_0006), 0);
}

#[test]
fn opus_in_a_stream_that_loses_segments() {
    let name = "opus_in_a_stream_that_loses_segments";
    if !tool::all_there(name, &GSTREAMER) {
        return;
    }
    let ends = Ends::by_cable();
    framed(name, &ends, (ends.far_v4, 0x4571_0004), 5);
}

/// Sends each packet at once, whatever is unacknowledged, as browsers do and GStreamer does not.
/// Unless they stay `whole`, every seventh write ends in the middle of one.
fn send_at_once(ends: &Ends, ssrc: u32, packets: u16, whole: bool) {
    let listener = ends.far.enter(|| TcpListener::bind((ends.far_v4, PORT)).expect("it is free"));
    let mut client =
        ends.near.enter(|| TcpStream::connect((ends.far_v4, PORT)).expect("it listens"));
    client.set_nodelay(true).expect("an option can be set");
    let (mut server, _) = listener.accept().expect("it connects");
    let reader = spawn(move || io::copy(&mut server, &mut io::sink()).expect("it reads"));
    let frame = |number: u16| {
        let sequence = number.wrapping_sub(300);
        let mut frame = vec![0, 92, 0x80, 96];
        frame.extend(sequence.to_be_bytes());
        frame.extend((u32::from(number) * 96).to_be_bytes());
        frame.extend(ssrc.to_be_bytes());
        frame.resize(94, 0xd5);
        frame
    };
    let mut held = Vec::new();
    for number in 0..packets {
        let bytes = [&held[..], &frame(number)].concat();
        let keep = match number % 7 {
            4 if !whole => bytes.len(),
            5 if !whole => 47,
            _ => 0,
        };
        held = bytes[bytes.len() - keep..].to_vec();
        client.write_all(&bytes[..bytes.len() - keep]).expect("it is read");
        sleep(Duration::from_millis(2));
    }
    client.write_all(&held).expect("it is read");
    drop(client);
    reader.join().expect("it ends");
}

/// Segments take 20 to 32 ms and overtake each other, and some are lost besides: behind each gap
/// others come before what is sent again. Gives the receiver's flow, and what was passed over.
fn out_of_order(name: &str, ssrc: u32, whole: bool) -> (Flow, Losses) {
    const PACKETS: u16 = 2_000;
    let tunnel = Tunnel::out_of_order(|number| {
        let random = number.wrapping_mul(0x85eb_ca6b);
        Duration::from_micros(20_000 + u64::from(random ^ random >> 13) % 12_000)
    });
    let ends = &tunnel.ends;
    let mut kernel = observed::kernel();
    let folder = Folder::new();
    let firewall = lossy(&ends.near, 3);
    let capture = Capture::of_tcp(&ends.far, &folder);
    send_at_once(ends, ssrc, PACKETS, whole);
    sleep(SETTLE);
    let arrived = tshark::framed_sequence_numbers(&capture.stop(), PORT, ssrc);
    let [sent, received] = [Direction::Transmit, Direction::Receive]
        .map(|direction| flow(&mut kernel, direction, ssrc).stream);
    let losses = observed::losses(&mut kernel);
    println!(
        "{name}: sent {} and {}, received {} and {}, {} out of order, tshark {:?}, nft {} of {}, \
         {losses:?}",
        sent.packets,
        sent.lost(),
        received.packets,
        received.lost(),
        received.reordered,
        Count::of(&arrived),
        firewall.count("dropped"),
        firewall.count("seen"),
    );
    let all = Count { packets: PACKETS.into(), lost: 0 };
    assert_eq!((sent.packets, sent.lost()), (PACKETS.into(), 0), "{name}: sent");
    assert_eq!(Count::of(&arrived), all, "{name}: tshark");
    assert!(received.reordered > 100 && received.duplicates == 0, "{name}: {received:?}");
    (received, losses)
}

#[test]
fn a_stream_out_of_order() {
    let name = "a_stream_out_of_order";
    if !tool::all_there(name, &GSTREAMER) {
        return;
    }
    let (received, _) = out_of_order(name, 0x4571_0040, true);
    // What the first to come has overtaken is from before its flow.
    assert!(received.packets > 1_980 && received.lost() == 0, "{name}: {received:?}");
}

/// A segment that begins in the middle of a packet, and comes before the one in which that
/// begins, cannot be read. That it was not is in the ledger.
#[test]
fn a_stream_out_of_order_that_is_cut_anywhere() {
    let name = "a_stream_out_of_order_that_is_cut_anywhere";
    if !tool::all_there(name, &GSTREAMER) {
        return;
    }
    let (received, losses) = out_of_order(name, 0x4571_0041, false);
    let gaps = losses.get(&("voice", "stream_gap")).copied().unwrap_or_default();
    assert!(received.packets < 2_000 && received.packets > 1_000, "{name}: some are not seen");
    assert!(gaps > 0 && 2_000 - received.packets <= gaps * 3, "{name}: {gaps} gaps");
}

const CHROMIUM: [&str; 4] = ["ip", "nft", "tcpdump", "chromium"];
/// How long they talk.
const TALK: Duration = Duration::from_secs(4);

/// Packets and losses of a flow.
fn figures(flow: &VoiceFlow) -> (u64, i64) {
    (flow.stream.packets, flow.stream.lost() as i64)
}

/// ICE over TCP (RFC 6544), of which segments are lost: what each end's socket sends and gets is
/// what the browser says.
#[test]
fn janus_echoes_over_tcp() {
    let name = "janus_echoes_over_tcp";
    if !tool::all_there(name, &[&CHROMIUM[..], &["janus", &janus::modules()]].concat()) {
        return;
    }
    let mut kernel = observed::kernel();
    let ends = Ends::by_cable();
    let firewall = lossy(&ends.near, 3);
    let office = Office::new(chromium::PAGE);
    let janus = Janus::with_tcp(&ends.far, ends.far_v4);
    let more = format!("&family=4&transport=tcp&at={}", janus.url);
    let browser = Chromium::start(&ends.near, &office, "janus", &more);
    browser.connected();
    sleep(TALK);
    browser.ask("talk", json!(false));
    sleep(SETTLE);
    let counts = browser.counts();
    let mut of = |direction, ssrc, local: IpAddr| {
        let mut flows = flows(&mut kernel, direction, ssrc);
        flows.retain(|flow| SocketAddr::from(flow.local).ip() == local);
        assert_eq!(flows.len(), 1, "{name}: {direction:?} at {local}: {flows:#?}");
        flows[0]
    };
    let said = [(Direction::Transmit, ends.near_v4), (Direction::Receive, ends.far_v4)]
        .map(|(direction, at)| of(direction, counts.sent_ssrc, at));
    let heard = [(Direction::Transmit, ends.far_v4), (Direction::Receive, ends.near_v4)]
        .map(|(direction, at)| of(direction, counts.received_ssrc, at));
    let dropped = firewall.count("dropped");
    println!(
        "{name}: said {:?}, heard {:?}, {counts:?}, nft {dropped} of {}, {:?}",
        said.map(|flow| figures(&flow)),
        heard.map(|flow| figures(&flow)),
        firewall.count("seen"),
        observed::losses(&mut kernel),
    );
    assert_eq!(said.map(|flow| figures(&flow)), [(counts.sent, 0); 2], "{name}: as it left");
    let (packets, lost) = (counts.received, counts.lost);
    assert_eq!(heard.map(|flow| figures(&flow)), [(packets, lost); 2], "{name}: as it came");
    assert!(packets > 100 && dropped > 0, "{name}: {packets} packets, {dropped} segments lost");
    let mut paths = Vec::new();
    kernel.read_paths(|_, path| paths.push(path)).expect("the map can be read");
    paths.retain(|path| SocketAddr::from(path.local).ip() == ends.near_v4);
    paths.retain(|path| path.key.socket == heard[1].key.socket);
    let [path] = paths[..] else { panic!("{name}: one path wanted, not {paths:#?}") };
    assert!(path.path.round_trip.count > 0 && path.path.hello_ns != 0, "{name}: {path:#?}");
}

/// The caller's packets go to a relay in a stream of `ChannelData`, and on to the callee as they
/// are over UDP.
#[test]
fn a_call_by_a_relay_over_tcp() {
    let name = "a_call_by_a_relay_over_tcp";
    if !tool::all_there(name, &[&CHROMIUM[..], &["turnserver"]].concat()) {
        return;
    }
    let mut kernel = observed::kernel();
    let ends = Ends::by_cable();
    let firewall = lossy(&ends.near, 3);
    let office = Office::new(chromium::PAGE);
    let coturn = Coturn::start(&ends.far, ends.far_v4);
    let by_relay = format!("&family=4{}?transport=tcp", coturn.query);
    let caller = Chromium::start(&ends.near, &office, "caller", &by_relay);
    let callee = Chromium::start(&ends.far, &office, "callee", "&family=4");
    for browser in [&caller, &callee] {
        browser.connected();
    }
    sleep(TALK);
    for browser in [&caller, &callee] {
        browser.ask("talk", json!(false));
    }
    sleep(SETTLE);
    let (said, heard) = (caller.counts(), callee.counts());
    let seen = flows(&mut kernel, Direction::Receive, heard.received_ssrc);
    let sent = flows(&mut kernel, Direction::Transmit, heard.received_ssrc);
    let dropped = firewall.count("dropped");
    let both = [&sent, &seen].map(|flows| flows.iter().map(figures).collect::<Vec<_>>());
    println!(
        "{name}: {both:?}, {said:?}, {heard:?}, nft {dropped} of {}, {:?}",
        firewall.count("seen"),
        observed::losses(&mut kernel),
    );
    // The caller sends and the relay receives in frames; the relay sends on, and the callee
    // receives, as it is.
    assert_eq!(both[0], [(said.sent, 0); 2], "{name}: sent");
    assert_eq!(both[1], [(heard.received, heard.lost); 2], "{name}: received");
    assert_eq!(said.sent, heard.received, "{name}: TCP loses nothing");
    assert!(said.sent > 100 && dropped > 0, "{name}: {dropped} segments lost");
    // And back: what the callee says reaches the caller in frames.
    let back = flows(&mut kernel, Direction::Receive, said.received_ssrc);
    assert_eq!(back.iter().map(figures).collect::<Vec<_>>(), [(said.received, said.lost); 2]);
}
