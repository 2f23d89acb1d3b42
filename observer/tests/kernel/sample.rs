//! What is looked at in one packet of sixteen: header extensions, and the way through a
//! process that forwards.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
    num::NonZeroU32,
    thread,
    time::{Duration, Instant},
};

use observer::model::{Direction, HopDelay};

use crate::support::{
    beside::channel,
    observation::Observation,
    path::Path,
    rtp::Stream,
    socket::{PATIENCE, cookie},
};

/// How long the relay keeps a packet.
const KEPT: Duration = Duration::from_millis(20);
const SIX: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const PACKETS: u32 = 128;

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Sends a stream to a relay that receives with one socket and transmits with another to two
/// listeners, and gives the delays of both ways, and how long it kept what is looked at itself.
fn relayed(ssrc: u32, forwarders: [u32; 2], change: fn(&mut [u8])) -> ([HopDelay; 2], Duration) {
    let mut observation = Observation::shared();
    let [sender, ingress, egress] = [(); 3].map(|()| socket());
    let listeners = [socket(), socket()];
    for (socket, forwarder) in [&ingress, &egress].into_iter().zip(forwarders) {
        observation.kernel.forward(cookie(socket), NonZeroU32::new(forwarder)).unwrap();
    }
    let stream = Stream::pcmu(ssrc);
    let mut buffer = [0; 2_048];
    let mut kept = Duration::ZERO;
    for number in 1..=PACKETS {
        let packet = stream.packet(number);
        sender.send_to(&packet, ingress.local_addr().unwrap()).unwrap();
        let length = ingress.recv(&mut buffer).unwrap();
        let received = Instant::now();
        // Only every sixteenth is looked at; the others need not take long.
        if number.is_multiple_of(16) {
            let until = received + KEPT;
            while let Some(left) = until.checked_duration_since(Instant::now()) {
                thread::sleep(left.min(Duration::from_millis(1)));
            }
        }
        change(&mut buffer[..length]);
        for listener in &listeners {
            egress.send_to(&buffer[..length], listener.local_addr().unwrap()).unwrap();
            listener.recv(&mut [0; 2_048]).unwrap();
        }
        if number.is_multiple_of(16) {
            kept += received.elapsed();
        }
    }
    let flows = observation.flows(&egress);
    assert_eq!(flows.len(), 2);
    for socket in [&ingress, &egress] {
        observation.kernel.forward(cookie(socket), None).unwrap();
    }
    ([flows[0].hop, flows[1].hop], kept / (PACKETS / 16))
}

#[test]
fn a_relay_that_keeps_a_packet_for_20_ms_has_a_hop_delay_of_20_ms() {
    let (hops, kept) = relayed(0x0f0c_0001, [7, 7], |_| ());
    for hop in hops {
        // The first two packets make the flow, and the sixteenth is the first that is looked at.
        assert_eq!(hop.count, u64::from(PACKETS) / 16);
        let mean = hop.mean().unwrap();
        assert!(mean >= KEPT, "{hop:?}");
        // An emulated machine keeps them longer, and says so itself.
        assert!(mean < kept + Duration::from_millis(1) + kept / 20, "{kept:?}: {hop:?}");
    }
}

#[test]
fn who_rewrites_numbers_has_no_hop_delay() {
    let rewritten: [fn(&mut [u8]); 3] =
        [|packet| packet[3] ^= 0x80, |packet| packet[11] ^= 1, |packet| packet[7] ^= 1];
    for (change, ssrc) in rewritten.into_iter().zip(0x0f0c_0010..) {
        assert_eq!(relayed(ssrc * 4, [7, 7], change).0, [HopDelay::NONE; 2]);
    }
}

#[test]
fn two_processes_are_no_hop() {
    assert_eq!(relayed(0x0f0c_0002, [7, 8], |_| ()).0, [HopDelay::NONE; 2]);
    assert_eq!(relayed(0x0f0c_0003, [0, 0], |_| ()).0, [HopDelay::NONE; 2]);
}

/// Audio level, send time and transport-wide number, as a browser sends them.
fn with_extensions(packet: &[u8], number: u32, sent: Duration) -> Vec<u8> {
    let ticks = (sent.as_micros() * (1 << 18) / 1_000_000) as u32;
    let [_, t0, t1, t2] = ticks.to_be_bytes();
    let [_, _, n0, n1] = number.to_be_bytes();
    let level = 0x80 | (number as u8 % 96);
    let mut extended = packet[..12].to_vec();
    extended[0] |= 0x10;
    extended.extend([0xbe, 0xde, 0, 3, 0x10, level, 0x22, t0, t1, t2, 0x31, n0, n1, 0, 0, 0]);
    extended.extend(&packet[12..]);
    extended
}

#[test]
fn header_extensions_are_read_at_both_ends() {
    let mut observation = Observation::shared();
    for (path, is_relayed) in
        [(Path::v4(), false), (Path::open(SIX, SIX), false), (Path::v4(), true)]
    {
        let stream = Stream::pcmu(0x0f0c_0004);
        let begun = Instant::now();
        for number in 1..=640_u32 {
            // One packet in four of the transport is of another flow.
            let packet = with_extensions(&stream.packet(number), number * 4 / 3, begun.elapsed());
            path.carry(&if is_relayed { channel(&packet) } else { packet });
            thread::sleep(Duration::from_micros(300));
        }
        for (socket, direction) in
            [(&path.sender, Direction::Transmit), (&path.receiver, Direction::Receive)]
        {
            let told = observation.flow(socket, stream.ssrc, direction).extensions;
            assert_eq!(told.level_samples, told.level_voice);
            assert!(told.level_samples >= 36, "{told:?}");
            let received = told.transport_last_packets - told.transport_first_packets;
            assert!(told.transport_span.abs_diff(received * 4 / 3) <= 2, "{told:?}");
            assert!(told.send_samples >= 30 && told.send_id == 2, "{told:?}");
        }
    }
    observation.assert_clean();
}

#[test]
fn the_clock_of_a_dynamic_type_is_found_in_the_kernel() {
    let mut observation = Observation::shared();
    let path = Path::v4();
    // 20 ms of a clock of 16 kHz: packets of 160 ticks come each 10 ms.
    let stream = Stream { payload_type: 97, ..Stream::pcmu(0x0f0c_0005) };
    let begun = Instant::now();
    for number in 1..=330_u32 {
        path.carry(&stream.packet(number));
        let next = begun + Duration::from_millis(10) * number;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    let flow = observation.flow(&path.receiver, stream.ssrc, Direction::Receive);
    assert_eq!((flow.stream.clock_rate, flow.stream.clock.corrections), (16_000, 1));
    assert_eq!((flow.media(), flow.stream.packets, flow.stream.lost()), ("audio", 330, 0));
}
