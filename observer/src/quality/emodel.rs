//! The E-model (ITU-T G.107, G.107.1, G.107.2): a rating from impairments that add up, and
//! the mean opinion score that goes with it.
//!
//! It is the model at its default values, as far as a network can change them. What noise,
//! echo and loudness do to a call is in the rating that it begins with, and in the delay's
//! impairment, which is the approximation of Cole and Rosenbluth ("Voice over IP
//! performance monitoring", 2001).

use std::time::Duration;

/// A version of the E-model. Scores of one are not comparable with those of another: each
/// says how good a call is for one of its band.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Model {
    /// G.107: narrowband, 300 to 3,400 Hz.
    Narrowband,
    /// G.107.1: wideband, 50 to 7,000 Hz.
    Wideband,
    /// G.107.2: fullband, 20 to 20,000 Hz.
    Fullband,
    /// G.107 without a codec: what the network alone takes away, where the codec is not
    /// known or nobody has published how it bears loss.
    CodecUnknown,
}

impl Model {
    /// Every one.
    pub const ALL: [Self; 4] =
        [Self::Narrowband, Self::Wideband, Self::Fullband, Self::CodecUnknown];

    /// The value of `voice.model`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Narrowband => "g107",
            Self::Wideband => "g107.1",
            Self::Fullband => "g107.2",
            Self::CodecUnknown => "codec_unknown",
        }
    }

    const fn scale(self) -> Scale {
        match self {
            // G.107 section 7.7: R with every parameter at its default; equation 7-29.
            Self::Narrowband | Self::CodecUnknown => Scale { best: 93.2, loss: 95.0, unit: 1.0 },
            // G.107.1 equations 7-2, 7-13 and 7-15.
            Self::Wideband => Scale { best: 129.0, loss: 95.0, unit: 1.29 },
            // G.107.2 sections 7.2, 7.4 and 7.5.
            Self::Fullband => Scale { best: 148.0, loss: 132.0, unit: 1.48 },
        }
    }
}

/// How a model measures.
struct Scale {
    /// The rating without delay, loss or codec.
    best: f64,
    /// What loss of everything takes from a codec that takes nothing itself.
    loss: f64,
    /// How much longer than G.107's its scale is.
    unit: f64,
}

/// What a codec does to speech (ITU-T G.113).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Equipment {
    /// The model that the two factors are of.
    pub model: Model,
    /// Equipment impairment factor Ie, on that model's scale.
    pub ie: f64,
    /// Packet-loss robustness factor Bpl, in percent.
    pub bpl: f64,
}

/// A share, in percent. The model wants percent, and a fraction in its place would make
/// 10 % of loss a tenth of a percent: so it takes nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Percent(f64);

impl Percent {
    /// So many of so many; nothing of nothing is 0.
    #[must_use]
    pub fn of(part: u64, whole: u64) -> Self {
        Self(if whole == 0 { 0.0 } else { 100.0 * (part.min(whole) as f64 / whole as f64) })
    }

    /// A fraction from 0 to 1.
    #[must_use]
    pub const fn fraction(fraction: f64) -> Self {
        Self(100.0 * fraction.clamp(0.0, 1.0))
    }

    /// From 0 to 100.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

/// What the network does to speech.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Path {
    /// From mouth to ear.
    pub delay: Duration,
    /// Packets that were not played: Ppl.
    pub loss: Percent,
    /// How much longer runs of loss are than those of random loss: `BurstR`, at least 1.
    pub burst_ratio: f64,
}

/// What the model says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rating {
    /// R, from 0 to 93.2, 129 or 148.
    pub r: f64,
    /// Mean opinion score, from 1 to 4.5.
    pub mos: f64,
}

impl Rating {
    /// Of a call of which nothing is heard.
    pub const WORST: Self = Self { r: 0.0, mos: 1.0 };

    /// R = best − Id − Ie,eff, and its score.
    #[must_use]
    pub fn new(equipment: &Equipment, path: &Path) -> Self {
        let scale = equipment.model.scale();
        let delay = scale.unit * delay_impairment(path.delay);
        let r = (scale.best - delay - effective_impairment(equipment, path)).max(0.0);
        Self { r, mos: mos(r / scale.unit) }
    }
}

/// Id on the scale of G.107. The other two stretch theirs (G.107.1 equation 7-13, G.107.2
/// section 7.4), so that a delay costs the same share of each.
fn delay_impairment(delay: Duration) -> f64 {
    let ms = delay.as_secs_f64() * 1e3;
    0.024 * ms + 0.11 * (ms - 177.3).max(0.0)
}

/// Ie,eff (G.107 equation 7-29). G.107.1 and G.107.2 know random loss alone, which is a
/// burst ratio of 1; the ratio stands where G.107 has it in all of them. Loss takes no more
/// than that of everything would, as it could with a ratio beyond those that G.107 is made
/// for.
fn effective_impairment(equipment: &Equipment, path: &Path) -> f64 {
    let Equipment { model, ie, bpl } = *equipment;
    let loss = path.loss.get();
    let burst_ratio = path.burst_ratio.max(1.0);
    ie + (model.scale().loss - ie) * (loss / (loss / burst_ratio + bpl)).min(1.0)
}

/// Mean opinion score of a rating on the scale of G.107 (annex B).
fn mos(r: f64) -> f64 {
    if r <= 0.0 {
        1.0
    } else if r >= 100.0 {
        4.5
    } else {
        // Below R = 6.5 the polynomial dips under 1, which no opinion does.
        (1.0 + 0.035 * r + 7e-6 * r * (r - 60.0) * (100.0 - r)).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const G711: Equipment = Equipment { model: Model::Narrowband, ie: 0.0, bpl: 25.1 };
    const NO_DELAY: Path = Path { delay: Duration::ZERO, loss: Percent(0.0), burst_ratio: 1.0 };

    fn close(found: f64, expected: f64, by: f64) {
        assert!((found - expected).abs() <= by, "{found} is not {expected}");
    }

    fn with_loss(percent: f64) -> Path {
        Path { loss: Percent::fraction(percent / 100.0), ..NO_DELAY }
    }

    #[test]
    fn ratings_have_the_scores_of_annex_b() {
        for (r, score) in
            [(50.0, 2.58), (60.0, 3.10), (70.0, 3.60), (80.0, 4.02), (90.0, 4.34), (100.0, 4.5)]
        {
            close(mos(r), score, 0.006);
        }
        close(mos(93.2), 4.41, 0.005);
        close(mos(-7.0), 1.0, 0.0);
        close(mos(3.0), 1.0, 0.0);
    }

    #[test]
    fn loss_of_g711_with_concealment_scores_as_the_formula_says() {
        for (percent, score) in [(0.0, 4.41), (1.0, 4.33), (5.0, 3.92), (10.0, 3.41)] {
            close(Rating::new(&G711, &with_loss(percent)).mos, score, 0.005);
        }
        let bare = Equipment { bpl: 4.3, ..G711 };
        // 95 × 1 / 5.3 less.
        close(Rating::new(&bare, &with_loss(1.0)).r, 75.28, 0.01);
    }

    #[test]
    fn loss_below_one_percent_is_not_rounded_away() {
        let whole = Rating::new(&G711, &NO_DELAY);
        for (lost, of) in [(1, 1_000), (1, 256), (3, 256), (9, 1_000)] {
            let path = Path { loss: Percent::of(lost, of), ..NO_DELAY };
            let rating = Rating::new(&G711, &path);
            assert!(whole.r - rating.r > 3.0 * path.loss.get(), "{lost} of {of}: {rating:?}");
        }
    }

    #[test]
    fn a_fraction_is_not_taken_for_percent() {
        close(Percent::fraction(0.1).get(), 10.0, 1e-9);
        close(Percent::of(1, 10).get(), 10.0, 1e-9);
        let path = Path { loss: Percent::fraction(0.1), ..NO_DELAY };
        assert!(Rating::new(&G711, &path).mos < 3.5, "10 % of loss is not 4.16");
    }

    #[test]
    fn delay_counts_and_more_so_beyond_177_ms() {
        let after =
            |ms| Rating::new(&G711, &Path { delay: Duration::from_millis(ms), ..NO_DELAY }).r;
        close(after(0), 93.2, 1e-9);
        close(after(100), 93.2 - 2.4, 1e-9);
        close(after(400), 93.2 - 9.6 - 0.11 * 222.7, 1e-9);
        let wide = Equipment { model: Model::Wideband, ..G711 };
        let path = Path { delay: Duration::from_millis(100), ..NO_DELAY };
        close(Rating::new(&wide, &path).r, 129.0 - 1.29 * 2.4, 1e-9);
    }

    /// Ratings of G.107.1 for AMR-WB without loss by its mode's Ie, and with 2 % of loss at
    /// 12.65 kbit/s (G.113 tables IV.1, IV.3 and IV.4), as another implementation has them.
    #[test]
    fn wideband_has_a_scale_of_its_own() {
        let wide = |ie, bpl| Equipment { model: Model::Wideband, ie, bpl };
        for (ie, score) in [
            (0.0, 4.5),
            (1.0, 4.4940),
            (8.0, 4.4206),
            (13.0, 4.3371),
            (41.0, 3.5123),
            (56.0, 2.9220),
        ] {
            close(Rating::new(&wide(ie, 4.3), &NO_DELAY).mos, score, 5e-4);
        }
        close(Rating::new(&wide(20.0, 4.3), &with_loss(2.0)).mos, 3.4062, 5e-4);
    }

    #[test]
    fn fullband_has_a_scale_of_its_own() {
        let full = Equipment { model: Model::Fullband, ie: 10.2, bpl: 4.3 };
        close(Rating::new(&full, &NO_DELAY).r, 137.8, 1e-9);
        close(Rating::new(&full, &with_loss(4.3)).r, 148.0 - 10.2 - 60.9, 1e-9);
    }

    #[test]
    fn loss_in_bursts_is_worse_than_random_loss() {
        let random = with_loss(5.0);
        let bursts = Path { burst_ratio: 4.0, ..random };
        close(Rating::new(&G711, &bursts).r, 93.2 - 95.0 * 5.0 / (1.25 + 25.1), 1e-9);
        let even = Path { burst_ratio: 0.5, ..random };
        close(Rating::new(&G711, &even).r, Rating::new(&G711, &random).r, 0.0);
    }

    proptest! {
        #[test]
        fn more_of_anything_bad_is_never_better(
            model in proptest::sample::select(Model::ALL.to_vec()),
            ie in 0.0..60.0,
            bpl in 1.0..60.0,
            loss in 0.0..100.0,
            burst_ratio in 1.0..50.0,
            ms in 0_u64..2_000,
        ) {
            let rate = |ie, loss: f64, burst_ratio, ms| {
                let path = Path { delay: Duration::from_millis(ms), burst_ratio, ..with_loss(loss) };
                Rating::new(&Equipment { model, ie, bpl }, &path)
            };
            let rating = rate(ie, loss, burst_ratio, ms);
            prop_assert!((1.0..=4.5).contains(&rating.mos) && rating.r >= 0.0);
            for worse in [
                rate(ie + 1.0, loss, burst_ratio, ms),
                rate(ie, (loss + 1.0).min(100.0), burst_ratio, ms),
                rate(ie, loss, burst_ratio + 1.0, ms),
                rate(ie, loss, burst_ratio, ms + 10),
            ] {
                prop_assert!(worse.r <= rating.r + 1e-9 && worse.mos <= rating.mos + 1e-9);
            }
        }
    }
}
