//! Two clocks of a host.

/// What `CLOCK_REALTIME` says at each moment of `CLOCK_MONOTONIC`, as it was measured: it
/// is measured anew now and then, because the one is set and the other is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WallClock {
    /// By how many ns the one is ahead of the other.
    ahead_ns: i64,
}

impl WallClock {
    /// The three were read one after another: `CLOCK_MONOTONIC`, `CLOCK_REALTIME` in ns since
    /// 1970, and `CLOCK_MONOTONIC` once more.
    #[must_use]
    pub const fn new(before_ns: u64, unix_ns: u64, after_ns: u64) -> Self {
        let middle_ns = before_ns + after_ns.saturating_sub(before_ns) / 2;
        Self { ahead_ns: unix_ns.wrapping_sub(middle_ns).cast_signed() }
    }

    /// A moment of `CLOCK_MONOTONIC` in ns since 1970.
    #[must_use]
    pub const fn unix_ns(self, monotonic_ns: u64) -> u64 {
        monotonic_ns.saturating_add_signed(self.ahead_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_as_far_from_the_measurement_on_both_clocks() {
        let clock = WallClock::new(1_000, 1_700_000_000_000_000_000, 1_400);
        assert_eq!(clock.unix_ns(1_200), 1_700_000_000_000_000_000);
        assert_eq!(clock.unix_ns(200), 1_699_999_999_999_999_000);
        // A host that has just started and thinks that it is 1970.
        let clock = WallClock::new(5_000, 1_000, 5_000);
        assert_eq!((clock.unix_ns(6_000), clock.unix_ns(1_000)), (2_000, 0));
    }
}
