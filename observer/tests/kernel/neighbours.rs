//! Others at the cgroup root: a second observer, and programs of somebody else.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use observer::model::Direction;

use crate::support::{
    attachment::{ALLOW_MULTI, Foreign},
    observation::{LIMITS, Observation, Shared},
    path::Path,
    rtp::Stream,
    stream::Ends,
};

fn packets(observation: &mut Observation, path: &Path, ssrc: u32) -> [u64; 2] {
    [
        observation.flow(&path.sender, ssrc, Direction::Transmit).stream.packets,
        observation.flow(&path.receiver, ssrc, Direction::Receive).stream.packets,
    ]
}

#[test]
fn two_observers_count_the_same_and_one_goes_on_alone() {
    // The shared one first: nobody keeps the root to themselves as long as it is locked.
    let mut other = Observation::shared();
    let mut one = Observation::start();
    let (path, stream) = (Path::v4(), Stream::pcmu(51));
    (0..100).for_each(|number| path.carry(&stream.packet(number)));
    let mut ends = Ends::v4();
    ends.talk(300, 400);
    let cookies = ends.cookies();
    ends.client_closes();
    for observation in [&mut one, &mut *other] {
        assert_eq!(packets(observation, &path, 51), [100, 100]);
        assert_eq!(observation.all_closed(cookies).map(|end| end.bytes_received), [401, 301]);
        observation.assert_clean();
    }

    let standing = Ends::v4();
    drop(one);
    (100..150).for_each(|number| path.carry(&stream.packet(number)));
    assert_eq!(packets(&mut other, &path, 51), [150, 150]);
    // The callbacks that both had asked for go on, too.
    let cookies = standing.cookies();
    standing.server_closes();
    other.all_closed(cookies);
    other.assert_clean();
}

#[test]
fn a_foreign_program_that_allows_others_stands_beside_ours() {
    // Where somebody keeps the root to themselves, so does `start` in every other test.
    let foreign = Foreign::attach(ALLOW_MULTI).unwrap();
    let mut observation = Observation::start();
    let (path, stream) = (Path::v4(), Stream::pcmu(52));
    (0..20).for_each(|number| path.carry(&stream.packet(number)));
    drop(foreign);
    (20..30).for_each(|number| path.carry(&stream.packet(number)));
    assert_eq!(packets(&mut observation, &path, 52), [30, 30]);
    let foreign = Foreign::attach(ALLOW_MULTI).unwrap();
    (30..40).for_each(|number| path.carry(&stream.packet(number)));
    assert_eq!(packets(&mut observation, &path, 52), [40, 40]);
    drop(foreign);
}

/// Attaches a program that keeps others out, as soon as there are no others.
fn keep_out() -> io::Result<Foreign> {
    let begun = Instant::now();
    loop {
        match Foreign::attach(0) {
            Err(_) if begun.elapsed() < Duration::from_secs(10) => {
                thread::sleep(Duration::from_millis(20));
            }
            outcome => return outcome,
        }
    }
}

#[test]
fn a_foreign_program_that_keeps_others_out_is_named_and_the_rest_works() {
    let _detached = Shared::detached();
    let foreign = match keep_out() {
        Ok(foreign) => foreign,
        Err(error) => {
            println!(
                "skipped: a_foreign_program_that_keeps_others_out: the cgroup root has programs of others: {error}"
            );
            return;
        }
    };
    let mut observation = Observation::try_with(LIMITS, false).unwrap();
    for state in observation.kernel.probes() {
        match (state.probe.name, &state.failure) {
            ("egress", Some(failure)) => {
                assert!(failure.contains("BPF_F_ALLOW_MULTI"), "{failure}");
                assert!(failure.contains("Operation not permitted"), "{failure}");
            }
            ("egress", None) => panic!("it was let in"),
            (name, failure) => assert_eq!(*failure, None, "{name}"),
        }
    }
    let (path, stream) = (Path::v4(), Stream::pcmu(53));
    (0..10).for_each(|number| path.carry(&stream.packet(number)));
    let seen = observation.flow(&path.receiver, 53, Direction::Receive).stream;
    assert_eq!((seen.packets, seen.lost()), (10, 0));
    assert_eq!(observation.flows(&path.sender), []);
    drop(foreign);
}
