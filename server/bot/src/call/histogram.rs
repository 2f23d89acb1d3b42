//! Durations by the million, in a few hundred counters.

use std::time::Duration;

/// Steps of each doubling: a quantile is told within 1/32 of itself.
const STEP_BITS: u32 = 5;
const STEPS: u64 = 1 << STEP_BITS;

/// Counts durations in µs, exactly up to 63 µs and within 3.2 % above.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: Duration,
}

impl Histogram {
    /// One more.
    pub fn add(&mut self, duration: Duration) {
        let at = place(duration.as_micros() as u64);
        if self.counts.len() <= at {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] += 1;
        self.total += 1;
        self.max = self.max.max(duration);
    }

    /// All of another's.
    pub fn merge(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    /// What a share of them does not exceed; nothing where there are none.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut passed = 0;
        let at = self.counts.iter().position(|count| {
            passed += count;
            passed >= rank
        })?;
        Some(Duration::from_micros(top(at)).min(self.max))
    }

    /// The longest; nothing where there are none.
    #[must_use]
    pub const fn max(&self) -> Option<Duration> {
        if self.total > 0 { Some(self.max) } else { None }
    }
}

fn place(us: u64) -> usize {
    let doublings = (us / STEPS).checked_ilog2().unwrap_or(0);
    (u64::from(doublings) * STEPS + (us >> doublings)) as usize
}

/// The most that belongs to a place.
const fn top(at: usize) -> u64 {
    let at = at as u64;
    if at < 2 * STEPS {
        return at;
    }
    let doublings = at / STEPS - 1;
    ((at - doublings * STEPS + 1) << doublings) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_has_one_place_whose_top_is_near_it() {
        let mut before = 0;
        for us in (0..100_000).chain([1 << 30, (1 << 40) + 12_345]) {
            let at = place(us);
            assert!(at >= before, "{us}");
            before = at;
            assert!(top(at) >= us, "{us} is above {}", top(at));
            assert!(top(at) - us <= us / 32, "{us} is far below {}", top(at));
        }
    }

    #[test]
    fn quantiles_are_of_all_that_was_added_and_merged() {
        let mut all = Histogram::default();
        assert_eq!((all.quantile(0.5), all.max()), (None, None));
        let mut other = Histogram::default();
        for ms in 1..=100 {
            let one = if ms % 2 == 0 { &mut all } else { &mut other };
            one.add(Duration::from_millis(ms));
        }
        all.merge(&other);
        let ms = |share| all.quantile(share).unwrap().as_secs_f64() * 1e3;
        assert!((50.0..51.7).contains(&ms(0.5)), "{}", ms(0.5));
        assert!((99.0..=100.0).contains(&ms(0.99)), "{}", ms(0.99));
        assert_eq!(all.max(), Some(Duration::from_millis(100)));
    }
}
