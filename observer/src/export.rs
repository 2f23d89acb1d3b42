//! Where measurements go.

pub mod metrics;
pub mod snapshot;
