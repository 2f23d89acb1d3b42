//! What is known of a call's path: of captures against tshark's dissection of the same file,
//! and of a peer that is stopped while it is asked.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod peers {
    #[expect(dead_code, reason = "these tests ask for voice alone")]
    pub(crate) mod observer;
    pub(crate) mod patience;
    pub(crate) mod tool;
}

use std::{
    io::{BufRead as _, BufReader},
    net::{SocketAddr, UdpSocket},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use observer::export::snapshot::{Path, Setup, Snapshot, Voice};
use peers::{
    observer::{Observer, PATIENCE},
    patience::until,
    tool,
};

/// tshark's times have nanoseconds, ours in ms are floating-point numbers.
const ROUNDING_MS: f64 = 0.000_01;

const BINDING: &str = "0x0001";
const GRANTED: &str = "0x0101";
const USE_CANDIDATE: &str = "0x0025";
const CLIENT_HELLO: &str = "1";

fn capture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/captures").join(name)
}

/// A frame as tshark dissects it.
struct Frame {
    at_ms: f64,
    source: String,
    stun: String,
    transaction: String,
    attributes: String,
    /// From the request that this answers.
    after_ms: Option<f64>,
    handshake: String,
    is_media: bool,
}

impl Frame {
    fn read(line: &str) -> Self {
        let fields: Vec<_> = line.split('\t').collect();
        let [time, v4, v6, port, stun, id, attributes, after, handshake, rtp] = fields[..] else {
            panic!("{line}")
        };
        let ms = |seconds: &str| seconds.parse::<f64>().ok().map(|seconds| seconds * 1e3);
        Self {
            at_ms: ms(time).unwrap(),
            source: if v6.is_empty() { format!("{v4}:{port}") } else { format!("[{v6}]:{port}") },
            stun: stun.to_owned(),
            transaction: id.to_owned(),
            attributes: attributes.to_owned(),
            after_ms: ms(after),
            handshake: handshake.to_owned(),
            is_media: !rtp.is_empty(),
        }
    }

    fn has(&self, attribute: &str) -> bool {
        self.attributes.split(',').any(|one| one == attribute)
    }
}

fn dissected(name: &str, ports: &[u16]) -> Vec<Frame> {
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(capture(name)).args(["-T", "fields"]);
    for port in ports {
        tshark.args(["-d", &format!("udp.port=={port},rtp")]);
    }
    for field in [
        "frame.time_relative",
        "ip.src",
        "ipv6.src",
        "udp.srcport",
        "stun.type",
        "stun.id",
        "stun.attribute",
        "stun.time",
        "dtls.handshake.type",
        "rtp.ssrc",
    ] {
        tshark.args(["-e", field]);
    }
    let output = tshark.output().expect("tshark is there: `cargo xtask setup --only packages`");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(Frame::read).collect()
}

/// Datagrams that are RTCP by their first two bytes, over one version of IP.
fn srtcp(name: &str, version: &str) -> u64 {
    const RTCP: &str = "udp.payload[0:1] >= 80 && udp.payload[0:1] <= bf && \
                        udp.payload[1:1] >= c0 && udp.payload[1:1] <= df";
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(capture(name)).args(["-Y", &format!("{version} && {RTCP}")]);
    let output = tshark.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count() as u64
}

fn replayed(name: &str) -> Vec<Voice> {
    let output = Command::new(env!("CARGO_BIN_EXE_observer"))
        .args(["replay", "--format", "json"])
        .arg(capture(name))
        .output()
        .unwrap();
    serde_json::from_slice::<Snapshot>(&output.stdout).unwrap().voice
}

#[track_caller]
fn assert_same(what: &str, ours: Option<f64>, judge: f64) {
    let is_same = ours.is_some_and(|ours| (ours - judge).abs() < ROUNDING_MS);
    assert!(is_same, "{what}: {ours:?} ms, tshark's {judge} ms");
}

/// The phases of the one call of a capture, over all of its paths.
fn setup_agrees(name: &str, path: &Path, frames: &[Frame]) {
    let first = |is: &dyn Fn(&Frame) -> bool| frames.iter().find(|one| is(one)).unwrap().at_ms;
    let check = first(&|frame| frame.stun == BINDING);
    let chosen = |frame: &Frame| {
        let id = &frame.transaction;
        frame.stun == GRANTED
            && frames.iter().any(|one| one.transaction == *id && one.has(USE_CANDIDATE))
    };
    let in_use = first(&chosen);
    let hello = first(&|frame| frame.handshake.split(',').next() == Some(CLIENT_HELLO));
    let media = first(&|frame| frame.is_media);
    assert!(check < in_use && in_use < hello && hello < media);
    assert_same(&format!("{name}: ice"), path.setup_ice_ms, in_use - check);
    assert_same(&format!("{name}: dtls"), path.setup_dtls_ms, hello - in_use);
    assert_same(&format!("{name}: media"), path.setup_media_ms, media - hello);
}

/// The round trips and stalls of who receives a flow: answers to its checks come from the
/// flow's source, and its own go there.
fn times_agree(name: &str, flow: &Voice, frames: &[Frame]) {
    let after = |source: &str| -> Vec<f64> {
        let answers = frames.iter().filter(|one| one.source == source && one.stun == GRANTED);
        answers.map(|answer| answer.after_ms.unwrap()).collect()
    };
    let (round_trips, stalls) = (after(&flow.src), after(&flow.dst));
    println!("{name}, {}: {} round trips, {} stalls", flow.src, round_trips.len(), stalls.len());
    let path = flow.path.as_ref().unwrap();
    assert_same(&format!("{name}: round trip"), flow.rtt_ms, *round_trips.last().unwrap());
    assert_same(&format!("{name}: stall"), path.stall_ms, *stalls.last().unwrap());
    let longest = stalls.iter().copied().fold(0.0, f64::max);
    assert_same(&format!("{name}: longest stall"), path.stall_max_ms, longest);
    assert_eq!(path.rtt_source.as_deref(), Some("stun"));
    assert_eq!((path.far_loss_ratio, path.rtcp_packets), (None, None), "all RTCP is encrypted");
}

#[test]
fn a_call_of_aiortc_is_set_up_and_answers_as_tshark_says() {
    let name = "aiortc-opus-srtp.pcapng";
    let frames = dissected(name, &[41_914]);
    let [flow] = &replayed(name)[..] else { panic!("one flow") };
    setup_agrees(name, flow.path.as_ref().unwrap(), &frames);
    times_agree(name, flow, &frames);
    let counted = flow.path.as_ref().unwrap().srtcp_packets;
    assert_eq!(counted, Some(srtcp(name, "ip")));
}

#[test]
fn a_call_of_browsers_is_set_up_and_answers_as_tshark_says_over_both_paths() {
    let name = "chromium-opus-srtp-ice-switch.pcapng";
    let frames = dissected(name, &[37_858, 46_490]);
    let flows = replayed(name);
    for flow in &flows {
        assert!(flow.src.starts_with("[fd00::2]"), "the path that the call ended on");
        let counted = flow.path.as_ref().unwrap().srtcp_packets;
        assert_eq!(counted, Some(srtcp(name, "ipv6")));
        setup_agrees(name, flow.path.as_ref().unwrap(), &frames);
        times_agree(name, flow, &frames);
    }
    assert!(!flows.is_empty());
}

/// GStreamer's RTCP has ports of its own, one above those of the media.
#[test]
fn the_reports_of_a_receiver_are_read_as_tshark_reads_them() {
    let name = "gstreamer-g711-rtcp.pcap";
    let output = Command::new("tshark")
        .arg("-r")
        .arg(capture(name))
        .args(["-o", "rtcp.show_roundtrip_calculation:TRUE", "-d", "udp.port==5014,rtp"])
        .args(["-Y", "rtcp", "-T", "fields", "-e", "rtcp.ssrc.jitter", "-e", "rtcp.ssrc.cum_nr"])
        .args(["-e", "rtcp.roundtrip-delay"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let packets: Vec<Vec<_>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let reports: Vec<_> = packets.iter().filter(|fields| !fields[2].is_empty()).collect();
    let last = |field: usize| reports.last().unwrap()[field].parse::<f64>().unwrap();
    let [flow] = &replayed(name)[..] else { panic!("one flow") };
    let path = flow.path.as_ref().unwrap();
    let (round_trip_ms, ours) = (last(2), flow.rtt_ms.unwrap());
    println!("{} reports, round trip {ours} ms, tshark's {round_trip_ms}", reports.len());
    assert!((ours - round_trip_ms).abs() <= 1.0, "tshark's has whole milliseconds");
    assert_eq!(path.rtt_source.as_deref(), Some("rtcp"));
    assert_same("jitter at the far end", path.far_jitter_ms, last(0) / 8.0);
    assert_eq!(last(1), -1.0, "one more came than was expected, and went on so");
    assert_eq!(path.far_loss_ratio, Some(0.0));
    assert_eq!(path.rtcp_packets, Some(packets.len() as u64));
    assert_eq!(path.srtcp_packets, None);
}

/// A peer in a process of its own, which answers every check at once, for as long as it runs.
const PEER: &str = r#"
import socket
peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
peer.bind(("127.0.0.1", 0))
print(peer.getsockname()[1], flush=True)
while True:
    datagram, sender = peer.recvfrom(2048)
    if datagram[:2] == b"\0\1":
        peer.sendto(b"\1\1\0\0" + datagram[4:20], sender)
"#;

const STALLED: u32 = 0x7374_616c;
const SET_UP: u32 = 0x7365_7475;
const STOPPED: Duration = Duration::from_millis(200);

fn check(transaction: u8) -> Vec<u8> {
    check_with(transaction, &[])
}

/// One with further attributes.
fn check_with(transaction: u8, attributes: &[u8]) -> Vec<u8> {
    let mut message = vec![0, 1, 0, 16 + attributes.len() as u8, 0x21, 0x12, 0xa4, 0x42];
    message.extend([transaction; 12]);
    message.extend([0, 6, 0, 9]);
    message.extend(b"far_:near\0\0\0");
    message.extend(attributes);
    message
}

fn media(number: u16, ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 8];
    packet.extend(number.to_be_bytes());
    packet.extend((u32::from(number) * 160).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.resize(172, 0xd5);
    packet
}

#[test]
fn a_process_that_is_stopped_for_200_ms_has_a_stall_of_200_ms() {
    if !tool::all_there("a_process_that_is_stopped", &["python3"]) {
        return;
    }
    let observer = Observer::start(&[]);
    let mut command = Command::new("python3");
    command.args(["-c", PEER]).stdout(Stdio::piped());
    let mut process = Peer(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let peer = SocketAddr::from(([127, 0, 0, 1], line.trim().parse().unwrap()));
    let near = UdpSocket::bind("127.0.0.1:0").unwrap();
    near.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = [0; 64];
    let signal = |signal: i32| {
        // SAFETY: the child is not reaped yet, so the number is its own.
        unsafe { libc::kill(process.0.id() as i32, signal) };
    };
    near.send_to(&check(1), peer).unwrap();
    near.recv(&mut buffer).unwrap();
    for number in 0..10 {
        near.send_to(&media(number, STALLED), peer).unwrap();
    }
    signal(libc::SIGSTOP);
    near.send_to(&check(2), peer).unwrap();
    let asked = Instant::now();
    sleep(STOPPED);
    signal(libc::SIGCONT);
    near.recv(&mut buffer).unwrap();
    let answered = asked.elapsed();
    let rows = || observer.flows(STALLED);
    let row = |direction: &str| {
        rows().into_iter().find(|flow| flow.direction.as_deref() == Some(direction))
    };
    let stall = || row("receive").and_then(|flow| flow.path?.stall_max_ms);
    until(PATIENCE, "the stall", || stall().is_some_and(|ms| ms >= 200.0));
    let stalled = row("receive").unwrap().path.unwrap();
    let round_trip = row("transmit").unwrap().rtt_ms.unwrap();
    let answered_ms = answered.as_secs_f64() * 1e3;
    println!(
        "stall {:?} ms, round trip {round_trip} ms, by the clock {answered_ms} ms",
        stalled.stall_ms
    );
    let stall_ms = stalled.stall_ms.unwrap();
    assert!(200.0 <= stall_ms && stall_ms <= round_trip && round_trip <= answered_ms + 1.0);
    assert_eq!(stalled.stall_max_ms, stalled.stall_ms);
    let text = observer.get("/metrics");
    let sum = text
        .lines()
        .filter(|line| line.starts_with("observer_voice_stall_duration_seconds_sum"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    assert!(sum.fold(0.0, f64::max) >= 0.2, "{text}");
}

/// It ends when this goes.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// A `ClientHello` of DTLS 1.2 that says nothing further.
fn hello() -> Vec<u8> {
    let mut record = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 62, 1, 0, 0, 50];
    record.extend([0, 0, 0, 0, 0, 0, 0, 50]);
    record.resize(75, 0);
    record
}

#[test]
fn a_call_is_being_set_up_at_both_of_its_sockets_until_its_media_comes() {
    let observer = Observer::start(&[]);
    let [near, far] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let [caller, callee] = [&near, &far].map(|socket| socket.local_addr().unwrap());
    let checked = |transaction, attributes: &[u8]| {
        near.send_to(&check_with(transaction, attributes), callee).unwrap();
        let mut answer = vec![1, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
        answer.extend([transaction; 12]);
        far.send_to(&answer, caller).unwrap();
    };
    let phases = || {
        let snapshot = observer.snapshot();
        let is_own =
            |setup: &Setup| setup.local == caller.to_string() || setup.local == callee.to_string();
        snapshot.setups.into_iter().filter(is_own).map(|setup| setup.phase).collect::<Vec<_>>()
    };
    checked(1, &[]);
    until(PATIENCE, "the call", || phases() == ["ice", "ice"]);
    // USE-CANDIDATE.
    checked(2, &[0, 0x25, 0, 0]);
    until(PATIENCE, "the pair in use", || phases() == ["dtls", "dtls"]);
    near.send_to(&hello(), callee).unwrap();
    until(PATIENCE, "the handshake", || phases() == ["media", "media"]);
    for number in 0..10 {
        near.send_to(&media(number, SET_UP), callee).unwrap();
    }
    until(PATIENCE, "its media", || phases().is_empty());
    assert_eq!(observer.flows(SET_UP).len(), 2);
}
