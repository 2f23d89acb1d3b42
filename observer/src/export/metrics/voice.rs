//! What a service's voice flows do.

use std::collections::BTreeMap;

use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec, Registry};

use super::maker::Maker;
use crate::{
    export::instruments as of,
    model::{Direction, VoiceFlow},
    track::voice::VoiceInterval,
};

pub(super) const DIRECTIONS: [Direction; 2] = [Direction::Receive, Direction::Transmit];
const MEDIA: [&str; 3] = ["audio", "video", "unknown"];

/// Labels of a flow: direction, codec, medium.
pub(super) type Flow = [&'static str; 3];

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
    /// Every kind of flow that there was: it may be at zero, and does not go.
    seen: BTreeMap<Flow, i64>,
}

/// The labels of a flow.
pub(super) const fn labels(flow: &VoiceFlow) -> Flow {
    [flow.key.direction.as_str(), flow.codec(), flow.media()]
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
            seen: BTreeMap::new(),
        };
        for direction in DIRECTIONS.map(Direction::as_str) {
            for media in MEDIA {
                for counter in
                    [&metrics.packets, &metrics.lost, &metrics.duplicates, &metrics.reordered]
                {
                    counter.with_label_values(&[direction, media]);
                }
            }
            metrics.io.with_label_values(&[direction]);
            metrics.jitter.with_label_values(&[direction]);
            metrics.loss_ratio.with_label_values(&[direction]);
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
        for point in &interval.points {
            let labels = [point.direction.as_str()];
            self.jitter.with_label_values(&labels).observe(point.jitter.as_secs_f64());
            self.loss_ratio.with_label_values(&labels).observe(point.loss_ratio);
        }
    }

    /// Takes in the flows that there are, by their labels.
    pub(super) fn flows(&mut self, flows: &BTreeMap<Flow, i64>) {
        self.seen.values_mut().for_each(|count| *count = 0);
        self.seen.extend(flows);
        for (labels, count) in &self.seen {
            self.flows.with_label_values(labels).set(*count);
        }
    }
}
