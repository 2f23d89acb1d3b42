//! The floor of voice: one hop by loopback, from one connection to another, without a server
//! between. That is str0m's work and the kernel's, which a server that passes packets on has
//! to have done.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustix::time::{ClockId, clock_gettime};
use vc_bot::Line;

use super::{
    figures::Cost,
    voice::{HERE, LOUD, packet},
};

/// Packets that are sent before they are received.
const BATCH: u32 = 32;
/// So many times: some milliseconds.
const BATCHES: u32 = 10;
/// How long it may take to connect.
const PATIENCE: Duration = Duration::from_secs(10);

/// Two connections.
pub(crate) struct Hop {
    from: Line,
    to: Line,
}

impl Hop {
    pub(crate) fn connect() -> Result<Self> {
        let (mut from, offer) = Line::offer(HERE, 0)?;
        let (to, answer) = Line::accept(HERE, &offer)?;
        from.answer(&answer)?;
        let mut hop = Self { from, to };
        let until = Instant::now() + PATIENCE;
        while !(hop.from.is_connected() && hop.to.is_connected()) {
            ensure!(Instant::now() < until, "two connections do not find each other");
            hop.keep()?;
        }
        Ok(hop)
    }

    /// Does what is due.
    pub(crate) fn keep(&mut self) -> Result<()> {
        self.from.step()?;
        Ok(self.to.step()?)
    }

    /// What a packet costs this thread to send, and to receive.
    pub(crate) fn measure(&mut self) -> Result<Cost> {
        let packet = packet(0, 0);
        let (mut send, mut receive) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..BATCHES {
            let before = cpu()?;
            for _ in 0..BATCH {
                self.from.speak(&packet, LOUD)?;
            }
            let between = cpu()?;
            self.to.step()?;
            let after = cpu()?;
            let arrived = std::iter::from_fn(|| self.to.heard()).count();
            ensure!(arrived == BATCH as usize, "{arrived} packets of {BATCH} went by loopback");
            send += between.saturating_sub(before);
            receive += after.saturating_sub(between);
            self.from.step()?;
        }
        let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(BATCH * BATCHES);
        Ok(Cost { send: each(send), receive: each(receive) })
    }
}

/// Of this thread.
fn cpu() -> Result<Duration> {
    Ok(Duration::try_from(clock_gettime(ClockId::ThreadCPUTime))?)
}
