//! What came of one bot, or of all of them.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use super::{histogram::Histogram, stream::Tally};

/// Figures that add up.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Packets of speech that left.
    pub sent: u64,
    /// Packets of speech that were dropped instead, on purpose.
    pub sent_dropped: u64,
    /// Packets of others that arrived, and were dropped on purpose.
    pub received_dropped: u64,
    /// What the numbers of the streams say.
    pub tally: Tally,
    /// Packets that could not be decrypted, or belong to no stream that was agreed on.
    pub unreadable: u64,
    /// Packets sent to somebody who was there, before or after all that arrived of that stream:
    /// no number tells of their loss.
    pub unheard: u64,
    /// Packets of oneself, or of another room.
    pub misdelivered: u64,
    /// Streams of which something arrived.
    pub streams_heard: u64,
    /// Streams of which nothing arrived.
    pub streams_missed: u64,
    /// From the sender's socket to the receiver, of each packet whose departure is known.
    pub delays: Histogram,
    /// How late the bots themselves were with each frame: no network is to blame for so much of
    /// jitter and delay.
    pub lags: Histogram,
    /// How the bots came in.
    pub joins: Joins,
}

/// How bots came in, and whether they could stay.
#[derive(Clone, Debug, Default)]
pub struct Joins {
    /// So often somebody wanted in.
    pub tried: u64,
    /// So often media was connected.
    pub joined: u64,
    /// How often not, by reason.
    pub failed: BTreeMap<String, u64>,
    /// How often a call ended that should not have, by reason.
    pub ended: BTreeMap<String, u64>,
    /// From asking to being connected.
    pub durations: Histogram,
}

impl Figures {
    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.sent_dropped += other.sent_dropped;
        self.received_dropped += other.received_dropped;
        self.tally.add(&other.tally);
        self.unreadable += other.unreadable;
        self.unheard += other.unheard;
        self.misdelivered += other.misdelivered;
        self.streams_heard += other.streams_heard;
        self.streams_missed += other.streams_missed;
        self.delays.merge(&other.delays);
        self.lags.merge(&other.lags);
        self.joins.add(&other.joins);
    }

    /// Whether everything was heard but what was dropped on purpose, by those it was sent to and
    /// by nobody else, and everybody came in and could stay.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.tally.lost == self.tally.lost_on_purpose
            && self.unheard == 0
            && self.misdelivered == 0
            && self.joins.failed.is_empty()
            && self.joins.ended.is_empty()
    }

    /// The mean of the jitter after each packet, in ms.
    #[must_use]
    pub fn jitter_mean_ms(&self) -> Option<f64> {
        let samples = self.tally.jitter_samples;
        (samples > 0).then(|| self.tally.jitter_sum_ms / samples as f64)
    }
}

impl Joins {
    fn add(&mut self, other: &Self) {
        self.tried += other.tried;
        self.joined += other.joined;
        for (reason, times) in &other.failed {
            *self.failed.entry(reason.clone()).or_default() += times;
        }
        for (reason, times) in &other.ended {
            *self.ended.entry(reason.clone()).or_default() += times;
        }
        self.durations.merge(&other.durations);
    }
}

/// In ms, to the µs.
fn ms(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[derive(Serialize)]
struct Spread {
    p50: f64,
    p99: f64,
    max: f64,
}

impl Spread {
    /// Nothing of nothing.
    fn of(histogram: &Histogram) -> Option<Self> {
        let at = |share| Some(ms(histogram.quantile(share)?.as_secs_f64() * 1e3));
        let max = ms(histogram.max()?.as_secs_f64() * 1e3);
        Some(Self { p50: at(0.5)?, p99: at(0.99)?, max })
    }
}

#[derive(Serialize)]
struct Jitter {
    mean: f64,
    max: f64,
}

impl Serialize for Figures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let jitter = self
            .jitter_mean_ms()
            .map(|mean| Jitter { mean: ms(mean), max: ms(self.tally.jitter_max_ms) });
        let mut to = serializer.serialize_struct("Figures", 19)?;
        to.serialize_field("sent", &self.sent)?;
        to.serialize_field("sent_dropped", &self.sent_dropped)?;
        to.serialize_field("received", &self.tally.received)?;
        to.serialize_field("received_dropped", &self.received_dropped)?;
        to.serialize_field("expected", &self.tally.expected)?;
        to.serialize_field("lost", &self.tally.lost)?;
        to.serialize_field("lost_on_purpose", &self.tally.lost_on_purpose)?;
        to.serialize_field("duplicates", &self.tally.duplicates)?;
        to.serialize_field("reordered", &self.tally.reordered)?;
        to.serialize_field("stray", &self.tally.stray)?;
        to.serialize_field("unreadable", &self.unreadable)?;
        to.serialize_field("unheard", &self.unheard)?;
        to.serialize_field("misdelivered", &self.misdelivered)?;
        to.serialize_field("streams_heard", &self.streams_heard)?;
        to.serialize_field("streams_missed", &self.streams_missed)?;
        to.serialize_field("jitter_ms", &jitter)?;
        to.serialize_field("delay_ms", &Spread::of(&self.delays))?;
        to.serialize_field("lag_ms", &Spread::of(&self.lags))?;
        to.serialize_field("joins", &self.joins)?;
        to.end()
    }
}

impl Serialize for Joins {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut to = serializer.serialize_struct("Joins", 5)?;
        to.serialize_field("tried", &self.tried)?;
        to.serialize_field("joined", &self.joined)?;
        to.serialize_field("failed", &self.failed)?;
        to.serialize_field("ended", &self.ended)?;
        to.serialize_field("duration_ms", &Spread::of(&self.durations))?;
        to.end()
    }
}
