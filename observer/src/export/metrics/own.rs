//! What the observer says of itself.

use std::time::Duration;

use prometheus::{
    CounterVec, GaugeVec, HistogramVec, IntCounterVec, IntGaugeVec, Registry,
    core::{GenericCounter, GenericCounterVec},
};

use super::{cause::CauseMetrics, maker::Maker};
use crate::{
    export::instruments as of,
    ledger::Ledger,
    model::{HostCauses, MapFill, ProbeCost, ProcessUsage},
};

/// Its instruments.
#[derive(Clone, Debug)]
pub struct Own {
    registry: Registry,
    events_lost: IntCounterVec,
    completeness: GaugeVec,
    probe_up: IntGaugeVec,
    probe_runs: IntCounterVec,
    probe_time: CounterVec,
    reading: HistogramVec,
    map_entries: IntGaugeVec,
    map_limit: IntGaugeVec,
    process_cpu: CounterVec,
    process_memory: IntGaugeVec,
    process_descriptors: IntGaugeVec,
    causes: CauseMetrics,
}

impl Own {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let make = Maker(&registry);
        let own = Self {
            events_lost: make.counter(&of::EVENTS_LOST)?,
            completeness: make.ratio(&of::COMPLETENESS)?,
            probe_up: make.gauge(&of::PROBE_UP)?,
            probe_runs: make.counter(&of::PROBE_RUNS)?,
            probe_time: make.seconds(&of::PROBE_TIME)?,
            reading: make.histogram(&of::READING_DURATION)?,
            map_entries: make.gauge(&of::MAP_ENTRIES)?,
            map_limit: make.gauge(&of::MAP_LIMIT)?,
            process_cpu: make.seconds(&of::PROCESS_CPU)?,
            process_memory: make.gauge(&of::PROCESS_MEMORY)?,
            process_descriptors: make.gauge(&of::PROCESS_DESCRIPTORS)?,
            causes: CauseMetrics::new(&make)?,
            registry,
        };
        own.completeness.with_label_values::<&str>(&[]).set(1.0);
        own.reading.with_label_values::<&str>(&[]);
        Ok(own)
    }

    pub(super) const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Takes in the ledger.
    pub fn ledger(&self, ledger: &Ledger) {
        for ((stage, reason), count) in ledger.losses() {
            set(&self.events_lost, &[stage, reason], count);
        }
        self.completeness.with_label_values::<&str>(&[]).set(ledger.completeness());
    }

    /// Takes in what the programs cost, as far as the kernel counts it.
    pub fn probe_costs(&self, costs: &[ProbeCost]) {
        for cost in costs.iter().filter(|cost| cost.runs > 0) {
            set(&self.probe_runs, &[cost.probe], cost.runs);
            set(&self.probe_time, &[cost.probe], cost.time.as_secs_f64());
        }
    }

    /// Takes in how long a reading took.
    pub fn reading(&self, duration: Duration) {
        self.reading.with_label_values::<&str>(&[]).observe(duration.as_secs_f64());
    }

    /// Takes in how full a map is.
    pub fn map(&self, name: &str, fill: MapFill) {
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.map_entries.with_label_values(&[name]).set(number(fill.entries));
        self.map_limit.with_label_values(&[name]).set(number(fill.limit));
    }

    /// Takes in what the observer itself uses.
    pub fn process(&self, usage: &ProcessUsage) {
        set(&self.process_cpu, &["user"], usage.user.as_secs_f64());
        set(&self.process_cpu, &["system"], usage.system.as_secs_f64());
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.process_memory.with_label_values::<&str>(&[]).set(number(usage.memory_bytes));
        self.process_descriptors.with_label_values::<&str>(&[]).set(number(usage.descriptors));
    }

    /// Takes in what the host itself did to traffic.
    pub fn host_causes(&self, causes: &HostCauses) {
        self.causes.set(causes);
    }

    /// Says whether a probe is attached.
    pub fn probe(&self, name: &str, up: bool) {
        self.probe_up.with_label_values(&[name]).set(up.into());
    }
}

/// Brings a counter to what somebody else has counted.
pub(super) fn set<P>(counters: &GenericCounterVec<P>, labels: &[&str], to: P::T)
where
    P: prometheus::core::Atomic,
    P::T: PartialOrd + std::ops::Sub<Output = P::T>,
{
    let counter: GenericCounter<P> = counters.with_label_values(labels);
    let now = counter.get();
    if to > now {
        counter.inc_by(to - now);
    }
}
