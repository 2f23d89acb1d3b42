//! The ways that packets take.

use std::time::Duration;

use super::peers::{ends::Ends, tunnel::Tunnel};

/// How packets get from one end to the other.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// At once.
    Cable,
    /// Each takes 20 to 40 ms, and none overtakes another.
    Uneven,
    /// Each takes 20 to 70 ms, the first 100 alike, and may overtake others.
    Disorder,
}

/// A way and what is lost on it.
#[derive(Clone, Copy)]
pub(crate) struct Path {
    pub(crate) kind: Kind,
    pub(crate) lost_percent: u32,
}

/// A way that stands.
pub(crate) enum Standing {
    Cable(Ends),
    Tunnel(Tunnel),
}

impl Path {
    /// As the page calls it.
    pub(crate) fn name(self) -> String {
        let delay = match self.kind {
            Kind::Cable => "no delay",
            Kind::Uneven => "20 to 40 ms",
            Kind::Disorder => "20 to 70 ms, out of order",
        };
        format!("{delay}, {} % lost", self.lost_percent)
    }

    /// Lays it.
    pub(crate) fn lay(self) -> Standing {
        match self.kind {
            Kind::Cable => Standing::Cable(Ends::by_cable()),
            Kind::Uneven => Standing::Tunnel(Tunnel::new(|number| between(number, 20, 40))),
            Kind::Disorder => Standing::Tunnel(Tunnel::out_of_order(|number| match number {
                ..100 => Duration::from_millis(45),
                _ => between(number, 20, 70),
            })),
        }
    }
}

impl Standing {
    pub(crate) fn ends(&self) -> &Ends {
        match self {
            Self::Cable(ends) => ends,
            Self::Tunnel(tunnel) => &tunnel.ends,
        }
    }
}

/// A time that looks random, from so many ms up to so many.
fn between(number: u32, least: u64, most: u64) -> Duration {
    let mut random = number.wrapping_mul(0x85eb_ca6b);
    random = (random ^ random >> 13).wrapping_mul(0xc2b2_ae35);
    let us = u64::from(random ^ random >> 16) % ((most - least) * 1_000);
    Duration::from_millis(least) + Duration::from_micros(us)
}
