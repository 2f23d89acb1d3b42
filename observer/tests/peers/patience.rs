//! Waiting for what has no signal of its own.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Waits until something is so.
pub(crate) fn until(within: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < within, "waited {within:?} for {what}");
        sleep(LOOK);
    }
}
