//! Figures that were looked at again and again.

use std::time::Duration;

/// Time between two looks; the page of a browser looks as often.
pub(crate) const SPACING: Duration = Duration::from_millis(100);

/// The one in the middle.
pub(crate) fn median(mut samples: Vec<f64>) -> f64 {
    assert!(!samples.is_empty(), "there is a median of something alone");
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}
