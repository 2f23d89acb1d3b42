//! Many packets in one piece: generic segmentation at the sender (`UDP_SEGMENT`), and
//! generic reception at the receiver (`UDP_GRO`).

use std::io;

use observer::model::Direction;

use crate::support::{
    beside::{CHECK, GRANTED, USE_CANDIDATE, USERNAME, channel, stun},
    observation::{Observation, figure},
    path::Path,
    rtp::Stream,
    socket::{cookie, gather, segment},
};

/// Sends `count` packets in one piece, the last of them shorter than the others.
fn burst(path: &Path, streams: &[Stream], first: u32, count: u32) -> io::Result<u64> {
    let mut bytes = Vec::new();
    for number in 0..count {
        let stream = streams[(number as usize) % streams.len()];
        bytes.extend(stream.packet(first + number / streams.len() as u32));
    }
    bytes.truncate(bytes.len() - 7);
    path.sender.send_to(&bytes, path.receiver.local_addr()?)?;
    // With UDP_GRO one piece, without it packet by packet.
    let mut received = 0;
    while received < bytes.len() {
        received += path.receiver.recv(&mut [0; 65_536])?;
    }
    Ok(bytes.len() as u64)
}

fn path(streams: &[Stream], gathered: bool) -> Path {
    let path = Path::v4();
    segment(&path.sender, streams[0].length());
    if gathered {
        gather(&path.receiver);
    }
    path
}

/// Bursts of these sizes, one after another, make one flow without a gap.
fn one_stream(name: &str, gathered: bool) {
    let mut observation = Observation::shared();
    let stream = Stream::pcmu(31);
    let path = path(&[stream], gathered);
    let (mut packets, mut bytes) = (0, 0);
    for count in [2, 7, 64] {
        bytes += burst(&path, &[stream], packets, count).unwrap();
        packets += count;
    }
    match burst(&path, &[stream], packets, 128) {
        Ok(sent) => {
            packets += 128;
            bytes += sent;
        }
        // Before 6.9 a piece has at most 64 segments.
        Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "{error}"),
    }
    for (socket, direction) in
        [(&path.sender, Direction::Transmit), (&path.receiver, Direction::Receive)]
    {
        let seen = observation.flow(socket, 31, direction).stream;
        assert_eq!((seen.packets, seen.bytes), (packets.into(), bytes), "{direction:?}");
        assert_eq!((seen.expected(), seen.lost()), (packets.into(), 0));
        assert_eq!((seen.duplicates, seen.reordered, seen.strays), (0, 0, 0));
        // Not the sum: it is larger where a piece may be.
        let name = format!("offload_{name}_{}_lost", direction.as_str());
        figure(&name, seen.lost() + u64::from(packets) - seen.packets);
    }
    observation.assert_clean();
}

#[test]
fn each_segment_counts_when_the_receiver_takes_them_apart() {
    one_stream("apart", false);
}

#[test]
fn each_segment_counts_when_the_receiver_takes_them_together() {
    one_stream("together", true);
}

/// Segments of two streams in turn, as a mixer or a bundled sender makes them.
fn two_streams(gathered: bool) {
    let mut observation = Observation::shared();
    let streams = [Stream::pcmu(32), Stream::pcmu(33)];
    let path = path(&streams, gathered);
    let bytes = burst(&path, &streams, 0, 64).unwrap();
    let (mut sum, length) = (0, streams[0].length() as u64);
    for stream in streams {
        for (socket, direction) in
            [(&path.sender, Direction::Transmit), (&path.receiver, Direction::Receive)]
        {
            let seen = observation.flow(socket, stream.ssrc, direction).stream;
            let short = if stream.ssrc == 33 { 7 } else { 0 };
            assert_eq!((seen.packets, seen.bytes), (32, 32 * length - short));
            assert_eq!((seen.expected(), seen.lost(), seen.reordered), (32, 0, 0));
            sum += seen.bytes;
        }
    }
    assert_eq!(sum, 2 * bytes);
    observation.assert_clean();
}

#[test]
fn segments_of_two_streams_go_each_to_its_own() {
    two_streams(false);
    two_streams(true);
}

#[test]
fn a_lost_segment_within_a_piece_is_lost() {
    let mut observation = Observation::shared();
    let stream = Stream::pcmu(34);
    let path = path(&[stream], true);
    let numbers = [0, 1, 2, 4, 5, 8, 7, 7];
    let bytes: Vec<u8> = numbers.into_iter().flat_map(|number| stream.packet(number)).collect();
    path.sender.send_to(&bytes, path.receiver.local_addr().unwrap()).unwrap();
    path.receiver.recv(&mut [0; 65_536]).unwrap();
    for (socket, direction) in
        [(&path.sender, Direction::Transmit), (&path.receiver, Direction::Receive)]
    {
        let seen = observation.flow(socket, 34, direction).stream;
        assert_eq!((seen.packets, seen.expected(), seen.lost()), (8, 9, 2));
        assert_eq!((seen.duplicates, seen.reordered), (1, 1));
        figure(&format!("offload_within_{}_lost", direction.as_str()), seen.lost());
    }
}

/// Channel data of TURN, with a check for the last piece.
fn by_way_of_a_relay(gathered: bool) {
    let mut observation = Observation::shared();
    let stream = Stream::pcmu(35);
    let check = channel(&stun(CHECK, 1, &[(USERNAME, &[b'n'; 144]), (USE_CANDIDATE, &[])]));
    let path = Path::v4();
    assert_eq!(check.len(), channel(&stream.packet(0)).len());
    segment(&path.sender, check.len());
    if gathered {
        gather(&path.receiver);
    }
    let pieces = (0..40).map(|number| channel(&stream.packet(number))).chain([check]);
    let bytes = pieces.collect::<Vec<_>>().concat();
    path.sender.send_to(&bytes, path.receiver.local_addr().unwrap()).unwrap();
    let mut received = 0;
    while received < bytes.len() {
        received += path.receiver.recv(&mut [0; 65_536]).unwrap();
    }
    let granted = channel(&stun(GRANTED, 1, &[(0x0020, &[0; 8])]));
    path.receiver.send_to(&granted, path.sender.local_addr().unwrap()).unwrap();
    path.sender.recv(&mut [0; 2_048]).unwrap();
    for (socket, direction) in
        [(&path.sender, Direction::Transmit), (&path.receiver, Direction::Receive)]
    {
        let seen = observation.flow(socket, 35, direction).stream;
        assert_eq!((seen.packets, seen.lost(), seen.bytes), (40, 0, 40 * 172));
        let mut paths = Vec::new();
        observation.kernel.read_paths(|_, path| paths.push(path)).unwrap();
        paths.retain(|path| path.key.socket == cookie(socket));
        let [path] = paths[..] else { panic!("one path wanted, not {paths:?}") };
        assert_eq!(path.path.round_trip.count + path.path.stall.count, 1, "{direction:?}");
    }
    observation.assert_clean();
}

#[test]
fn segments_by_way_of_a_relay_are_looked_into() {
    by_way_of_a_relay(false);
    by_way_of_a_relay(true);
}
