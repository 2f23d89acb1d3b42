//! What a service's paths of voice do.

use prometheus::{Histogram, HistogramVec, Registry};

use super::maker::Maker;
use crate::{
    export::instruments::path as of,
    model::{Phase, RttSource},
    track::paths::PathInterval,
};

#[derive(Clone, Debug)]
pub(super) struct PathMetrics {
    rtt: HistogramVec,
    stall: Histogram,
    setup: HistogramVec,
}

impl PathMetrics {
    /// Makes every series that may come, so that its first event is an increase.
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let make = Maker(registry);
        let metrics = Self {
            rtt: make.histogram(&of::VOICE_RTT)?,
            stall: make.histogram(&of::VOICE_STALL)?.with_label_values::<&str>(&[]),
            setup: make.histogram(&of::VOICE_SETUP)?,
        };
        for source in [RttSource::Stun, RttSource::Rtcp] {
            metrics.rtt.with_label_values(&[source.as_str()]);
        }
        for phase in Phase::ALL {
            metrics.setup.with_label_values(&[phase.as_str()]);
        }
        Ok(metrics)
    }

    pub(super) fn interval(&self, interval: &PathInterval) {
        for (source, time) in &interval.round_trips {
            self.rtt.with_label_values(&[source.as_str()]).observe(time.as_secs_f64());
        }
        for time in &interval.stalls {
            self.stall.observe(time.as_secs_f64());
        }
        for (phase, time) in &interval.setups {
            self.setup.with_label_values(&[phase.as_str()]).observe(time.as_secs_f64());
        }
    }
}
