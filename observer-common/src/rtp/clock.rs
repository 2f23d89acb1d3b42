//! The clock of a dynamic payload type, by how far its timestamps get in a second.

/// Clock rates in use, in Hz: those of RFC 3551, and those that codecs with dynamic types
/// register.
const RATES: [u32; 7] = [8_000, 16_000, 24_000, 32_000, 44_100, 48_000, 90_000];

/// The clock of video (RFC 3551 section 5), which no audio codec has.
pub const VIDEO_RATE: u32 = 90_000;

/// A measured rate may be off by one part in so many: less than half of what lies between
/// 44.1 and 48 kHz.
const TOLERANCE: u32 = 25;

/// Between two looks, in ns, as long as a stream's clock is not known. A delay that varies
/// by 40 ms is in the tolerance.
const LOOK_NS: u64 = 1_000_000_000;
/// And when it is.
const LOOK_AGAIN_NS: u64 = 8_000_000_000;
/// A look that finds no rate is made longer, up to this, in ns.
const LONGEST_LOOK_NS: u64 = 32_000_000_000;

/// Looks in a row that must agree before a clock is taken for another: the first time, and
/// when it was known already.
const VOTES: [u8; 2] = [2, 4];

/// What is known of a stream's clock.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct Clock {
    /// Arrival of the packet that the look began with, in ns.
    pub since_ns: u64,
    /// Its timestamp, in ticks.
    pub since: u32,
    /// The rate that the last looks found in place of the one in force, in Hz.
    pub voted: u32,
    /// How many of them.
    pub votes: u8,
    /// 1 when a look has found the rate that is in force, or put it in force.
    pub known: u8,
    /// Zero.
    pub reserved: [u8; 2],
    /// How often the rate was corrected.
    pub corrections: u32,
}

const _: () = assert!(size_of::<Clock>() == 24);

impl Clock {
    /// Of a stream that begins with a packet of `timestamp` at `now_ns`.
    #[inline(always)]
    #[must_use]
    pub const fn new(timestamp: u32, now_ns: u64) -> Self {
        let nothing = [0; 2];
        Self {
            since_ns: now_ns,
            since: timestamp,
            voted: 0,
            votes: 0,
            known: 0,
            reserved: nothing,
            corrections: 0,
        }
    }

    /// When to look, after a look began at `now_ns`.
    #[inline(always)]
    #[must_use]
    pub const fn due_ns(&self, now_ns: u64) -> u64 {
        now_ns.saturating_add(if self.known == 0 { LOOK_NS } else { LOOK_AGAIN_NS })
    }

    /// Begins a look with a packet: the time from the one before was no time of media.
    #[inline(always)]
    pub const fn begin(&mut self, timestamp: u32, now_ns: u64) {
        self.since_ns = now_ns;
        self.since = timestamp;
    }

    /// Looks at a packet when a look is due, and gives the rate in place of the `rate` in
    /// force, if that was wrong.
    #[inline(always)]
    pub fn look(&mut self, rate: u32, timestamp: u32, now_ns: u64) -> Option<u32> {
        let elapsed = now_ns.wrapping_sub(self.since_ns);
        let Some(found) = nearest(timestamp.wrapping_sub(self.since), elapsed) else {
            if elapsed >= LONGEST_LOOK_NS {
                self.begin(timestamp, now_ns);
            }
            self.votes = 0;
            return None;
        };
        self.begin(timestamp, now_ns);
        if found == rate {
            self.known = 1;
            self.votes = 0;
            return None;
        }
        self.votes = if found == self.voted { self.votes.wrapping_add(1) } else { 1 };
        self.voted = found;
        if self.votes < VOTES[usize::from(self.known & 1)] {
            return None;
        }
        self.known = 1;
        self.votes = 0;
        self.corrections = self.corrections.wrapping_add(1);
        Some(found)
    }
}

/// The rate that comes to so many ticks in so many ns, if one is near.
#[inline(always)]
fn nearest(ticks: u32, elapsed_ns: u64) -> Option<u32> {
    let measured = (u64::from(ticks) * 1_000_000_000).checked_div(elapsed_ns)?;
    let mut found = 0;
    for rate in RATES {
        if measured.abs_diff(u64::from(rate)) < u64::from(rate / TOLERANCE) {
            found = rate;
        }
    }
    (found != 0).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_rate_is_found_within_four_percent() {
        for rate in RATES {
            let off = u64::from(rate) * 39 / 1_000;
            for ticks in [u64::from(rate) - off, u64::from(rate), u64::from(rate) + off] {
                assert_eq!(nearest(ticks as u32, SECOND), Some(rate), "{ticks}");
            }
        }
        for ticks in [0, 7_600, 12_000, 20_000, 46_000, 60_000, 100_000, u32::MAX] {
            assert_eq!(nearest(ticks, SECOND), None, "{ticks}");
        }
        assert_eq!(nearest(1, 0), None);
    }

    #[test]
    fn a_clock_is_corrected_once_two_looks_agree() {
        let mut clock = Clock::new(0, 0);
        assert_eq!(clock.look(48_000, 16_000, SECOND), None);
        assert_eq!(clock.look(48_000, 32_000, 2 * SECOND), Some(16_000));
        assert_eq!((clock.known, clock.corrections), (1, 1));
        assert_eq!(clock.look(16_000, 48_000, 3 * SECOND), None);
    }

    #[test]
    fn a_known_clock_is_not_corrected_for_a_pause() {
        let mut clock = Clock::new(0, 0);
        assert_eq!(clock.look(48_000, 48_000, SECOND), None);
        // Half of the time without media looks like half of the rate.
        for (ticks, at) in [(24_000, 2), (24_000, 3), (24_000, 4), (48_000, 5)] {
            let timestamp = clock.since + ticks;
            assert_eq!(clock.look(48_000, timestamp, at * SECOND), None, "{at}");
        }
        assert_eq!(clock.corrections, 0);
    }

    #[test]
    fn a_look_that_finds_nothing_goes_on() {
        let mut clock = Clock::new(0, 0);
        assert_eq!(clock.look(48_000, 12_000, SECOND), None);
        assert_eq!(clock.since_ns, 0);
        assert_eq!(clock.look(48_000, 12_000, 40 * SECOND), None);
        assert_eq!(clock.since_ns, 40 * SECOND);
    }
}
