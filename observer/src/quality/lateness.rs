//! Packets that come, but too late to be played: what a jitter buffer throws away.

use std::{str::FromStr, time::Duration};

use observer_common::rtp::delay::EDGES_MS;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many classes of delay there are: one below each of [`EDGES_MS`], and one above all.
pub const CLASSES: usize = EDGES_MS.len() + 1;

/// Share of the packets that an adaptive buffer waits for, as in `WebRTC`'s `NetEq`
/// (`delay_manager.cc`: the quantile is 0.97). Asterisk's drops the slowest 3 % as well
/// before it measures (`jitterbuf.h`, `JB_HISTORY_DROPPCT`), and `VoIPmonitor` runs
/// Asterisk's.
const WAITED_FOR: f64 = 0.97;

/// What is left of a packet's weight after the next one: `NetEq`'s 0.9993. At 50 packets a
/// second it is halved in 20 s.
const REMEMBERED: f64 = 0.9993;

/// Index of the bound below which no adaptive buffer goes: 20 ms, a packet.
const LEAST: usize = 1;

/// Packets by how much later they came than the quickest of late did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delays(pub [u64; CLASSES]);

/// A way to choose how long packets wait to be played.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Buffer {
    /// 50 ms, whatever comes.
    #[serde(rename = "fixed_50ms")]
    Fixed50,
    /// 200 ms, whatever comes.
    #[serde(rename = "fixed_200ms")]
    Fixed200,
    /// As long as most of the packets needed of late, from 20 to 500 ms.
    #[default]
    #[serde(rename = "adaptive")]
    Adaptive,
}

/// What is no buffer.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no jitter buffer: give fixed_50ms, fixed_200ms or adaptive")]
pub struct BufferError(String);

/// One of [`EDGES_MS`], as the length of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Length(usize);

/// An adaptive buffer over time: what came before, each packet weighing less than the next.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct History([f64; CLASSES]);

impl Buffer {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Fixed50, Self::Fixed200, Self::Adaptive];

    /// The value of `voice.buffer`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fixed50 => "fixed_50ms",
            Self::Fixed200 => "fixed_200ms",
            Self::Adaptive => "adaptive",
        }
    }

    /// How long packets wait, where an adaptive buffer is `adaptive`.
    #[must_use]
    pub const fn length(self, adaptive: Length) -> Length {
        match self {
            Self::Fixed50 => Length(3),
            Self::Fixed200 => Length(5),
            Self::Adaptive => adaptive,
        }
    }
}

impl FromStr for Buffer {
    type Err = BufferError;

    fn from_str(text: &str) -> Result<Self, BufferError> {
        let found = Self::ALL.into_iter().find(|buffer| buffer.as_str() == text);
        found.ok_or_else(|| BufferError(text.to_owned()))
    }
}

impl Length {
    /// Of an adaptive buffer that has seen nothing: 100 ms, the first bound above `NetEq`'s
    /// 80.
    pub const FIRST: Self = Self(4);

    /// It, as a time.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_millis(EDGES_MS[self.0])
    }
}

impl Delays {
    /// What came since an earlier reading.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self(std::array::from_fn(|class| self.0[class].saturating_sub(before.0[class])))
    }

    /// How many came too late for a buffer.
    #[must_use]
    pub fn late(&self, length: Length) -> u64 {
        self.0[length.0 + 1..].iter().sum()
    }

    /// How long an adaptive buffer is that has seen all of this and nothing else.
    #[must_use]
    pub fn fitting(&self) -> Length {
        fitting(&self.0.map(|count| count as f64))
    }
}

impl History {
    /// How long the buffer is by what it has seen.
    #[must_use]
    pub fn length(&self) -> Length {
        fitting(&self.0)
    }

    /// Takes in what came in an interval.
    pub fn see(&mut self, delays: &Delays) {
        let packets: u64 = delays.0.iter().sum();
        let left = REMEMBERED.powf(packets as f64);
        for (weight, count) in self.0.iter_mut().zip(delays.0) {
            *weight = *weight * left + count as f64;
        }
    }
}

/// The least bound that enough packets were within.
fn fitting(weights: &[f64; CLASSES]) -> Length {
    let all: f64 = weights.iter().sum();
    if all <= 0.0 {
        return Length::FIRST;
    }
    let mut within = 0.0;
    for (at, weight) in weights.iter().take(EDGES_MS.len()).enumerate() {
        within += weight;
        if at >= LEAST && within >= WAITED_FOR * all {
            return Length(at);
        }
    }
    Length(EDGES_MS.len() - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Sorts delays into classes, one comparison at a time.
    fn classes(delays_ms: &[f64]) -> Delays {
        let mut delays = Delays::default();
        for delay in delays_ms {
            delays.0[EDGES_MS.iter().filter(|bound| *delay >= **bound as f64).count()] += 1;
        }
        delays
    }

    fn ms(length: Length) -> u128 {
        length.duration().as_millis()
    }

    #[test]
    fn fixed_buffers_throw_away_what_comes_after_their_time() {
        let delays = classes(&[0.0, 49.9, 50.0, 199.0, 200.0, 2_000.0]);
        let late = |buffer: Buffer| delays.late(buffer.length(Length::FIRST));
        assert_eq!((late(Buffer::Fixed50), late(Buffer::Fixed200)), (4, 2));
        assert_eq!(ms(Buffer::Fixed50.length(Length::FIRST)), 50);
        assert_eq!(ms(Buffer::Fixed200.length(Length::FIRST)), 200);
    }

    #[test]
    fn an_adaptive_buffer_begins_with_100_ms_and_learns() {
        let mut history = History::default();
        assert_eq!(ms(history.length()), 100);
        history.see(&classes(&[1.0; 50]));
        assert_eq!(ms(history.length()), 20);
        for _ in 0..120 {
            history.see(&classes(&[250.0; 50]));
        }
        assert_eq!(ms(history.length()), 300);
        for _ in 0..120 {
            history.see(&classes(&[1.0; 50]));
        }
        assert_eq!(ms(history.length()), 20, "what was two minutes ago is forgotten");
    }

    #[test]
    fn an_adaptive_buffer_is_no_longer_than_500_ms_and_no_slave_of_one_packet() {
        assert_eq!(ms(classes(&[900.0; 50]).fitting()), 500);
        let mut delays = [1.0; 100];
        delays[0] = 400.0;
        assert_eq!(ms(classes(&delays).fitting()), 20);
        delays[..4].fill(400.0);
        assert_eq!(ms(classes(&delays).fitting()), 500);
        assert_eq!(classes(&delays).late(classes(&delays).fitting()), 0);
    }

    #[test]
    fn buffers_have_names() {
        for buffer in Buffer::ALL {
            assert_eq!(buffer.as_str().parse::<Buffer>().unwrap(), buffer);
            assert_eq!(serde_json::to_value(buffer).unwrap(), buffer.as_str());
        }
        let said = "50ms".parse::<Buffer>().unwrap_err().to_string();
        assert!(said.contains("`50ms`") && said.contains("fixed_50ms"), "{said}");
    }

    proptest! {
        /// The quantile, found by sorting, and the bound above it, found by looking.
        #[test]
        fn a_fitting_buffer_is_the_first_bound_above_the_quantile(
            delays in proptest::collection::vec(0.0..700.0_f64, 1..200),
        ) {
            let mut sorted = delays.clone();
            sorted.sort_by(f64::total_cmp);
            let quantile = sorted[(0.97 * delays.len() as f64).ceil() as usize - 1];
            let above = EDGES_MS.into_iter().skip(1).find(|bound| quantile < *bound as f64);
            let length = classes(&delays).fitting();
            prop_assert_eq!(ms(length), above.unwrap_or(500).into());
            let late = delays.iter().filter(|delay| **delay >= ms(length) as f64).count();
            prop_assert_eq!(classes(&delays).late(length), late as u64);
        }
    }
}
