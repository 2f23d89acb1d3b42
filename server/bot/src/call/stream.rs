//! What came of one stream of RTP, from its sequence numbers and timestamps: what is missing,
//! what came twice or late, and the jitter (RFC 3550, appendices A.1, A.3 and A.8).

use std::time::Duration;

/// A jump ahead by so many packets is a sender that began again (RFC 3550 appendix A.1).
const MAX_DROPOUT: u16 = 3_000;

/// So is a packet that is so much older than the newest (RFC 3550 appendix A.1).
const MAX_MISORDER: u16 = 100;

/// Ticks a second: the clock of RTP for Opus (RFC 7587 section 4.1).
const CLOCK_HZ: u128 = 48_000;

/// Statistics of one SSRC at one receiver. It begins with the first packet that arrives.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    run: Option<Run>,
    /// Of runs that are over.
    ended: Counts,
    /// The number that would make the last packet the first of a new run.
    suspect: Option<u16>,
    jitter: Jitter,
    received: u64,
    duplicates: u64,
    reordered: u64,
    stray: u64,
}

/// Packets without a break in their numbers.
#[derive(Clone, Debug)]
struct Run {
    /// Extended by the cycles of the 16 bits.
    first: u64,
    highest: u64,
    /// Bit n: `highest` - n has arrived.
    seen: u128,
    /// Bit n: `highest` - n is missing, and was dropped on purpose.
    excused: u128,
    counts: Counts,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    expected: u64,
    arrived: u64,
    excused: u64,
}

#[derive(Clone, Debug, Default)]
struct Jitter {
    /// Arrival less timestamp of the packet before, in ticks.
    transit: Option<u32>,
    /// In ticks.
    now: f64,
    max: f64,
    sum: f64,
    samples: u64,
}

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The newest, or the first.
    Newest,
    /// Missed till then: it comes after a later one.
    Late,
    /// It has come before.
    Duplicate,
    /// Far off, and not made use of unless the next follows it.
    Stray,
    /// The second of a sender that began again.
    Restart,
}

/// The figures of a [`Stream`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Packets, without duplicates and strays.
    pub received: u64,
    /// From the first to the newest, by their numbers.
    pub expected: u64,
    /// Expected, and not received.
    pub lost: u64,
    /// Of those, dropped on purpose.
    pub lost_on_purpose: u64,
    /// Packets that had come before.
    pub duplicates: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
    /// Packets far off any number that could be next.
    pub stray: u64,
    /// Sum over all packets of the jitter after each, in ms.
    pub jitter_sum_ms: f64,
    /// So many.
    pub jitter_samples: u64,
    /// The most that it was, in ms.
    pub jitter_max_ms: f64,
}

impl Stream {
    /// A packet arrives, `at` after any moment that is the same for all packets. `is_excused`
    /// says of a number that is skipped whether its packet was dropped on purpose.
    pub fn arrive(
        &mut self,
        sequence: u16,
        timestamp: u32,
        at: Duration,
        is_excused: impl Fn(u16) -> bool,
    ) -> Arrival {
        let arrival = self.place(sequence, is_excused);
        match arrival {
            Arrival::Newest | Arrival::Late => self.received += 1,
            Arrival::Duplicate => self.duplicates += 1,
            Arrival::Stray => self.stray += 1,
            // The one before was one of the new run.
            Arrival::Restart => {
                self.stray -= 1;
                self.received += 2;
                self.jitter.transit = None;
            }
        }
        if arrival == Arrival::Late {
            self.reordered += 1;
        }
        if !matches!(arrival, Arrival::Duplicate | Arrival::Stray) {
            self.jitter.arrive(timestamp, at);
        }
        arrival
    }

    fn place(&mut self, sequence: u16, is_excused: impl Fn(u16) -> bool) -> Arrival {
        let Some(run) = &mut self.run else {
            self.run = Some(Run::new(sequence));
            return Arrival::Newest;
        };
        let ahead = sequence.wrapping_sub(run.highest as u16);
        let behind = ahead.wrapping_neg();
        if ahead > 0 && ahead < MAX_DROPOUT {
            self.suspect = None;
            run.advance(ahead, is_excused);
            Arrival::Newest
        } else if behind < MAX_MISORDER {
            if run.fill(behind, is_excused) { Arrival::Late } else { Arrival::Duplicate }
        } else if self.suspect == Some(sequence) {
            self.rest();
            let mut run = Run::new(sequence.wrapping_sub(1));
            run.advance(1, is_excused);
            self.run = Some(run);
            Arrival::Restart
        } else {
            self.suspect = Some(sequence.wrapping_add(1));
            Arrival::Stray
        }
    }

    /// The sender is not forwarded for a while: the next packet begins anew, and what was sent
    /// till then is not missed.
    pub fn rest(&mut self) {
        if let Some(run) = self.run.take() {
            self.ended.add(run.counts);
        }
        self.suspect = None;
        self.jitter.transit = None;
    }

    /// The newest number, where there is one.
    #[must_use]
    pub fn newest(&self) -> Option<u16> {
        self.run.as_ref().map(|run| run.highest as u16)
    }

    /// Whether this packet has come, as far as that is remembered.
    #[must_use]
    pub fn has(&self, sequence: u16) -> bool {
        self.run.as_ref().is_some_and(|run| {
            let behind = (run.highest as u16).wrapping_sub(sequence);
            behind < MAX_MISORDER && run.seen & 1 << behind != 0
        })
    }

    /// How many packets would be skipped if this one came.
    #[must_use]
    pub fn gap(&self, sequence: u16) -> u16 {
        let ahead = self.newest().map_or(0, |newest| sequence.wrapping_sub(newest));
        // The upper half of the numbers is behind.
        if ahead > u16::MAX / 2 { 0 } else { ahead.saturating_sub(1) }
    }

    /// What came of it so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let mut counts = self.ended;
        if let Some(run) = &self.run {
            counts.add(run.counts);
        }
        let ms = |ticks: f64| ticks * 1_000.0 / CLOCK_HZ as f64;
        Tally {
            received: self.received,
            expected: counts.expected,
            lost: counts.expected - counts.arrived,
            lost_on_purpose: counts.excused,
            duplicates: self.duplicates,
            reordered: self.reordered,
            stray: self.stray,
            jitter_sum_ms: ms(self.jitter.sum),
            jitter_samples: self.jitter.samples,
            jitter_max_ms: ms(self.jitter.max),
        }
    }
}

impl Tally {
    /// What came of two streams.
    pub fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.expected += other.expected;
        self.lost += other.lost;
        self.lost_on_purpose += other.lost_on_purpose;
        self.duplicates += other.duplicates;
        self.reordered += other.reordered;
        self.stray += other.stray;
        self.jitter_sum_ms += other.jitter_sum_ms;
        self.jitter_samples += other.jitter_samples;
        self.jitter_max_ms = self.jitter_max_ms.max(other.jitter_max_ms);
    }
}

impl Run {
    fn new(sequence: u16) -> Self {
        // One cycle up, so that an older packet has a number too.
        let number = (1 << 16) + u64::from(sequence);
        let counts = Counts { expected: 1, arrived: 1, excused: 0 };
        Self { first: number, highest: number, seen: 1, excused: 0, counts }
    }

    fn advance(&mut self, ahead: u16, is_excused: impl Fn(u16) -> bool) {
        for _ in 1..ahead {
            self.push(false);
            if is_excused(self.highest as u16) {
                self.excused |= 1;
                self.counts.excused += 1;
            }
        }
        self.push(true);
    }

    fn push(&mut self, has_arrived: bool) {
        self.highest += 1;
        self.seen = (self.seen << 1) | u128::from(has_arrived);
        self.excused <<= 1;
        self.counts.expected += 1;
        self.counts.arrived += u64::from(has_arrived);
    }

    /// Makes use of an older packet; false when it has come before.
    fn fill(&mut self, behind: u16, is_excused: impl Fn(u16) -> bool) -> bool {
        let bit = 1_u128 << behind;
        if self.seen & bit != 0 {
            return false;
        }
        let number = self.highest - u64::from(behind);
        // Older than the first to arrive: the stream began there.
        while self.first > number {
            self.first -= 1;
            self.counts.expected += 1;
            if self.first > number && is_excused(self.first as u16) {
                self.excused |= 1 << (self.highest - self.first);
                self.counts.excused += 1;
            }
        }
        self.seen |= bit;
        self.counts.arrived += 1;
        if self.excused & bit != 0 {
            self.excused &= !bit;
            self.counts.excused -= 1;
        }
        true
    }
}

impl Counts {
    const fn add(&mut self, other: Self) {
        self.expected += other.expected;
        self.arrived += other.arrived;
        self.excused += other.excused;
    }
}

impl Jitter {
    fn arrive(&mut self, timestamp: u32, at: Duration) {
        // Modulo 2^32, as timestamps are.
        let arrival = (at.as_nanos() * CLOCK_HZ / 1_000_000_000) as u32;
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(before) = self.transit.replace(transit) {
            let difference = f64::from(transit.wrapping_sub(before).cast_signed().unsigned_abs());
            self.now += (difference - self.now) / 16.0;
            self.max = self.max.max(self.now);
        }
        self.sum += self.now;
        self.samples += 1;
    }
}

#[cfg(test)]
mod tests;
