//! One path of a voice socket, to one peer: does it work, how far is it, and how long does
//! the application take to answer.

use crate::{
    abi::{RECEIVE, TRANSMIT},
    demux::{Seen, What},
    stun::Name,
};

/// Checks that are in flight at once in one direction; a later one takes the place of the
/// oldest. Chromium sends one in 48 ms at most, and one in 2.6 s once a pair is in use.
const IN_FLIGHT: usize = 8;

/// [`Path::flags`]: something proved that it is one.
const PROVED: u8 = 1;
/// [`Path::flags`]: [`Path::name`] was in a check that this end sent.
const NAME_SENT: u8 = 2;
/// [`Path::flags`]: RTCP that can be read came, or, twice that, went out.
const RTCP_CAME: u8 = 4;
const RTCP_BOTH: u8 = 12;

/// [`Check::asked`]: it chooses the pair.
const NOMINATES: u32 = 1;
/// [`Check::asked`]: it was sent again, so an answer may be to either.
const REPEATED: u32 = 2;

/// A distribution of times, in ns.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct Times {
    /// The last.
    pub last_ns: u64,
    /// The least.
    pub min_ns: u64,
    /// The largest.
    pub max_ns: u64,
    /// All of them together.
    pub sum_ns: u64,
    /// How many there were. Without one the others mean nothing.
    pub count: u64,
}

impl Times {
    /// There was none.
    pub const NONE: Self = Self { last_ns: 0, min_ns: u64::MAX, max_ns: 0, sum_ns: 0, count: 0 };

    /// Adds one.
    #[inline(always)]
    pub(crate) fn add(&mut self, time_ns: u64) {
        self.last_ns = time_ns;
        if time_ns < self.min_ns {
            self.min_ns = time_ns;
        }
        if time_ns > self.max_ns {
            self.max_ns = time_ns;
        }
        self.sum_ns = self.sum_ns.wrapping_add(time_ns);
        self.count += 1;
    }
}

/// A check that has no answer yet.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct Check {
    /// When it was first seen, in ns of the caller's clock.
    pub at_ns: u64,
    /// Its transaction: [`crate::stun::Header::folded`]. 0 when there is none.
    pub transaction: u32,
    /// The hash of the name it was asked by, and in the bits that a hash leaves whether it
    /// chooses the pair and whether it was sent again.
    pub asked: u32,
}

impl Check {
    const NONE: Self = Self { at_ns: 0, transaction: 0, asked: 0 };
}

/// The state of one path, as one of its two ends sees it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct Path {
    /// The first check in either direction, in ns of the caller's clock, 0 when there was
    /// none. So are all times at which something was.
    pub first_check_ns: u64,
    /// The answer to the first check that chose this pair.
    pub in_use_ns: u64,
    /// The first `ClientHello` in either direction.
    pub hello_ns: u64,
    /// The last packet of any kind but media.
    pub last_ns: u64,
    /// From a check of this end to its answer, those that were sent again left out (Karn's
    /// rule: nobody knows which of them the answer is to).
    pub round_trip: Times,
    /// From the peer's check to this end's answer: how long the application takes.
    pub stall: Times,
    /// Datagrams of RTCP that can be read.
    pub rtcp: u64,
    /// Datagrams of SRTCP.
    pub srtcp: u64,
    /// Checks without an answer, those of the peer first.
    pub checks: [[Check; IN_FLIGHT]; 2],
    /// The user name of the checks that were granted.
    pub name: Name,
    /// The user name of a check that is not granted yet: anybody may send one.
    pub asked: Name,
    /// Where the next check goes, the peer's first.
    pub next: [u8; 2],
    /// What is known.
    pub flags: u8,
    /// Zero.
    pub reserved: [u8; 5],
}

const _: () = assert!(size_of::<Path>() == 536);

impl Path {
    /// Nothing is known.
    pub const NONE: Self = Self {
        first_check_ns: 0,
        in_use_ns: 0,
        hello_ns: 0,
        last_ns: 0,
        round_trip: Times::NONE,
        stall: Times::NONE,
        rtcp: 0,
        srtcp: 0,
        checks: [[Check::NONE; IN_FLIGHT]; 2],
        name: Name::NONE,
        asked: Name::NONE,
        next: [0; 2],
        flags: 0,
        reserved: [0; 5],
    };

    /// Whether something proved that it is one: a check that was granted, RTCP of a known
    /// stream, or RTCP both ways. Anybody can send a datagram, so one of this end must be
    /// part of it.
    #[inline(always)]
    #[must_use]
    pub const fn is_proved(&self) -> bool {
        self.flags & PROVED != 0
    }

    /// Whether [`Path::name`] was in a check that this end sent: then the peer's ufrag comes
    /// first in it, else this end's own.
    #[must_use]
    pub const fn is_name_sent(&self) -> bool {
        self.flags & NAME_SENT != 0
    }

    /// Whether a datagram can be the first that is known of a path.
    #[inline(always)]
    #[must_use]
    pub const fn may_begin(seen: &Seen, is_known: bool) -> bool {
        match seen.what {
            What::Check | What::Hello => true,
            What::Rtcp => seen.compound.is_plain || is_known,
            What::Answer | What::Relayed => false,
        }
    }

    /// Takes in a datagram. `name` is the one of a check; `is_known` says whether the sender
    /// of RTCP is that of a known stream.
    #[inline(always)]
    pub fn take(&mut self, seen: &Seen, name: &Name, is_known: bool, direction: u8, now_ns: u64) {
        let Seen { what, is_yes, transaction, compound, .. } = *seen;
        match what {
            What::Check => self.check(direction, transaction, is_yes, name, now_ns),
            What::Answer => self.answer(direction, transaction, is_yes, now_ns),
            What::Hello => self.hello(now_ns),
            What::Rtcp => self.rtcp(direction, compound.is_plain, is_known, now_ns),
            What::Relayed => {}
        }
    }

    /// A check: a Binding request with a user name.
    #[inline(always)]
    fn check(
        &mut self,
        direction: u8,
        transaction: u32,
        nominates: bool,
        name: &Name,
        now_ns: u64,
    ) {
        self.last_ns = now_ns;
        if self.first_check_ns == 0 {
            self.first_check_ns = now_ns;
        }
        // One end's names are kept, from the first that was granted.
        let is_of_this_end = self.name.hash == 0 || self.is_name_sent() == (direction == TRANSMIT);
        if is_of_this_end && name.hash != self.name.hash && name.hash != self.asked.hash {
            self.asked = *name;
        }
        let side = usize::from(direction & 1);
        let checks = &mut self.checks[side];
        if let Some(known) = find(checks, transaction) {
            known.asked |= REPEATED;
            return;
        }
        let asked = name.hash | if nominates { NOMINATES } else { 0 };
        checks[usize::from(self.next[side]) % IN_FLIGHT] =
            Check { at_ns: now_ns, transaction, asked };
        self.next[side] = self.next[side].wrapping_add(1);
    }

    /// The answer to a check, which was granted or not. One to no known check is nothing.
    #[inline(always)]
    fn answer(&mut self, direction: u8, transaction: u32, granted: bool, now_ns: u64) {
        let side = usize::from(direction & 1) ^ 1;
        let Some(known) = find(&mut self.checks[side], transaction) else { return };
        let found = *known;
        known.transaction = 0;
        self.last_ns = now_ns;
        if !granted {
            return;
        }
        self.flags |= PROVED;
        let time_ns = now_ns.saturating_sub(found.at_ns);
        if direction == TRANSMIT {
            self.stall.add(time_ns);
        } else if found.asked & REPEATED == 0 {
            self.round_trip.add(time_ns);
        }
        let hash = found.asked & !Name::SPARE;
        if hash != self.name.hash && hash == self.asked.hash && hash != 0 {
            if self.name.hash != 0 {
                // ICE began anew on the same path.
                self.first_check_ns = found.at_ns;
                self.in_use_ns = if found.asked & NOMINATES != 0 { now_ns } else { 0 };
                self.hello_ns = 0;
            }
            self.name = self.asked;
            let sent = if direction == RECEIVE { NAME_SENT } else { 0 };
            self.flags = self.flags & !NAME_SENT | sent;
        }
        if found.asked & NOMINATES != 0 && self.in_use_ns == 0 {
            self.in_use_ns = now_ns;
        }
    }

    /// A `ClientHello`.
    #[inline(always)]
    fn hello(&mut self, now_ns: u64) {
        self.last_ns = now_ns;
        if self.hello_ns == 0 {
            self.hello_ns = now_ns;
        }
    }

    /// RTCP, of the sender of a known stream or not. What cannot be read counts on a path
    /// that proved to be one.
    #[inline(always)]
    fn rtcp(&mut self, direction: u8, is_plain: bool, is_known: bool, now_ns: u64) {
        if is_known {
            self.flags |= PROVED;
        }
        if is_plain {
            self.flags |= RTCP_CAME << (direction & 1);
            if self.flags & RTCP_BOTH == RTCP_BOTH {
                self.flags |= PROVED;
            }
            self.rtcp += 1;
        } else if self.is_proved() {
            self.srtcp += 1;
        }
        self.last_ns = now_ns;
    }
}

/// The check of this transaction. One branch a turn, which leads out of the loop: of a loop
/// whose ways come together again, kernels up to 6.1 walk two to the power of its length.
#[inline(always)]
fn find(checks: &mut [Check; IN_FLIGHT], transaction: u32) -> Option<&mut Check> {
    checks.iter_mut().find(|known| known.transaction == transaction)
}

#[cfg(test)]
mod tests;
