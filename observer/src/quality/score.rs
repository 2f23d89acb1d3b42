//! One score, for an interval or a whole flow, or why there is none.

use std::time::Duration;

use super::{
    codec::{Codecs, Traits},
    delay::{Network, Source},
    emodel::{Equipment, Path, Percent, Rating},
    lateness::{Buffer, Length},
};

/// What a listener is taken to have where nothing is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Assumptions {
    /// Codecs of dynamic payload types.
    pub codecs: Codecs,
    /// One way through the network without a measured round trip.
    pub delay: Duration,
    /// The jitter buffer.
    pub buffer: Buffer,
}

impl Default for Assumptions {
    fn default() -> Self {
        let (codecs, buffer) = (Codecs::default(), Buffer::default());
        Self { codecs, delay: Duration::from_millis(50), buffer }
    }
}

/// Where a score's figures were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vantage {
    /// At the socket that received the packets.
    Receiver,
    /// At the far end, which reported them by RTCP.
    FarEnd,
    /// Where the capture was taken: the rest of the way is not in it.
    Capture,
}

impl Vantage {
    /// Its name in a snapshot.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Receiver => "receiver",
            Self::FarEnd => "far_end",
            Self::Capture => "capture",
        }
    }
}

/// Packets as they came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reception {
    /// Packets that the sequence numbers call for.
    pub expected: u64,
    /// Of these did not come.
    pub lost: u64,
    /// Of these came too late for the buffer.
    pub late: u64,
    /// How much longer runs of loss were than random ones.
    pub burst_ratio: f64,
    /// How long packets wait in the buffer.
    pub buffer: Length,
    /// Round trip, where one was measured.
    pub rtt: Option<Duration>,
}

/// Packets as the far end says that they came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// Its loss since the report before (RFC 3550 section 6.4.1: in 256ths).
    pub loss: Percent,
    /// Round trip, where one was measured.
    pub rtt: Option<Duration>,
}

/// What a score is made from. Packets on their way out have yet to cross the network: what
/// they were like here is no evidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Evidence {
    /// They came here.
    Received(Reception),
    /// They passed where the capture was taken.
    Captured(Reception),
    /// They were sent.
    Sent {
        /// How many.
        packets: u64,
        /// What the far end said of them.
        report: Option<Report>,
    },
}

/// A score, and what it rests on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// R and the mean opinion score.
    pub rating: Rating,
    /// Model and factors.
    pub equipment: Equipment,
    /// What the network did.
    pub path: Path,
    /// How its delay is known.
    pub delay_source: Source,
    /// Where it was seen.
    pub vantage: Vantage,
}

/// Why there is no score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// The model is of speech.
    Video,
    /// It may be video.
    Media,
    /// No packet was to be heard, so none was missed either.
    Silence,
    /// The far end has said nothing that can be read.
    NotReported,
}

impl Unknown {
    /// In words, for a snapshot.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Media => "media_unknown",
            Self::Silence => "silence",
            Self::NotReported => "not_reported",
        }
    }
}

impl Assumptions {
    /// The score of packets of a payload type whose medium is `media`.
    ///
    /// # Errors
    /// [`Unknown`] where there is nothing to be scored, or nothing to score it by.
    pub fn score(
        &self,
        payload_type: u8,
        media: &str,
        evidence: &Evidence,
    ) -> Result<Score, Unknown> {
        let traits = self.codecs.traits(payload_type);
        match traits.media.unwrap_or(media) {
            "audio" => {}
            "video" => return Err(Unknown::Video),
            _ => return Err(Unknown::Media),
        }
        match evidence {
            Evidence::Received(came) => self.by_reception(&traits, came, Vantage::Receiver),
            Evidence::Captured(came) => self.by_reception(&traits, came, Vantage::Capture),
            Evidence::Sent { packets: 0, .. } => Err(Unknown::Silence),
            Evidence::Sent { report: None, .. } => Err(Unknown::NotReported),
            Evidence::Sent { report: Some(report), .. } => Ok(self.by_report(&traits, report)),
        }
    }

    fn by_reception(
        &self,
        traits: &Traits<'_>,
        came: &Reception,
        vantage: Vantage,
    ) -> Result<Score, Unknown> {
        let Reception { expected, lost, late, burst_ratio, buffer, rtt } = *came;
        if expected == 0 {
            return Err(Unknown::Silence);
        }
        let unheard = lost.saturating_add(late);
        let loss = Percent::of(unheard, expected);
        let mut score = self.rate(traits, vantage, loss, burst_ratio, buffer, rtt);
        if unheard >= expected {
            // The formula leaves a little even of nothing.
            score.rating = Rating::WORST;
        }
        Ok(score)
    }

    fn by_report(&self, traits: &Traits<'_>, report: &Report) -> Score {
        let buffer = self.buffer.length(Length::FIRST);
        self.rate(traits, Vantage::FarEnd, report.loss, 1.0, buffer, report.rtt)
    }

    fn rate(
        &self,
        traits: &Traits<'_>,
        vantage: Vantage,
        loss: Percent,
        burst_ratio: f64,
        buffer: Length,
        rtt: Option<Duration>,
    ) -> Score {
        let network = Network::new(rtt, self.delay);
        let delay = network.to_ear(buffer.duration(), traits.delay);
        let path = Path { delay, loss, burst_ratio };
        Score {
            rating: Rating::new(&traits.equipment, &path),
            equipment: traits.equipment,
            path,
            delay_source: network.source,
            vantage,
        }
    }
}

#[cfg(test)]
mod tests;
