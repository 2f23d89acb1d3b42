//! How long to wait before an attempt is made again.

use std::time::Duration;

/// The first wait at its longest.
const FIRST: Duration = Duration::from_secs(1);
/// No wait is longer.
const LONGEST: Duration = Duration::from_secs(30);

/// Waits that double, each cut by up to a half at random, so that those who were refused
/// together do not come back together.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// The next wait; `random` is at least 0 and less than 1.
    pub(super) fn next(&mut self, random: f64) -> Duration {
        let longest = FIRST.saturating_mul(2_u32.saturating_pow(self.attempts)).min(LONGEST);
        self.attempts = self.attempts.saturating_add(1);
        longest.mul_f64(1.0 - random / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_are_cut_at_random() {
        let waits = |random: f64| {
            let mut backoff = Backoff::default();
            [(); 7].map(|()| backoff.next(random).as_millis())
        };
        assert_eq!(waits(0.0), [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        assert_eq!(waits(0.5), [750, 1_500, 3_000, 6_000, 12_000, 22_500, 22_500]);
        let mut old = Backoff { attempts: u32::MAX };
        assert_eq!(old.next(0.0), LONGEST);
    }
}
