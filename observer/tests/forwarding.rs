//! The delay of a process that forwards streams, and calls that are interrupted, as the
//! observer itself tells them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod peers {
    #[expect(dead_code, reason = "these tests ask for voice alone")]
    pub(crate) mod observer;
    pub(crate) mod patience;
}

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use observer::export::snapshot::Voice;
use peers::{observer::Observer, patience::until};

/// How long the relay keeps a packet.
const KEPT: Duration = Duration::from_millis(20);
const SPACING: Duration = Duration::from_millis(5);

/// One test at a time: each sees the whole host.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    socket
}

fn packet(ssrc: u32, sequence: u16) -> [u8; 172] {
    let mut packet = [0xd5; 172];
    packet[..2].copy_from_slice(&[0x80, 8]);
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet[4..8].copy_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
    packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
    packet
}

/// Forwards what comes in after [`KEPT`], each packet by its own time, changed by `change`, and
/// gives how many ms each was kept.
fn relay(
    inside: &UdpSocket,
    outside: &UdpSocket,
    to: SocketAddr,
    change: fn(&mut [u8]),
) -> Vec<f64> {
    let (send, receive) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::scope(|scope| {
        let sender = scope.spawn(move || {
            let forward = |(came, datagram): (Instant, Vec<u8>)| {
                thread::sleep((came + KEPT).saturating_duration_since(Instant::now()));
                outside.send_to(&datagram, to).unwrap();
                came.elapsed().as_secs_f64() * 1e3
            };
            receive.into_iter().map(forward).collect()
        });
        let mut buffer = [0; 2_048];
        while let Ok(length) = inside.recv(&mut buffer) {
            change(&mut buffer[..length]);
            send.send((Instant::now(), buffer[..length].to_vec())).unwrap();
        }
        drop(send);
        sender.join().unwrap()
    })
}

/// The flow that the relay transmits, once a call of some seconds went through it, and how
/// many ms it kept each packet on average by its own clock.
fn relayed(ssrc: u32, change: fn(&mut [u8])) -> (Observer, Voice, f64) {
    let observer = Observer::start(&[]);
    let [sender, inside, outside, listener] = [(); 4].map(|()| socket());
    let to = listener.local_addr().unwrap();
    let from = outside.local_addr().unwrap().to_string();
    let kept = thread::scope(|scope| {
        let relay = scope.spawn(|| relay(&inside, &outside, to, change));
        let begun = Instant::now();
        for sequence in 0..1_200_u16 {
            sender.send_to(&packet(ssrc, sequence), inside.local_addr().unwrap()).unwrap();
            let next = begun + SPACING * u32::from(sequence);
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        relay.join().unwrap()
    });
    let mut found = None;
    until(Duration::from_secs(5), "the flow of the relay", || {
        let flows = observer.flows(ssrc);
        found = flows.into_iter().find(|flow| flow.src == from && flow.packets > 1_000);
        found.is_some()
    });
    let mean = kept.iter().sum::<f64>() / kept.len() as f64;
    (observer, found.unwrap(), mean)
}

#[test]
fn a_process_that_keeps_packets_for_20_ms_has_a_hop_delay_of_20_ms() {
    let _turn = turn();
    let (observer, flow, kept) = relayed(0x0f0d_0001, |_| ());
    let delay = flow.hop_delay_ms.expect("its sockets are found");
    // On a busy machine it keeps them longer, and says so itself.
    assert!(delay >= 20.0 && (delay - kept).abs() < 1.0, "{kept} ms: {flow:?}");
    let text = observer.get("/metrics");
    let counts = text.lines().filter(|line| line.contains("voice_hop_delay_seconds_count"));
    let points: f64 = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
    assert!(points > 0.0, "{text}");
}

#[test]
fn a_process_that_rewrites_sequence_numbers_has_no_hop_delay() {
    let _turn = turn();
    let (_observer, flow, _) = relayed(0x0f0d_0002, |packet| packet[3] ^= 0x40);
    assert_eq!(flow.hop_delay_ms, None, "{flow:?}");
}

/// Sends a part of a stream at its pace; the time goes on where the numbers do.
fn send(from: &UdpSocket, to: &UdpSocket, ssrc: u32, sequences: std::ops::Range<u16>) {
    let begun = Instant::now();
    for (at, sequence) in sequences.enumerate() {
        from.send_to(&packet(ssrc, sequence), to.local_addr().unwrap()).unwrap();
        let next = begun + Duration::from_millis(20) * (at as u32 + 1);
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

/// An observer of these two sockets, as the services `near` and `far`.
fn observe([near, far]: [&UdpSocket; 2], arguments: &[&str]) -> Observer {
    let [near, far] = [near, far].map(|socket| socket.local_addr().unwrap().port());
    let rule = |port, service| format!("{{port: {port}, service: {service}}}");
    let targets = format!("{{include: [{}, {}]}}", rule(near, "near"), rule(far, "far"));
    Observer::start(&[arguments, &["--targets", &targets]].concat())
}

fn flow(observer: &Observer, ssrc: u32, direction: &str) -> Voice {
    let mut flows = observer.flows(ssrc).into_iter();
    flows.find(|flow| flow.direction.as_deref() == Some(direction)).unwrap()
}

fn interruptions(observer: &Observer, service: &str, direction: &str, reason: &str) -> f64 {
    let text = observer.get("/metrics");
    let of = format!(
        "observer_voice_interruptions_total{{network_io_direction=\"{direction}\",reason=\"{reason}\""
    );
    let service = format!("service_name=\"{service}\"");
    let counts = text.lines().filter(|line| line.starts_with(&of) && line.contains(&service));
    counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[test]
fn an_outage_is_an_interruption_and_a_pause_is_none() {
    let _turn = turn();
    let [near, far] = [(); 2].map(|()| socket());
    let observer = observe([&near, &far], &["--voice-silence-after", "1500ms"]);
    send(&near, &far, 0x0f0d_0003, 0..50);
    // Mute, hold, DTX: the sequence goes on where it stopped.
    thread::sleep(Duration::from_secs(2));
    send(&near, &far, 0x0f0d_0003, 50..100);
    thread::sleep(Duration::from_secs(1));
    assert!(interruptions(&observer, "far", "receive", "silence").abs() < 0.5);
    // 100 packets do not come.
    thread::sleep(Duration::from_secs(1));
    send(&near, &far, 0x0f0d_0003, 200..250);
    until(Duration::from_secs(5), "the interruption", || {
        interruptions(&observer, "far", "receive", "silence") > 0.5
    });
    assert!((interruptions(&observer, "far", "receive", "silence") - 1.0).abs() < 0.5);
    let flow = flow(&observer, 0x0f0d_0003, "receive");
    let known = flow.interruptions.unwrap();
    assert_eq!((known.silence, known.one_way, known.current), (1, 0, None));
    assert!((2_000.0..4_000.0).contains(&known.silence_ms), "{} ms", known.silence_ms);
}

#[test]
fn audio_that_stops_one_way_counts_once_by_the_direction_that_is_missing() {
    let _turn = turn();
    let [near, far] = [(); 2].map(|()| socket());
    let observer = observe([&near, &far], &["--voice-one-way-after", "2s"]);
    thread::scope(|scope| {
        scope.spawn(|| send(&near, &far, 0x0f0d_0004, 0..350));
        scope.spawn(|| send(&far, &near, 0x0f0d_0005, 0..100));
    });
    // Both ends are on this host: one misses what it should receive, one what it should send.
    for (service, receive, transmit) in [("near", 1.0, 0.0), ("far", 0.0, 1.0)] {
        for (direction, expected) in [("receive", receive), ("transmit", transmit)] {
            let count = interruptions(&observer, service, direction, "one_way");
            assert!((count - expected).abs() < 0.5, "{service} {direction}: {count}");
        }
    }
    // The stream that stopped after 2 of 7 s is interrupted, at both of its sockets.
    for (ssrc, expected) in [(0x0f0d_0004, 0), (0x0f0d_0005, 1)] {
        for direction in ["receive", "transmit"] {
            let known = flow(&observer, ssrc, direction).interruptions.unwrap();
            assert_eq!((known.one_way, known.silence), (expected, 0), "{ssrc:x} {direction}");
            let is_long = (2_000.0..7_000.0).contains(&known.one_way_ms);
            assert_eq!(is_long, expected == 1, "{ssrc:x} {direction}: {} ms", known.one_way_ms);
        }
    }
}
