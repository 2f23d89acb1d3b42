//! What went uncounted.

use std::collections::BTreeMap;

/// Counts by stage and reason, as `observer.events.lost` carries them.
pub type Losses = BTreeMap<(&'static str, &'static str), u64>;
