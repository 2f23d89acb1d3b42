//! Sums of counters that come and go.

use std::{collections::HashMap, hash::Hash};

/// What `N` counters of each of many owners have grown by since each was first seen.
#[derive(Debug)]
pub struct Growth<K, const N: usize> {
    last: HashMap<K, [u64; N]>,
    sum: [u64; N],
}

impl<K, const N: usize> Default for Growth<K, N> {
    fn default() -> Self {
        Self { last: HashMap::new(), sum: [0; N] }
    }
}

impl<K: Eq + Hash, const N: usize> Growth<K, N> {
    /// Takes in what the counters of one owner are. If one of them is less than it was,
    /// it is another owner of the same name, and counts from here on.
    pub fn see(&mut self, owner: K, counters: [u64; N]) {
        let Some(last) = self.last.insert(owner, counters) else { return };
        let is_same = counters.iter().zip(&last).all(|(counter, last)| counter >= last);
        if is_same {
            for ((sum, counter), last) in self.sum.iter_mut().zip(counters).zip(last) {
                *sum = sum.saturating_add(counter - last);
            }
        }
    }

    /// Forgets the owners that are no more. What they have added stays.
    pub fn keep(&mut self, is_there: impl Fn(&K) -> bool) {
        self.last.retain(|owner, _| is_there(owner));
    }

    /// What all have grown by.
    #[must_use]
    pub const fn sum(&self) -> [u64; N] {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_there_before_is_not_counted() {
        let mut growth = Growth::default();
        growth.see("a", [1_000, 5]);
        growth.see("b", [7, 7]);
        assert_eq!(growth.sum(), [0, 0]);
        growth.see("a", [1_003, 5]);
        growth.see("b", [7, 9]);
        assert_eq!(growth.sum(), [3, 2]);
    }

    #[test]
    fn what_goes_leaves_its_sum_and_comes_back_as_another() {
        let mut growth = Growth::default();
        growth.see("a", [10]);
        growth.see("a", [14]);
        growth.keep(|_| false);
        assert_eq!(growth.sum(), [4]);
        growth.see("a", [90]);
        assert_eq!(growth.sum(), [4]);
        growth.see("a", [2]);
        growth.see("a", [3]);
        assert_eq!(growth.sum(), [5]);
    }

    proptest! {
        #[test]
        fn a_sum_never_falls(steps in prop::collection::vec((0_u8..4, any::<[u64; 2]>(), any::<bool>()), 0..40)) {
            let mut growth = Growth::default();
            for (owner, counters, is_kept) in steps {
                let before = growth.sum();
                growth.see(owner, counters);
                growth.keep(|one| is_kept || *one != owner);
                let after = growth.sum();
                prop_assert!(after[0] >= before[0] && after[1] >= before[1]);
            }
        }
    }
}
