//! How bad a figure is, said by a mark before it is said by a colour.

/// Share of packets lost above which a listener hears it.
const LOSS_WARNING: f64 = 0.01;
/// Share of packets lost above which speech suffers.
const LOSS_BAD: f64 = 0.05;
/// Jitter above which common jitter buffers begin to drop.
const JITTER_WARNING_MS: f64 = 30.0;

/// What the marks mean.
pub(super) const LEGEND: &str = "! loss > 1 % or jitter > 30 ms, !! loss > 5 %";

/// A judgement on one figure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Grade {
    /// Nothing to say.
    #[default]
    Fine,
    /// Worth a look.
    Warning,
    /// People suffer.
    Bad,
}

impl Grade {
    /// Of a share of lost packets.
    pub(super) fn of_loss(ratio: f64) -> Self {
        if ratio > LOSS_BAD {
            Self::Bad
        } else if ratio > LOSS_WARNING {
            Self::Warning
        } else {
            Self::Fine
        }
    }

    /// Of an interarrival jitter.
    pub(super) fn of_jitter(ms: f64) -> Self {
        if ms > JITTER_WARNING_MS { Self::Warning } else { Self::Fine }
    }

    /// What stands before the figure.
    pub(super) const fn mark(self) -> &'static str {
        match self {
            Self::Fine => "",
            Self::Warning => "! ",
            Self::Bad => "!! ",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_itself_is_still_fine() {
        assert_eq!([0.0, 0.01, 0.05].map(Grade::of_loss).map(Grade::mark), ["", "", "! "]);
        assert_eq!(
            [0.0101, 0.0501, 1.0].map(Grade::of_loss).map(Grade::mark),
            ["! ", "!! ", "!! "]
        );
        assert_eq!([30.0, 30.1].map(Grade::of_jitter), [Grade::Fine, Grade::Warning]);
        assert_eq!(Grade::of_loss(f64::NAN), Grade::Fine);
    }
}
