//! When a stream becomes a flow, and when it begins anew.

use observer::model::Direction;

use crate::support::{
    observation::{Observation, figure},
    path::Path,
    rtp::Stream,
};

#[test]
fn one_packet_is_no_flow_and_two_in_a_row_are_one_of_two_packets() {
    let mut observation = Observation::shared();
    let (path, stream) = (Path::v4(), Stream::pcmu(11));
    path.carry(&stream.packet(100));
    assert_eq!(observation.flows(&path.sender), []);
    assert_eq!(observation.flows(&path.receiver), []);
    path.carry(&stream.packet(101));
    for (socket, direction) in
        [(&path.sender, Direction::Transmit), (&path.receiver, Direction::Receive)]
    {
        let seen = observation.flow(socket, 11, direction).stream;
        assert_eq!((seen.packets, seen.bytes), (2, 2 * stream.length() as u64));
        assert_eq!((seen.expected(), seen.lost()), (2, 0));
        assert!(seen.first_ns < seen.last_ns);
    }
}

#[test]
fn packets_that_do_not_follow_each_other_never_become_a_flow() {
    let mut observation = Observation::shared();
    let (path, stream) = (Path::v4(), Stream::pcmu(12));
    for number in 0..100 {
        path.carry(&stream.packet(number * 2));
    }
    assert_eq!(observation.flows(&path.sender), []);
    path.carry(&stream.packet(199));
    let seen = observation.flow(&path.sender, 12, Direction::Transmit).stream;
    assert_eq!((seen.packets, seen.expected()), (2, 2));
}

#[test]
fn a_changed_ssrc_is_a_flow_of_its_own_after_two_packets() {
    let mut observation = Observation::shared();
    let path = Path::v4();
    let (before, after) = (Stream::pcmu(13), Stream::pcmu(14));
    (0..10).for_each(|number| path.carry(&before.packet(number)));
    path.carry(&after.packet(10));
    assert_eq!(observation.flows(&path.receiver).len(), 1);
    path.carry(&after.packet(11));
    let old = observation.flow(&path.receiver, 13, Direction::Receive).stream;
    let new = observation.flow(&path.receiver, 14, Direction::Receive).stream;
    assert_eq!((old.packets, old.lost()), (10, 0));
    assert_eq!((new.packets, new.lost()), (2, 0));
}

#[test]
fn a_restart_takes_two_in_a_row_and_is_not_taken_for_loss() {
    let mut observation = Observation::shared();
    let (path, stream) = (Path::v4(), Stream::pcmu(15));
    (0..10).for_each(|number| path.carry(&stream.packet(number)));
    path.carry(&stream.packet(30_000));
    let stray = observation.flow(&path.receiver, 15, Direction::Receive).stream;
    assert_eq!((stray.packets, stray.strays, stray.restarts), (10, 1, 0));
    assert_eq!((stray.expected(), stray.lost()), (10, 0));
    path.carry(&stream.packet(30_001));
    path.carry(&stream.packet(30_003));
    let length = stream.length() as u64;
    for (socket, direction) in
        [(&path.sender, Direction::Transmit), (&path.receiver, Direction::Receive)]
    {
        let seen = observation.flow(socket, 15, direction).stream;
        assert_eq!((seen.packets, seen.bytes), (13, 13 * length));
        assert_eq!((seen.strays, seen.restarts), (0, 1));
        assert_eq!((seen.expected(), seen.lost()), (14, 1));
        let name = format!("restart_{}", direction.as_str());
        figure(&format!("{name}_expected"), seen.expected());
        figure(&format!("{name}_lost"), seen.lost());
    }
}

#[test]
fn a_flow_that_was_removed_comes_back_with_its_next_packets() {
    let mut observation = Observation::shared();
    let (path, stream) = (Path::v4(), Stream::pcmu(16));
    (0..10).for_each(|number| path.carry(&stream.packet(number)));
    let key = observation.flow(&path.receiver, 16, Direction::Receive).key;
    observation.kernel.remove_flow(&key).unwrap();
    assert_eq!(observation.flows(&path.receiver), []);
    (10..15).for_each(|number| path.carry(&stream.packet(number)));
    let again = observation.flow(&path.receiver, 16, Direction::Receive).stream;
    assert_eq!((again.packets, again.expected()), (5, 5));
    observation.kernel.remove_flow(&key).unwrap();
    observation.kernel.remove_flow(&key).expect("removing what is gone is no error");
}
