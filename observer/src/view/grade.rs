//! How bad a figure is, said by a mark before it is said by a colour.

/// Share of packets lost above which a listener hears it.
pub(super) const LOSS_WARNING: f64 = 0.01;
/// Share of packets lost above which speech suffers.
pub(super) const LOSS_BAD: f64 = 0.05;
/// Jitter above which common jitter buffers begin to drop.
pub(super) const JITTER_WARNING_MS: f64 = 30.0;
/// Round trip above which people begin to talk at once (ITU-T G.114 wants 150 ms one way;
/// operators alert here).
pub(super) const ROUND_TRIP_WARNING_MS: f64 = 400.0;
/// Score below which many users are dissatisfied, and below which nearly all are (ITU-T G.107
/// annex B).
const MOS_WARNING: f64 = 3.6;
const MOS_BAD: f64 = 3.1;

/// What the marks mean.
pub(super) const LEGEND: [&str; 2] = [
    "! loss, late, one-way > 1 %, jitter > 30 ms, round trip > 400 ms, MOS < 3.6",
    "!! loss, late, one-way > 5 %, MOS < 3.1",
];

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

    /// Of a round trip.
    pub(super) fn of_round_trip(ms: f64) -> Self {
        if ms > ROUND_TRIP_WARNING_MS { Self::Warning } else { Self::Fine }
    }

    /// Of a mean opinion score.
    pub(super) fn of_mos(mos: f64) -> Self {
        if mos < MOS_BAD {
            Self::Bad
        } else if mos < MOS_WARNING {
            Self::Warning
        } else {
            Self::Fine
        }
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
        assert_eq!([400.0, 401.0].map(Grade::of_round_trip), [Grade::Fine, Grade::Warning]);
        let mos = [4.5, 3.6, 3.59, 3.1, 3.09, 1.0].map(Grade::of_mos).map(Grade::mark);
        assert_eq!(mos, ["", "", "! ", "! ", "!! ", "!! "]);
        assert_eq!(Grade::of_loss(f64::NAN), Grade::Fine);
    }
}
