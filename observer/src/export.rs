//! Where measurements go.

pub mod instruments;
pub mod metrics;
pub mod otlp;
pub mod snapshot;
