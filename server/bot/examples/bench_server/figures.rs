//! From rounds to figures.

use std::{fs, thread::available_parallelism, time::Duration};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::{sink::Told, variant::Variant};

/// What a server did in a round.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    done: u64,
    /// Its turns.
    elapsed: Duration,
    /// While it is taken, the CPU time before it.
    cpu: Duration,
}

impl Sample {
    pub(crate) const fn begin(cpu: Duration) -> Self {
        Self { done: 0, elapsed: Duration::ZERO, cpu }
    }

    pub(crate) fn add(&mut self, done: u64, elapsed: Duration) {
        self.done += done;
        self.elapsed += elapsed;
    }

    pub(crate) fn end(&mut self, cpu: Duration) {
        self.cpu = cpu.saturating_sub(self.cpu);
    }

    fn per_second(&self) -> f64 {
        self.done as f64 / self.elapsed.as_secs_f64()
    }

    /// For each that was done.
    fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.done as f64
    }
}

/// One kind of traffic.
pub(crate) struct Table {
    traffic: &'static str,
    unit: &'static str,
    /// Of each variant, in their order.
    rounds: Vec<Vec<Sample>>,
    told: Vec<(Variant, Told)>,
}

impl Table {
    pub(crate) const fn new(traffic: &'static str, unit: &'static str) -> Self {
        Self { traffic, unit, rounds: Vec::new(), told: Vec::new() }
    }

    pub(crate) const fn rounds(&self) -> usize {
        self.rounds.len()
    }

    pub(crate) fn add(&mut self, round: Vec<Sample>) {
        self.rounds.push(round);
    }

    pub(crate) fn told(&mut self, told: (Variant, Told)) {
        self.told.push(told);
    }

    fn part(&self) -> Part {
        let row = |(at, (variant, told)): (usize, &(Variant, Told))| Row {
            telemetry: variant.name(),
            per_second: self.figure(at, Sample::per_second),
            cpu_us: self.figure(at, Sample::cpu_us),
            spans: told.spans,
            dropped_spans: told.dropped_spans,
            records: told.records,
            dropped_records: told.dropped_records,
        };
        let rows = self.told.iter().enumerate().map(row).collect();
        Part { traffic: self.traffic, unit: self.unit, rounds: self.rounds(), rows }
    }

    /// The median of a figure, and that of its ratios to the first variant's in the same
    /// round.
    fn figure(&self, at: usize, of: fn(&Sample) -> f64) -> Figure {
        let ratio = |round: &Vec<Sample>| of(&round[at]) / of(&round[0]);
        Figure {
            median: median(self.rounds.iter().map(|round| of(&round[at])).collect()),
            ratio: median(self.rounds.iter().map(ratio).collect()),
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[derive(Serialize)]
struct Figure {
    median: f64,
    ratio: f64,
}

/// One variant.
#[derive(Serialize)]
struct Row {
    telemetry: &'static str,
    per_second: Figure,
    cpu_us: Figure,
    spans: u64,
    dropped_spans: u64,
    records: u64,
    dropped_records: u64,
}

#[derive(Serialize)]
struct Part {
    traffic: &'static str,
    unit: &'static str,
    rounds: usize,
    rows: Vec<Row>,
}

/// Everything, as it is printed.
#[derive(Serialize)]
pub(crate) struct Report {
    kernel: String,
    cpu: String,
    processors: usize,
    seconds: u64,
    parts: Vec<Part>,
}

impl Report {
    pub(crate) fn begin(seconds: u64) -> Result<Self> {
        let read = |path| fs::read_to_string(path).with_context(|| format!("cannot read {path}"));
        let release = read("/proc/sys/kernel/osrelease")?;
        let processors = available_parallelism()?.get();
        let cpu = read("/proc/cpuinfo")?
            .lines()
            .find_map(|line| line.strip_prefix("model name"))
            .map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':']))
            .to_owned();
        // What follows the version is whoever built it.
        let kernel = release.trim().split('-').next().unwrap_or_default().to_owned();
        Ok(Self { kernel, cpu, processors, seconds, parts: Vec::new() })
    }

    pub(crate) fn add(&mut self, table: Table) {
        self.parts.push(table.part());
    }
}
