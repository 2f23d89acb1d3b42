//! What a service's voice flows do.

use std::collections::BTreeSet;

use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec, Registry};

use super::maker::Maker;
use crate::{
    export::instruments as of,
    model::{Direction, VoiceKind},
    quality::{delay::Source, emodel::Model, lateness::Buffer, score::Score},
    track::voice::{VoiceInterval, interruption::Reason},
};

pub(super) const DIRECTIONS: [Direction; 2] = [Direction::Receive, Direction::Transmit];
const MEDIA: [&str; 3] = ["audio", "video", "unknown"];

#[derive(Clone, Debug)]
pub(super) struct VoiceMetrics {
    flows: IntGaugeVec,
    packets: IntCounterVec,
    lost: IntCounterVec,
    duplicates: IntCounterVec,
    reordered: IntCounterVec,
    io: IntCounterVec,
    jitter: HistogramVec,
    loss_ratio: HistogramVec,
    late_ratio: HistogramVec,
    burst_ratio: HistogramVec,
    mos: HistogramVec,
    hop_delay: HistogramVec,
    interruptions: IntCounterVec,
    /// Labels (direction, codec, medium) of every kind of flow that there was: it may be at
    /// zero, and does not go.
    seen: BTreeSet<[&'static str; 3]>,
}

impl VoiceMetrics {
    /// Makes every series that may come, so that its first event is an increase.
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let make = Maker(registry);
        let metrics = Self {
            flows: make.gauge(&of::VOICE_FLOWS)?,
            packets: make.counter(&of::VOICE_PACKETS)?,
            lost: make.counter(&of::VOICE_LOST)?,
            duplicates: make.counter(&of::VOICE_DUPLICATES)?,
            reordered: make.counter(&of::VOICE_REORDERED)?,
            io: make.counter(&of::VOICE_IO)?,
            jitter: make.histogram(&of::VOICE_JITTER)?,
            loss_ratio: make.histogram(&of::VOICE_LOSS_RATIO)?,
            late_ratio: make.histogram(&of::VOICE_LATE_RATIO)?,
            burst_ratio: make.histogram(&of::VOICE_BURST_RATIO)?,
            mos: make.histogram(&of::VOICE_MOS)?,
            hop_delay: make.histogram(&of::VOICE_HOP_DELAY)?,
            interruptions: make.counter(&of::VOICE_INTERRUPTIONS)?,
            seen: BTreeSet::new(),
        };
        metrics.hop_delay.with_label_values(&[] as &[&str]);
        for direction in DIRECTIONS.map(Direction::as_str) {
            for media in MEDIA {
                for counter in
                    [&metrics.packets, &metrics.lost, &metrics.duplicates, &metrics.reordered]
                {
                    counter.with_label_values(&[direction, media]);
                }
            }
            metrics.io.with_label_values(&[direction]);
            for reason in Reason::ALL.map(Reason::as_str) {
                metrics.interruptions.with_label_values(&[direction, reason]);
            }
            metrics.jitter.with_label_values(&[direction]);
            metrics.loss_ratio.with_label_values(&[direction]);
            metrics.burst_ratio.with_label_values(&[direction]);
            for buffer in Buffer::ALL.map(Buffer::as_str) {
                metrics.late_ratio.with_label_values(&[direction, buffer]);
            }
            for model in Model::ALL.map(Model::as_str) {
                for delay in Source::ALL.map(Source::as_str) {
                    metrics.mos.with_label_values(&[direction, model, delay]);
                }
            }
        }
        Ok(metrics)
    }

    pub(super) fn interval(&self, interval: &VoiceInterval) {
        for ((direction, media), counts) in &interval.counts {
            let labels = [direction.as_str(), media];
            self.packets.with_label_values(&labels).inc_by(counts.packets);
            self.lost.with_label_values(&labels).inc_by(counts.lost);
            self.duplicates.with_label_values(&labels).inc_by(counts.duplicates);
            self.reordered.with_label_values(&labels).inc_by(counts.reordered);
            self.io.with_label_values(&[direction.as_str()]).inc_by(counts.bytes);
        }
        for (direction, count) in &interval.silences {
            self.interrupted(*direction, Reason::Silence, *count);
        }
        let hop_delay = self.hop_delay.with_label_values(&[] as &[&str]);
        for delay in interval.points.iter().filter_map(|point| point.hop_delay) {
            hop_delay.observe(delay.as_secs_f64());
        }
        for direction in DIRECTIONS {
            let labels = [direction.as_str()];
            let jitter = self.jitter.with_label_values(&labels);
            let loss_ratio = self.loss_ratio.with_label_values(&labels);
            let burst_ratio = self.burst_ratio.with_label_values(&labels);
            let late_ratios = Buffer::ALL.map(|buffer| {
                self.late_ratio.with_label_values(&[direction.as_str(), buffer.as_str()])
            });
            for point in interval.points.iter().filter(|point| point.direction == direction) {
                jitter.observe(point.jitter.as_secs_f64());
                loss_ratio.observe(point.loss_ratio);
                if let Some(ratio) = point.sound.burst_ratio {
                    burst_ratio.observe(ratio);
                }
                for (histogram, ratio) in
                    late_ratios.iter().zip(point.sound.late_ratios.into_iter().flatten())
                {
                    histogram.observe(ratio);
                }
                if let Ok(score) = &point.sound.score {
                    self.score(direction, score);
                }
            }
        }
    }

    fn score(&self, direction: Direction, score: &Score) {
        let (model, delay) = (score.equipment.model.as_str(), score.delay_source.as_str());
        let labels = [direction.as_str(), model, delay];
        self.mos.with_label_values(&labels).observe(score.rating.mos);
    }

    /// Says that media was missing so many times more.
    pub(super) fn interrupted(&self, direction: Direction, reason: Reason, count: u64) {
        let labels = [direction.as_str(), reason.as_str()];
        self.interruptions.with_label_values(&labels).inc_by(count);
    }

    /// Says that there are so many more flows of a kind.
    pub(super) fn flows(&mut self, kind: VoiceKind, count: i64) {
        let labels = [kind.direction.as_str(), kind.codec, kind.media];
        self.flows.with_label_values(&labels).add(count);
        self.seen.insert(labels);
    }

    /// Says that there are no flows.
    pub(super) fn no_flows(&self) {
        for labels in &self.seen {
            self.flows.with_label_values(labels).set(0);
        }
    }
}
