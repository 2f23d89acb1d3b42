//! Instruments of Prometheus, made from what is said of each.

use prometheus::{
    CounterVec, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry,
    core::Collector,
};

use crate::export::instruments::{Instrument, Kind};

/// Makes instruments that a registry exposes.
pub(super) struct Maker<'a>(pub(super) &'a Registry);

impl Maker<'_> {
    fn register<C>(&self, collector: C) -> Result<C, prometheus::Error>
    where
        C: Collector + Clone + 'static,
    {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    pub(super) fn counter(&self, of: &Instrument) -> Result<IntCounterVec, prometheus::Error> {
        self.register(with_labels(of, IntCounterVec::new)?)
    }

    pub(super) fn seconds(&self, of: &Instrument) -> Result<CounterVec, prometheus::Error> {
        self.register(with_labels(of, CounterVec::new)?)
    }

    pub(super) fn gauge(&self, of: &Instrument) -> Result<IntGaugeVec, prometheus::Error> {
        self.register(with_labels(of, IntGaugeVec::new)?)
    }

    pub(super) fn ratio(&self, of: &Instrument) -> Result<GaugeVec, prometheus::Error> {
        self.register(with_labels(of, GaugeVec::new)?)
    }

    pub(super) fn histogram(&self, of: &Instrument) -> Result<HistogramVec, prometheus::Error> {
        let Kind::Histogram(bounds) = of.kind else {
            return Err(prometheus::Error::Msg(format!("{} has no boundaries", of.name)));
        };
        let options = HistogramOpts::new(of.prometheus_name(), of.meaning).buckets(bounds.to_vec());
        self.register(with_labels(of, |_, labels| HistogramVec::new(options, labels))?)
    }
}

fn with_labels<C>(
    of: &Instrument,
    make: impl FnOnce(Opts, &[&str]) -> Result<C, prometheus::Error>,
) -> Result<C, prometheus::Error> {
    let labels = of.labels();
    let labels: Vec<_> = labels.iter().map(String::as_str).collect();
    make(Opts::new(of.prometheus_name(), of.meaning), &labels)
}
