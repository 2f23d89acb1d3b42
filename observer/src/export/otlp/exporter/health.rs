//! What the log says of a collector: a line when something changes, none while it stays.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsPartialSuccess;

use super::super::client::{Refusal, quoted};

/// How the last attempt went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// There was none.
    Untried,
    /// All was taken.
    Well,
    /// It was taken, with points left out or with a word of warning.
    Partial,
    /// Nothing was taken.
    Away,
}

impl Health {
    /// Takes in how an attempt went, and says what is different.
    pub(super) fn turn(
        &mut self,
        target: &str,
        outcome: &Result<Option<ExportMetricsPartialSuccess>, Refusal>,
    ) {
        let before = *self;
        *self = Self::of(outcome);
        let changed = *self != before;
        match outcome {
            Err(refusal) if changed => tracing::warn!(
                target,
                "the collector does not take metrics: {refusal}; each interval tries again"
            ),
            Err(refusal) => tracing::debug!(target, "no metrics exported: {refusal}"),
            Ok(Some(part)) if *self == Self::Partial => {
                let rejected = part.rejected_data_points;
                let words = quoted(&part.error_message);
                if changed {
                    tracing::warn!(target, rejected, "the collector leaves metrics out: {words}");
                } else {
                    tracing::debug!(target, rejected, "metrics left out: {words}");
                }
            }
            Ok(_) if before == Self::Untried => tracing::info!(target, "exporting metrics"),
            Ok(_) if changed => tracing::info!(target, "the collector takes metrics again"),
            Ok(_) => {}
        }
    }

    fn of(outcome: &Result<Option<ExportMetricsPartialSuccess>, Refusal>) -> Self {
        match outcome {
            Err(_) => Self::Away,
            // Nothing rejected and nothing said is whole success.
            Ok(Some(part)) if part.rejected_data_points > 0 || !part.error_message.is_empty() => {
                Self::Partial
            }
            Ok(_) => Self::Well,
        }
    }
}
