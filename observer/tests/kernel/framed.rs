//! Datagrams in TCP streams: ICE over TCP, and TURN over TCP.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use observer::model::{
    Direction::{Receive, Transmit},
    Transport,
};

use crate::support::{
    beside::{CHECK, GRANTED, USE_CANDIDATE, USERNAME, channel, hello, report, stun},
    machine::{Noise, volume},
    observation::{Observation, Shared, figure},
    rtp::Stream,
    stream::Ends,
};

const PACKETS: u32 = 300;

/// A datagram as RFC 4571 frames it.
fn framed(datagram: &[u8]) -> Vec<u8> {
    let length = u16::try_from(datagram.len()).unwrap();
    [&length.to_be_bytes(), datagram].concat()
}

/// Channel data as TURN pads it in a stream.
fn padded(datagram: &[u8]) -> Vec<u8> {
    let mut data = channel(datagram);
    data.resize(data.len().next_multiple_of(4), 0);
    data
}

fn check(transaction: u8) -> Vec<u8> {
    stun(CHECK, transaction, &[(USERNAME, b"far:near"), (USE_CANDIDATE, &[])])
}

/// Writes, and waits until it was read.
fn carry(from: &mut TcpStream, to: &mut TcpStream, bytes: &[u8]) {
    from.write_all(bytes).unwrap();
    let mut read = vec![0; bytes.len()];
    to.read_exact(&mut read).unwrap();
    assert!(read == bytes);
}

/// Every packet but one, which its sender did not send.
fn frames(stream: Stream, frame: fn(&[u8]) -> Vec<u8>) -> Vec<Vec<u8>> {
    let numbers = (0..PACKETS).filter(|number| *number != 70);
    numbers.map(|number| frame(&stream.packet(number))).collect()
}

/// Both ends saw every packet of the stream that the client sent.
fn assert_whole(observation: &mut Observation, ends: &Ends, stream: Stream) {
    let sent = observation.flow(&ends.client, stream.ssrc, Transmit);
    let received = observation.flow(&ends.server, stream.ssrc, Receive);
    for flow in [sent, received] {
        let what = flow.stream;
        assert_eq!(what.packets, u64::from(PACKETS - 1), "{flow:?}");
        assert_eq!((what.lost(), what.reordered, what.duplicates), (1, 0, 0));
        assert_eq!(flow.transport, Transport::Tcp);
        assert_eq!(what.bytes, what.packets * stream.length() as u64);
        figure("framed_packets", what.packets);
    }
    let far = ends.server.local_addr().unwrap();
    assert_eq!((sent.key.peer, received.local), (far.into(), far.into()));
}

#[test]
fn a_packet_a_segment() {
    let mut observation = Observation::shared();
    let mut ends = Ends::v4();
    let stream = Stream::pcmu(0x4571_0001);
    for frame in frames(stream, framed) {
        carry(&mut ends.client, &mut ends.server, &frame);
    }
    assert_whole(&mut observation, &ends, stream);
    observation.assert_clean();
}

#[test]
fn a_stream_that_is_cut_anywhere() {
    let mut observation = Observation::shared();
    for (number, size) in [5, 13, 16, 17, 46, 47, 48, 1_448].into_iter().enumerate() {
        let mut ends = Ends::v4();
        let stream = Stream { payload: 33, ..Stream::pcmu(0x4571_0100 + number as u32) };
        carry(&mut ends.client, &mut ends.server, &framed(&check(1)));
        let bytes = frames(stream, framed).concat();
        for piece in bytes.chunks(size) {
            carry(&mut ends.client, &mut ends.server, piece);
        }
        assert_whole(&mut observation, &ends, stream);
    }
    observation.assert_clean();
}

#[test]
fn many_packets_that_the_kernel_handles_as_one() {
    let mut observation = Observation::shared();
    let mut ends = Ends::v4();
    let stream = Stream::pcmu(0x4571_0002);
    carry(&mut ends.client, &mut ends.server, &frames(stream, framed).concat());
    assert_whole(&mut observation, &ends, stream);
    observation.assert_clean();
}

#[test]
fn channel_data_is_padded() {
    let mut observation = Observation::shared();
    let mut ends = Ends::v4();
    let stream = Stream { payload: 161, ..Stream::pcmu(0x4571_0003) };
    carry(&mut ends.client, &mut ends.server, &stun(0x0004, 1, &[(0x000d, &[0, 0, 2, 88])]));
    for piece in frames(stream, padded).concat().chunks(1_000) {
        carry(&mut ends.client, &mut ends.server, piece);
    }
    assert_whole(&mut observation, &ends, stream);
    observation.assert_clean();
}

#[test]
fn both_directions_and_what_is_no_media() {
    let mut observation = Observation::shared();
    let mut ends = Ends::v4();
    let [there, back] = [0x4571_0004, 0x4571_0005].map(Stream::pcmu);
    carry(&mut ends.client, &mut ends.server, &framed(&check(7)));
    carry(&mut ends.server, &mut ends.client, &framed(&stun(GRANTED, 7, &[(0x0020, &[0; 8])])));
    carry(&mut ends.client, &mut ends.server, &framed(&hello()));
    for number in 0..PACKETS {
        carry(&mut ends.client, &mut ends.server, &framed(&there.packet(number)));
        carry(&mut ends.server, &mut ends.client, &framed(&back.packet(number)));
    }
    let block = (there.ssrc, 0, 0);
    carry(&mut ends.server, &mut ends.client, &framed(&report(back.ssrc, Some(1 << 40), &[block])));

    let cookies = ends.cookies();
    let mut paths = Vec::new();
    observation.kernel.read_paths(|_, path| paths.push(path)).unwrap();
    let of = |cookie| {
        let mut its = paths.iter().filter(|path| path.key.socket == cookie);
        its.next().unwrap_or_else(|| panic!("no path of {cookie:?}")).path
    };
    let [near, far] = cookies.map(of);
    assert_eq!((near.round_trip.count, far.stall.count), (1, 1));
    assert!(near.in_use_ns != 0 && near.hello_ns != 0 && far.hello_ns != 0);
    let mut reports = Vec::new();
    observation.kernel.paths_mut().read_reports(|report| reports.push(report)).unwrap();
    assert!(reports.iter().any(|one| one.flow.ssrc == there.ssrc && one.flow.socket == cookies[0]));
    for (stream, [from, to]) in
        [(there, [&ends.client, &ends.server]), (back, [&ends.server, &ends.client])]
    {
        for (end, direction) in [(from, Transmit), (to, Receive)] {
            let flow = observation.flow(end, stream.ssrc, direction);
            assert_eq!((flow.stream.packets, flow.stream.lost()), (PACKETS.into(), 0));
        }
    }
    observation.assert_clean();
}

#[test]
fn a_connection_that_is_older_than_the_observer() {
    let _none = Shared::detached();
    let mut ends = Ends::v4();
    let stream = Stream::pcmu(0x4571_0006);
    for number in 0..40 {
        carry(&mut ends.client, &mut ends.server, &framed(&stream.packet(number)));
    }
    let mut observation = Observation::start();
    for number in 40..90 {
        carry(&mut ends.client, &mut ends.server, &framed(&stream.packet(number)));
    }
    let flow = observation.flow(&ends.server, stream.ssrc, Receive);
    // The segment that has the connection adopted is not looked into.
    assert_eq!((flow.stream.packets, flow.stream.lost()), (49, 0));
    observation.assert_clean();
}

#[test]
fn other_streams_are_no_voice() {
    let mut observation = Observation::shared();
    let mut noise = Noise::new(4571);
    for round in 0..volume(400, 40) as usize {
        let mut ends = Ends::v4();
        for _ in 0..5 {
            carry(&mut ends.client, &mut ends.server, &noise.bytes(64 + round * 8));
            carry(&mut ends.server, &mut ends.client, b"HTTP/1.1 101 Switching Protocols\r\n\r\n");
        }
        assert_eq!(observation.flows(&ends.client), []);
        assert_eq!(observation.flows(&ends.server), []);
    }
    observation.assert_clean();
}
