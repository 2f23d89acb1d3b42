//! Bursts and gaps of loss (RFC 3611 section 4.7.2), and how bursty the E-model finds them.

use observer_common::rtp::bursts::Transitions;

/// Losses of a stream, by where they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses(pub Transitions);

impl Losses {
    /// What came to pass since an earlier reading.
    #[must_use]
    pub const fn since(&self, before: &Self) -> Runs {
        Runs {
            lost: self.lost().saturating_sub(before.lost()),
            right_after: self.0.c33.saturating_sub(before.0.c33),
            in_bursts: self.in_bursts().saturating_sub(before.in_bursts()),
        }
    }

    /// All of it.
    #[must_use]
    pub const fn runs(&self) -> Runs {
        Runs { lost: self.lost(), right_after: self.0.c33, in_bursts: self.in_bursts() }
    }

    /// Every loss is counted as it is found, by where it stands.
    const fn lost(&self) -> u64 {
        self.0.c13 + self.0.c14 + self.0.c23 + self.0.c33
    }

    /// Losses with Gmin packets received on either side.
    const fn alone(&self) -> u64 {
        self.0.c14 + (self.0.run == 1) as u64
    }

    const fn in_bursts(&self) -> u64 {
        self.lost().saturating_sub(self.alone())
    }

    /// Bursts. The first loss of all counts as one that ends a burst.
    #[must_use]
    pub const fn bursts(&self) -> u64 {
        self.0.c13.saturating_sub(1) + (self.0.run > 1) as u64
    }

    /// Share of the packets of bursts that did not come.
    #[must_use]
    pub fn burst_density(&self) -> Option<f64> {
        ratio(self.in_bursts(), self.in_bursts() + self.0.c22 + self.0.c23)
    }

    /// Share of the packets of gaps that did not come: 1 in 17 at most.
    #[must_use]
    pub fn gap_density(&self) -> Option<f64> {
        ratio(self.alone(), self.alone() + self.0.c11)
    }

    /// Mean length of a burst, in packets.
    #[must_use]
    pub fn burst_packets(&self) -> Option<f64> {
        ratio(self.in_bursts() + self.0.c22 + self.0.c23, self.bursts())
    }

    /// Mean length of a gap, in packets: before the first burst, between bursts, and after
    /// the last.
    #[must_use]
    pub fn gap_packets(&self) -> Option<f64> {
        ratio(self.alone() + self.0.c11, self.bursts() + 1)
    }
}

/// Losses of a stream or an interval, by how they stand to each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// All.
    lost: u64,
    /// Those right after another.
    right_after: u64,
    /// Those in bursts.
    in_bursts: u64,
}

impl Runs {
    /// Share of the losses that were in bursts; none where nothing was lost.
    #[must_use]
    pub fn in_bursts(&self) -> Option<f64> {
        ratio(self.in_bursts.min(self.lost), self.lost)
    }

    /// `BurstR` (ITU-T G.107 section 7.5): mean length of the runs of losses over the mean
    /// length that they would have if as many of the packets had been lost at random, which
    /// is 1 / (1 − loss). 1 where nothing was lost, and where losses stand further apart
    /// than random ones: the model knows no less.
    #[must_use]
    pub fn burst_ratio(&self, expected: u64) -> f64 {
        let runs = self.lost.saturating_sub(self.right_after).max(1);
        let random = 1.0 - ratio(self.lost.min(expected), expected).unwrap_or(0.0);
        (self.lost as f64 / runs as f64 * random).max(1.0)
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole != 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests;
