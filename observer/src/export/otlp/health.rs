//! What the log says of a collector: a line when something changes, none while it stays.

use super::client::{Client, Partial, Refusal, quoted};

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
    pub(super) fn turn(&mut self, of: &Client, outcome: &Result<Option<Partial>, Refusal>) {
        let (target, what) = (of.target(), of.signal().noun());
        let before = *self;
        *self = Self::of(outcome);
        let changed = *self != before;
        match outcome {
            Err(refusal) if changed => tracing::warn!(
                target,
                "the collector does not take {what}: {refusal}; it is tried again"
            ),
            Err(refusal) => tracing::debug!(target, "no {what} exported: {refusal}"),
            Ok(Some(part)) if *self == Self::Partial => {
                let rejected = part.rejected;
                let words = quoted(&part.words);
                if changed {
                    tracing::warn!(target, rejected, "the collector leaves {what} out: {words}");
                } else {
                    tracing::debug!(target, rejected, "{what} left out: {words}");
                }
            }
            Ok(_) if before == Self::Untried => tracing::info!(target, "exporting {what}"),
            Ok(_) if changed => tracing::info!(target, "the collector takes {what} again"),
            Ok(_) => {}
        }
    }

    fn of(outcome: &Result<Option<Partial>, Refusal>) -> Self {
        match outcome {
            Err(_) => Self::Away,
            // Nothing rejected and nothing said is whole success.
            Ok(Some(part)) if part.rejected > 0 || !part.words.is_empty() => Self::Partial,
            Ok(_) => Self::Well,
        }
    }
}
