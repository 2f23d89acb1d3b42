//! Every loss, by stage and reason: the kernel's and ours.

use observer_common::abi::loss::EVICTED;

use crate::model::Losses;

/// What takes nothing from completeness: a connection that found no room in the ring
/// stays in its table until the next reading, and what was pushed out of probation is
/// mostly no voice, and else is in probation again with its next packet. A socket without
/// a known owner is counted all the same, for `unknown_service`. What is not known of the
/// host is neither a packet nor a connection. What a collector has not taken it gets with
/// the next export, because sums go on; a record that it never gets is of a flow that was
/// counted.
pub const HARMLESS: [(&str, &str); 10] = [
    ("tcp", "ring_full"),
    EVICTED,
    ("owner", "insert_failed"),
    ("owner", "unknown"),
    ("host", "read_failed"),
    ("otlp", "export_failed"),
    ("otlp", "rejected"),
    ("otlp", "queue_full"),
    ("otlp", "record_failed"),
    ("otlp", "record_rejected"),
];

/// What was lost, and how much was not.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    kernel: Losses,
    own: Losses,
    counted: u64,
}

impl Ledger {
    /// Takes over what the kernel says, in place of what it said before.
    pub fn set_kernel(&mut self, losses: Losses) {
        self.kernel = losses;
    }

    /// Counts losses of our own.
    pub fn add(&mut self, stage: &'static str, reason: &'static str, count: u64) {
        *self.own.entry((stage, reason)).or_default() += count;
    }

    /// Counts what was measured as it should be: packets and connections.
    pub const fn add_counted(&mut self, count: u64) {
        self.counted += count;
    }

    /// All of it.
    #[must_use]
    pub fn losses(&self) -> Losses {
        let mut all = self.kernel.clone();
        for (labels, count) in &self.own {
            *all.entry(*labels).or_default() += count;
        }
        all
    }

    /// Share of what was to be counted that was, from 0 to 1. What is lost is in
    /// packets, connections or readings; one of each weighs the same.
    #[must_use]
    pub fn completeness(&self) -> f64 {
        let losses = self.losses();
        let lost: u64 = losses
            .iter()
            .filter(|(labels, _)| !HARMLESS.contains(labels))
            .map(|(_, count)| count)
            .sum();
        if lost == 0 { 1.0 } else { self.counted as f64 / (self.counted + lost) as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completeness_falls_with_each_loss() {
        let mut ledger = Ledger::default();
        assert!((ledger.completeness() - 1.0).abs() < f64::EPSILON);
        ledger.add_counted(98);
        ledger.add("map", "read_failed", 1);
        ledger.set_kernel(Losses::from([(("voice", "table_full"), 1)]));
        assert!((ledger.completeness() - 0.98).abs() < 1e-9);
        assert_eq!(ledger.losses().len(), 2);
    }

    #[test]
    fn what_is_harmless_is_not_lost() {
        let mut ledger = Ledger::default();
        ledger.set_kernel(Losses::from(HARMLESS.map(|labels| (labels, 7))));
        assert!((ledger.completeness() - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn the_kernels_counts_replace_and_ours_add() {
        let mut ledger = Ledger::default();
        for _ in 0..2 {
            ledger.set_kernel(Losses::from([(("a", "b"), 3)]));
            ledger.add("a", "b", 1);
        }
        assert_eq!(ledger.losses()[&("a", "b")], 5);
    }
}
