//! Flows that nobody asks about.

use observer::{
    model::{Direction, VoiceFlow, VoiceKey},
    source::ebpf::read::FlowRow,
};

use crate::support::{observation::Observation, path::Path, rtp::Stream};

/// The flows that are passed over, and since when.
fn excluded(observation: &mut Observation) -> Vec<(VoiceKey, u64)> {
    let mut excluded = Vec::new();
    let read = observation.kernel.read_flows(|_, row| {
        if let FlowRow::Excluded { key, since_ns } = row {
            excluded.push((key, since_ns));
        }
    });
    read.unwrap();
    excluded
}

fn is_passed_over_until_it_is_removed(mut observation: Observation) {
    let (path, stream, other) = (Path::v4(), Stream::pcmu(0x0e0c_0001), Stream::pcmu(0x0e0c_0002));
    let carry = |numbers: std::ops::Range<u32>| {
        for number in numbers {
            path.carry(&stream.packet(number));
            path.carry(&other.packet(number));
        }
    };
    let packets = |flow: VoiceFlow| flow.stream.packets;
    carry(0..10);
    let key = observation.flow(&path.sender, stream.ssrc, Direction::Transmit).key;
    observation.kernel.exclude_flow(&key, 7).unwrap();
    carry(10..110);
    assert_eq!(excluded(&mut observation), [(key, 7)]);
    assert_eq!(observation.flows(&path.sender).len(), 1, "the other");
    for (socket, ssrc, direction) in [
        (&path.sender, other.ssrc, Direction::Transmit),
        (&path.receiver, other.ssrc, Direction::Receive),
        (&path.receiver, stream.ssrc, Direction::Receive),
    ] {
        assert_eq!(packets(observation.flow(socket, ssrc, direction)), 110);
    }

    observation.kernel.remove_flow(&key).unwrap();
    assert_eq!(excluded(&mut observation), []);
    carry(110..120);
    let again = observation.flow(&path.sender, stream.ssrc, Direction::Transmit);
    assert_eq!((packets(again), again.stream.lost()), (10, 0));
    assert_eq!(packets(observation.flow(&path.sender, other.ssrc, Direction::Transmit)), 120);

    // One that has gone meanwhile does not come back.
    observation.kernel.remove_flow(&key).unwrap();
    observation.kernel.exclude_flow(&key, 8).unwrap();
    assert_eq!(excluded(&mut observation), []);
    observation.assert_clean();
}

#[test]
fn a_flow_that_nobody_asks_about_is_passed_over() {
    is_passed_over_until_it_is_removed(Observation::start());
}

#[test]
fn a_flow_that_nobody_asks_about_is_passed_over_by_programs_for_the_oldest_kernels() {
    is_passed_over_until_it_is_removed(Observation::of_the_oldest());
}
