//! Two processors in one flow.

use std::{
    sync::atomic::{AtomicU32, Ordering::SeqCst},
    thread,
};

use observer::model::Direction;

use crate::support::{
    machine::volume,
    observation::{Observation, Shared, figure},
    path::Path,
    rtp::Stream,
};

/// Packets that may be on their way at once. A thread that is put to sleep with a packet
/// in its hand holds the other back after as many, so no packet comes so late that it
/// looks like another stream's (more than 100 behind, RFC 3550 appendix A.1).
const WINDOW: u32 = 64;

/// `total` packets of `flows` streams, from two threads by one socket; the counter that
/// gives each packet its number is shared.
fn two_threads(observation: &mut Observation, name: &str, flows: u32, total: u32) {
    let path = Path::v4();
    let stream = |flow| Stream { payload: 20, ..Stream::pcmu(0x7000_0000 + flow) };
    let packet = |number: u32| {
        let mut packet = stream(number % flows).packet(number / flows);
        let end = packet.len() - 4;
        packet[end..].copy_from_slice(&number.to_be_bytes());
        packet
    };
    // Probation is for one thread: it wants two packets in a row.
    let begun = 2 * flows;
    (0..begun).for_each(|number| path.carry(&packet(number)));

    let next = AtomicU32::new(begun);
    let lowest = AtomicU32::new(begun);
    let send = || loop {
        let number = next.fetch_add(1, SeqCst);
        if number >= total {
            return;
        }
        while number.saturating_sub(lowest.load(SeqCst)) >= WINDOW {
            thread::yield_now();
        }
        path.send(&packet(number));
    };
    let receive = || {
        let mut came = vec![false; total as usize];
        let mut buffer = [0; 64];
        let mut low = begun;
        while low < total {
            let length = path.receiver.recv(&mut buffer)?;
            let number = u32::from_be_bytes(*buffer[..length].last_chunk().unwrap());
            assert!(!came[number as usize], "{number} came twice");
            came[number as usize] = true;
            while low < total && came[low as usize] {
                low += 1;
            }
            lowest.store(low, SeqCst);
        }
        std::io::Result::Ok(())
    };
    thread::scope(|scope| {
        scope.spawn(send);
        scope.spawn(send);
        let outcome = receive();
        // Without this, an error here would leave the others waiting.
        lowest.store(total, SeqCst);
        outcome.expect("every packet arrives");
    });

    let each = u64::from(total / flows);
    let mut lost = 0;
    for flow in 0..flows {
        for (socket, direction) in
            [(&path.sender, Direction::Transmit), (&path.receiver, Direction::Receive)]
        {
            let seen = observation.flow(socket, stream(flow).ssrc, direction).stream;
            assert_eq!((seen.packets, seen.bytes), (each, each * stream(flow).length() as u64));
            assert_eq!((seen.expected(), seen.lost()), (each, 0));
            assert_eq!((seen.duplicates, seen.strays, seen.restarts), (0, 0, 0));
            lost += seen.lost() + (each - seen.packets);
        }
    }
    // Whoever is put aside in the middle of a flow keeps the other from its order, not from
    // its counts.
    let contended = observation.losses().remove(&("voice", "contended")).unwrap_or_default();
    let most = volume(total / 1_000, total / 20);
    assert!(contended <= u64::from(most), "{contended} of {total} contended");
    observation.assert_clean_but(&[("voice", "contended")]);
    figure(&format!("contention_{name}_lost"), lost);
}

#[test]
fn a_million_packets_of_one_flow_from_two_threads() {
    two_threads(&mut Observation::shared(), "one_flow", 1, volume(1_000_000, 20_000));
}

#[test]
fn a_hundred_flows_from_two_threads() {
    two_threads(&mut Observation::shared(), "many_flows", 100, volume(200_000, 10_000));
}

#[test]
fn a_million_packets_by_the_programs_of_the_oldest_kernels() {
    let _shared = Shared::detached();
    two_threads(&mut Observation::of_the_oldest(), "oldest", 1, volume(1_000_000, 20_000));
}
