//! What it costs to observe.

use std::time::Duration;

/// What a probe's program has cost since it was loaded, as the kernel counts it; zeros
/// where it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeCost {
    /// As `observer.probe.up` names it.
    pub probe: &'static str,
    /// How often it ran.
    pub runs: u64,
    /// How long in all.
    pub time: Duration,
}

/// How full a map is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapFill {
    /// Entries in it.
    pub entries: u64,
    /// Entries it has room for.
    pub limit: u64,
}

/// What the observer itself uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessUsage {
    /// CPU time in its own code.
    pub user: Duration,
    /// CPU time in the kernel for it.
    pub system: Duration,
    /// Physical memory in bytes.
    pub memory_bytes: u64,
    /// Open file descriptors.
    pub descriptors: u64,
}
