//! RTP over UDP, at both ends.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use observer::model::{Direction, VoiceFlow};

use crate::support::{
    observation::{Observation, figure},
    path::Path,
    rtp::Stream,
    socket::cookie,
};

const LOOPBACK_4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LOOPBACK_6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const MAPPED: IpAddr = IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped());

/// Ten of a thousand, alone and as a burst; 35 and 36 are the last before the sequence
/// number starts again at 0, 37 is the 0.
const GAPS: [u32; 10] = [20, 35, 36, 37, 400, 401, 402, 403, 600, 901];

/// The number of the first packet: the 38th has the sequence number 0.
const FIRST: u32 = 65_536 - 37;

fn both(observation: &mut Observation, path: &Path, ssrc: u32) -> [VoiceFlow; 2] {
    [
        observation.flow(&path.sender, ssrc, Direction::Transmit),
        observation.flow(&path.receiver, ssrc, Direction::Receive),
    ]
}

/// Both ends have seen these addresses, and the sockets by the kernel's own name for them.
fn assert_addresses(flows: &[VoiceFlow; 2], path: &Path, at: IpAddr) {
    let [from, to] = [&path.sender, &path.receiver]
        .map(|socket| SocketAddr::new(at, socket.local_addr().unwrap().port()).into());
    for flow in flows {
        assert_eq!((flow.source(), flow.destination()), (from, to), "{flow:?}");
    }
    assert_eq!((flows[0].local, flows[0].key.peer), (from, to));
    assert_eq!((flows[1].local, flows[1].key.peer), (to, from));
    assert_eq!(flows[0].key.socket, cookie(&path.sender));
    assert_eq!(flows[1].key.socket, cookie(&path.receiver));
}

/// 1,000 packets less ten; then three come twice and two come late.
fn ten_lost(name: &str, path: &Path, at: IpAddr) {
    let mut observation = Observation::shared();
    let stream = Stream::pcmu(0x0a0b_0c0d);
    for number in (0..1_000).filter(|number| !GAPS.contains(number)) {
        path.carry(&stream.packet(FIRST + number));
    }
    let length = stream.length() as u64;
    let flows = both(&mut observation, path, stream.ssrc);
    assert_addresses(&flows, path, at);
    for flow in flows {
        let seen = flow.stream;
        assert_eq!((seen.packets, seen.bytes), (990, 990 * length));
        assert_eq!((seen.expected(), seen.lost()), (1_000, 10));
        assert_eq!((seen.duplicates, seen.reordered, seen.strays, seen.restarts), (0, 0, 0, 0));
        assert_eq!((seen.payload_type, seen.clock_rate), (0, 8_000));
        assert!(seen.first_ns < seen.last_ns);
        assert!(seen.jitter_ns() > 0 && seen.delta_max_ns > 0);
    }

    for twice in [997, 998, 950] {
        path.carry(&stream.packet(FIRST + twice));
    }
    for late in [1_001, 1_003, 1_000, 1_002] {
        path.carry(&stream.packet(FIRST + late));
    }
    let flows = both(&mut observation, path, stream.ssrc);
    for flow in flows {
        let seen = flow.stream;
        assert_eq!((seen.packets, seen.bytes), (997, 997 * length));
        assert_eq!((seen.expected(), seen.lost()), (1_004, 10));
        assert_eq!((seen.duplicates, seen.reordered, seen.strays), (3, 2, 0));
    }
    assert_eq!(observation.flows(&path.sender).len(), 1);
    assert_eq!(observation.flows(&path.receiver).len(), 1);
    observation.assert_clean();
    for flow in flows {
        let seen = flow.stream;
        let name = format!("voice_{name}_{}", flow.key.direction.as_str());
        figure(&format!("{name}_packets"), seen.packets);
        figure(&format!("{name}_bytes"), seen.bytes);
        figure(&format!("{name}_lost"), seen.lost());
        figure(&format!("{name}_duplicates"), seen.duplicates);
        figure(&format!("{name}_reordered"), seen.reordered);
    }
}

#[test]
fn ten_of_a_thousand_lost_across_the_wrap_on_ipv4() {
    ten_lost("v4", &Path::v4(), LOOPBACK_4);
}

#[test]
fn ten_of_a_thousand_lost_between_connected_sockets() {
    ten_lost("v4_connected", &Path::v4().connect(), LOOPBACK_4);
}

#[test]
fn ten_of_a_thousand_lost_on_ipv6() {
    ten_lost("v6", &Path::open(LOOPBACK_6, LOOPBACK_6), LOOPBACK_6);
}

#[test]
fn ten_of_a_thousand_lost_between_connected_sockets_on_ipv6() {
    ten_lost("v6_connected", &Path::open(LOOPBACK_6, LOOPBACK_6).connect(), LOOPBACK_6);
}

#[test]
fn dual_stack_sockets_are_known_by_their_ipv4_addresses() {
    let any = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    ten_lost("mapped", &Path::open(any, any).by_way_of(MAPPED), LOOPBACK_4);
    ten_lost("mapped_to_v4", &Path::open(any, LOOPBACK_4).by_way_of(MAPPED), LOOPBACK_4);
    ten_lost("v4_to_mapped", &Path::open(LOOPBACK_4, any).by_way_of(LOOPBACK_4), LOOPBACK_4);
}

#[test]
fn connected_dual_stack_sockets_are_known_by_their_ipv4_addresses() {
    ten_lost("mapped_connected", &Path::open(MAPPED, MAPPED).connect(), LOOPBACK_4);
}

#[test]
fn two_peers_of_one_socket_with_one_ssrc_are_two_flows() {
    let mut observation = Observation::shared();
    let (one, other) = (Path::v4(), Path::v4());
    let stream = Stream::pcmu(7);
    for number in 0..20 {
        one.carry(&stream.packet(number));
        let to = one.receiver.local_addr().unwrap();
        other.sender.send_to(&stream.packet(5_000 + 2 * (number / 2) + number), to).unwrap();
        one.receiver.recv(&mut [0; 200]).unwrap();
    }
    let mut seen: Vec<_> =
        observation.flows(&one.receiver).iter().map(|flow| flow.stream.lost()).collect();
    seen.sort_unstable();
    // The other sender leaves out every third and fourth of four.
    assert_eq!(seen, [0, 18]);
}
