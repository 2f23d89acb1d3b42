//! Paths: what is known of them beside their media, and what is none.

use std::{os::fd::AsRawFd, thread::sleep, time::Duration};

use observer::model::{Direction, FlowReport, VoicePath};

use crate::support::{
    beside::{
        CHECK, DATA, GRANTED, Peers, REFUSED, USE_CANDIDATE, USERNAME, channel, hello, hidden,
        report, stun,
    },
    observation::{LIMITS, Observation, figure},
    rtp::Stream,
    socket::cookie,
};

const DELAY: Duration = Duration::from_millis(20);

fn paths(observation: &mut Observation, socket: &impl AsRawFd) -> Vec<VoicePath> {
    let cookie = cookie(socket);
    let mut paths = Vec::new();
    observation.kernel.read_paths(|_, path| paths.push(path)).unwrap();
    paths.retain(|path| path.key.socket == cookie);
    paths
}

fn path(observation: &mut Observation, socket: &impl AsRawFd) -> VoicePath {
    let paths = paths(observation, socket);
    let [path] = paths[..] else { panic!("one path wanted, not {paths:?}") };
    path
}

fn reports(observation: &mut Observation, socket: &impl AsRawFd) -> Vec<FlowReport> {
    let cookie = cookie(socket);
    let mut reports = Vec::new();
    observation.kernel.paths_mut().read_reports(|report| reports.push(report)).unwrap();
    reports.retain(|report| report.flow.socket == cookie);
    reports
}

fn check(transaction: u8, name: &str) -> Vec<u8> {
    let name = name.as_bytes();
    stun(CHECK, transaction, &[(USERNAME, name), (0x0024, &[0; 4]), (USE_CANDIDATE, &[])])
}

fn granted(transaction: u8) -> Vec<u8> {
    stun(GRANTED, transaction, &[(0x0020, &[0; 8])])
}

#[test]
fn one_check_is_a_round_trip_at_one_end_and_a_stall_at_the_other() {
    let mut observation = Observation::shared();
    let peers = Peers::new();
    peers.there(&check(1, "far:near"));
    assert_eq!(paths(&mut observation, &peers.near), []);
    sleep(DELAY);
    peers.back(&granted(1));
    let near = path(&mut observation, &peers.near);
    let far = path(&mut observation, &peers.far);
    assert_eq!(near.key.peer, peers.far.local_addr().unwrap().into());
    assert_eq!(near.local, peers.near.local_addr().unwrap().into());
    let (there, back) = (near.path.round_trip, far.path.stall);
    assert_eq!((there.count, near.path.stall.count), (1, 0));
    assert_eq!((back.count, far.path.round_trip.count), (1, 0));
    let delay = DELAY.as_nanos() as u64;
    assert!(delay <= back.last_ns && back.last_ns <= there.last_ns, "{back:?} {there:?}");
    assert!(there.last_ns < delay + 1_000_000_000);
    for one in [near, far] {
        assert_eq!(
            one.path.in_use_ns - one.path.first_check_ns,
            one.path.round_trip.sum_ns + one.path.stall.sum_ns
        );
        let (bytes, length) = one.path.name.bytes();
        assert_eq!(&bytes[..length], b"far:near");
    }
    assert!(near.path.is_name_sent() && !far.path.is_name_sent());
    assert_ne!(near.session(), far.session());
    figure("path_name_length", near.path.name.length);
    observation.assert_clean();
}

#[test]
fn what_does_not_prove_itself_is_no_path() {
    let mut observation = Observation::shared();
    let peers = Peers::new();
    peers.there(&check(1, "far:near"));
    peers.back(&stun(REFUSED, 1, &[]));
    peers.there(&stun(CHECK, 2, &[(0x8022, b"a client that asks for its address")]));
    peers.back(&granted(2));
    peers.back(&granted(3));
    peers.there(&hello());
    for _ in 0..3 {
        peers.there(&report(7, Some(1 << 32), &[]));
        peers.there(&hidden(report(7, None, &[(8, 0, 0)])));
    }
    // A question of DNS, and QUIC, that begin like STUN and like channel data.
    peers.there(&[0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, b'w', b'w', b'w', 0, 0, 1, 0, 1]);
    peers.there(&[0x4a; 1_200]);
    assert_eq!(paths(&mut observation, &peers.near), []);
    assert_eq!(paths(&mut observation, &peers.far), []);
    observation.assert_clean();
}

#[test]
fn a_hello_is_that_of_the_path_which_proves_itself_later() {
    let mut observation = Observation::shared();
    let peers = Peers::new();
    peers.back(&hello());
    peers.there(&check(1, "far:near"));
    peers.back(&granted(1));
    for socket in [&peers.near, &peers.far] {
        let path = path(&mut observation, socket).path;
        assert!(path.hello_ns != 0 && path.hello_ns < path.first_check_ns);
    }
}

#[test]
fn reports_on_a_flow_are_those_of_its_sender() {
    let mut observation = Observation::shared();
    let (peers, stream) = (Peers::new(), Stream::pcmu(0x7061_7468));
    (0..10).for_each(|number| peers.there(&stream.packet(number)));
    peers.there(&report(stream.ssrc, Some(0x0001_0002_0003_0004), &[]));
    sleep(DELAY);
    let blocks = [(stream.ssrc, 0x0002_0003, 655), (0x5718_4e67, 0, 0)];
    peers.back(&report(9, None, &blocks));
    let near = reports(&mut observation, &peers.near);
    let [only] = near[..] else { panic!("one flow is sent: {near:?}") };
    let seen = only.report;
    assert_eq!((only.flow.ssrc, only.flow.direction), (stream.ssrc, Direction::Transmit));
    assert_eq!((seen.blocks, seen.lost, seen.highest, seen.jitter), (1, 7, 0x0001_0003, 80));
    let kept = (655_u64 * 1_000_000_000) >> 16;
    let least = DELAY.as_nanos() as u64 - kept;
    assert_eq!(seen.round_trip.count, 1);
    assert!((least..least + 1_000_000_000).contains(&seen.round_trip.last_ns), "{seen:?}");
    assert_eq!(path(&mut observation, &peers.near).path.rtcp, 2);
    assert_eq!(reports(&mut observation, &peers.far), []);
    figure("report_blocks", seen.blocks);
    observation.assert_clean();
}

#[test]
fn reports_of_many_sources_are_read_to_the_last() {
    let mut observation = Observation::shared();
    let peers = Peers::new();
    let streams: Vec<_> = (0..31).map(|number| Stream::pcmu(0x3100_0000 + number)).collect();
    for stream in &streams {
        (0..2).for_each(|number| peers.there(&stream.packet(number)));
    }
    peers.there(&report(streams[0].ssrc, Some(1 << 32), &[]));
    let blocks: Vec<_> = streams.iter().map(|stream| (stream.ssrc, 0, 0)).collect();
    peers.back(&report(9, None, &blocks));
    let near = reports(&mut observation, &peers.near);
    assert_eq!(near.iter().filter(|one| one.report.blocks == 1).count(), 31);
    observation.assert_clean();
}

#[test]
fn srtcp_of_a_known_flow_is_counted() {
    let mut observation = Observation::shared();
    let (peers, stream) = (Peers::new(), Stream::pcmu(0x5273_7463));
    (0..10).for_each(|number| peers.there(&stream.packet(number)));
    for _ in 0..5 {
        peers.there(&hidden(report(stream.ssrc, Some(1 << 32), &[])));
        peers.back(&hidden(report(9, None, &[(stream.ssrc, 0, 0)])));
    }
    for socket in [&peers.near, &peers.far] {
        let path = path(&mut observation, socket).path;
        assert_eq!((path.rtcp, path.srtcp), (0, 10));
    }
    assert_eq!(reports(&mut observation, &peers.near), []);
    observation.assert_clean();
}

#[test]
fn voice_by_way_of_a_relay_is_voice() {
    let mut observation = Observation::shared();
    let (peers, stream) = (Peers::new(), Stream::pcmu(0x7475_726e));
    for number in 0..40 {
        let packet = stream.packet(number);
        if number % 10 == 9 {
            peers.there(&stun(DATA, 1, &[(0x0012, &[0; 8]), (0x0013, &packet)]));
        } else if number % 10 != 5 {
            peers.there(&channel(&packet));
        }
    }
    for (socket, direction) in
        [(&peers.near, Direction::Transmit), (&peers.far, Direction::Receive)]
    {
        let seen = observation.flow(socket, stream.ssrc, direction).stream;
        assert_eq!((seen.packets, seen.lost(), seen.duplicates), (36, 4, 0));
        assert_eq!(seen.bytes, 36 * stream.length() as u64);
    }
    peers.there(&channel(&check(1, "far:near")));
    peers.back(&stun(DATA, 2, &[(0x0012, &[0; 8]), (0x0013, &granted(1))]));
    assert_eq!(path(&mut observation, &peers.near).path.round_trip.count, 1);
    assert_eq!(path(&mut observation, &peers.far).path.stall.count, 1);
    observation.assert_clean();
}

#[test]
fn paths_beyond_the_table_are_counted() {
    let mut observation =
        Observation::with(observer::source::ebpf::load::Limits { flows: 4, ..LIMITS }, false);
    let all: Vec<_> = (0..4).map(|_| Peers::new()).collect();
    for peers in &all {
        for transaction in 1..=3 {
            peers.there(&check(transaction, "far:near"));
            peers.back(&granted(transaction));
        }
    }
    let ours = all.iter().flat_map(|peers| [&peers.near, &peers.far]);
    let kept: usize = ours.map(|socket| paths(&mut observation, socket).len()).sum();
    let lost = observation.losses().get(&("path", "table_full")).copied().unwrap_or(0);
    assert!(kept <= 2, "a table of four flows has two paths");
    assert!(lost >= (8 - 2) * 3, "{lost}");
}

#[test]
fn a_path_that_was_removed_is_forgotten() {
    let mut observation = Observation::shared();
    let peers = Peers::new();
    peers.there(&check(1, "far:near"));
    peers.back(&granted(1));
    let key = path(&mut observation, &peers.near).key;
    observation.kernel.paths_mut().remove(&key).unwrap();
    assert_eq!(paths(&mut observation, &peers.near), []);
    observation.kernel.paths_mut().remove(&key).expect("removing what is gone is no error");
}
