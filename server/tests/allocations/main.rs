//! What a packet costs the heap on its way through the server, beside what str0m alone takes
//! for the same.
//!
//! The server is in this process, so that its allocator can count, and what it allocates is
//! told from the rest by the name of its threads for voice. Nothing of it has to be opened
//! for that.

#![cfg(test)]

mod counter;

mod floor;

mod room;

use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use vc_bot::Line;

use floor::Floor;
use room::{Room, Server};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// How long anything may take here.
const PATIENCE: Duration = Duration::from_secs(30);

/// Packets between two readings of the counter.
const PACKETS: usize = 50;

/// Readings. What comes by the clock, such as reports and checks, falls into few of them.
const READINGS: usize = 12;

/// How long talkers talk before that. Until str0m's first report comes back, each packet bears
/// the identifier of its line, which str0m allocates for when it receives one.
const TO_SETTLE: Duration = Duration::from_secs(7);

/// 20 ms of Opus at 32 kbit/s, and how loud they are.
const FRAME: [u8; 80] = [0x78; 80];
const LOUD: i8 = -20;

/// Connections of which the first talks, and what is between them.
struct Call {
    lines: Vec<Line>,
    between: Between,
}

enum Between {
    Server { _room: Room },
    Floor(Floor),
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarding_allocates_nothing_that_str0m_does_not() {
    let server = Server::start().await;
    let mut calls = Vec::new();
    for listeners in [1, 10] {
        let (room, lines) = server.room(listeners).await;
        calls.push(Call { lines, between: Between::Server { _room: room } });
        let (floor, lines) = Floor::connect(listeners);
        calls.push(Call { lines, between: Between::Floor(floor) });
    }
    let begun = Instant::now();
    while begun.elapsed() < TO_SETTLE {
        for call in &mut calls {
            let _not_settled = call.read();
        }
    }
    let readings = (0..READINGS).map(|_| calls.iter_mut().map(Call::read).collect::<Vec<_>>());
    let fewest = readings.reduce(|one, other| one.into_iter().zip(other).map(least).collect());
    let fewest = fewest.unwrap();

    for (pair, calls) in fewest.chunks(2).zip(calls.chunks(2)) {
        let [of_server, of_str0m] = [pair[0], pair[1]];
        let listeners = calls[0].lines.len() - 1;
        let each = |count: u64| count as f64 / PACKETS as f64;
        println!(
            "a packet to {listeners}: the server allocates {:.2} times, str0m alone {:.2}",
            each(of_server),
            each(of_str0m),
        );
        assert!(of_str0m > 0, "allocations are counted");
        assert_eq!(of_server, of_str0m, "for {PACKETS} packets, each to {listeners} listeners");
    }
}

fn least((one, other): (u64, u64)) -> u64 {
    one.min(other)
}

impl Call {
    /// Allocations while the first says something, over and over, each time when all others
    /// have heard what was said before.
    fn read(&mut self) -> u64 {
        let before = counter::count();
        for _ in 0..PACKETS {
            self.lines[0].speak(&FRAME, LOUD).unwrap();
            let mut missing = self.lines.len() - 1;
            let until = Instant::now() + PATIENCE;
            while missing > 0 {
                assert!(Instant::now() < until, "a packet is not heard");
                if let Between::Floor(floor) = &mut self.between {
                    floor.forward();
                }
                for line in &mut self.lines {
                    line.step().unwrap();
                    missing -= std::iter::from_fn(|| line.heard()).count();
                }
            }
        }
        counter::count() - before
    }
}
