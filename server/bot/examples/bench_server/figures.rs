//! From rounds to figures.

use std::{
    fs,
    thread::available_parallelism,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::{Load, sink::Told, variant::Variant};

/// What a server did in a turn.
pub(crate) struct Turn {
    /// While it had as much to do as it could.
    pub(crate) done: u64,
    pub(crate) elapsed: Duration,
    /// When it had not.
    pub(crate) besides: u64,
    /// Of what was done besides, how long each took; nothing where that is not looked at.
    pub(crate) delays: Vec<Duration>,
    /// What cannot be saved, if that is known.
    pub(crate) floor: Option<Cost>,
}

/// CPU time of a packet without a server, in µs.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) send: f64,
    pub(crate) receive: f64,
}

impl Turn {
    pub(crate) fn since(began: Instant, done: u64) -> Self {
        let elapsed = began.elapsed();
        Self { done, elapsed, besides: 0, delays: Vec::new(), floor: None }
    }
}

/// What a server did in a round.
pub(crate) struct Sample {
    per_second: f64,
    /// For each that was done.
    cpu_us: f64,
    /// The median and the 99th percentile.
    delays_us: Option<[f64; 2]>,
    floor: Option<Cost>,
}

impl Sample {
    /// Of its turns, and of the CPU time that they took.
    pub(crate) fn of(turns: Vec<Turn>, cpu: Duration) -> Self {
        let done: u64 = turns.iter().map(|turn| turn.done).sum();
        let besides: u64 = turns.iter().map(|turn| turn.besides).sum();
        let elapsed: Duration = turns.iter().map(|turn| turn.elapsed).sum();
        let floors: Vec<Cost> = turns.iter().filter_map(|turn| turn.floor).collect();
        let mean = |of: fn(&Cost) -> f64| floors.iter().map(of).sum::<f64>() / floors.len() as f64;
        let floor = Cost { send: mean(|cost| cost.send), receive: mean(|cost| cost.receive) };
        let delays = turns.into_iter().flat_map(|turn| turn.delays);
        let mut delays: Vec<f64> = delays.map(|delay| delay.as_secs_f64() * 1e6).collect();
        delays.sort_by(f64::total_cmp);
        let quantile = |share: usize| delays.get(delays.len() * share / 100).copied();
        Self {
            per_second: done as f64 / elapsed.as_secs_f64(),
            cpu_us: cpu.as_secs_f64() * 1e6 / (done + besides) as f64,
            delays_us: quantile(50).zip(quantile(99)).map(Into::into),
            floor: (!floors.is_empty()).then_some(floor),
        }
    }

    fn delay_us(&self, which: usize) -> f64 {
        self.delays_us.map_or(f64::NAN, |delays| delays[which])
    }
}

/// One kind of traffic.
pub(crate) struct Table {
    traffic: &'static str,
    unit: &'static str,
    listeners: Option<usize>,
    /// Of each variant, in their order.
    rounds: Vec<Vec<Sample>>,
    told: Vec<(Variant, Told)>,
}

impl Table {
    pub(crate) const fn of<L: Load>() -> Self {
        Self {
            traffic: L::TRAFFIC,
            unit: L::UNIT,
            listeners: L::LISTENERS,
            rounds: Vec::new(),
            told: Vec::new(),
        }
    }

    pub(crate) const fn rounds(&self) -> usize {
        self.rounds.len()
    }

    pub(crate) fn add(&mut self, round: Vec<Sample>) {
        self.rounds.push(round);
    }

    /// What a server told, which is one of some that were started so.
    pub(crate) fn told(&mut self, at: usize, told: (Variant, Told)) {
        match self.told.get_mut(at) {
            Some((_, all)) => all.add(&told.1),
            None => self.told.push(told),
        }
    }

    fn part(&self) -> Part {
        let row = |(at, (variant, told)): (usize, &(Variant, Told))| Row {
            telemetry: variant.name(),
            per_second: self.figure(at, |sample| sample.per_second),
            delay: self.has_delays().then(|| Delay {
                median_us: self.figure(at, |sample| sample.delay_us(0)),
                p99_us: self.figure(at, |sample| sample.delay_us(1)),
            }),
            cpu_us: self.figure(at, |sample| sample.cpu_us),
            spans: told.spans,
            dropped_spans: told.dropped_spans,
            records: told.records,
            dropped_records: told.dropped_records,
        };
        let rows = self.told.iter().enumerate().map(row).collect();
        let (traffic, unit) = (self.traffic, self.unit);
        Part { traffic, unit, rounds: self.rounds(), rows, floor: self.floor() }
    }

    fn has_delays(&self) -> bool {
        self.rounds.iter().flatten().all(|sample| sample.delays_us.is_some())
    }

    /// Beside the first variant's.
    fn floor(&self) -> Option<Floor> {
        let listeners = self.listeners?;
        let first = self.rounds.iter().filter_map(|round| round.first());
        let both: Vec<(Cost, f64)> =
            first.filter_map(|sample| Some((sample.floor?, sample.cpu_us))).collect();
        let whole = |cost: &Cost| cost.send + cost.receive / listeners as f64;
        let median_of = |of: &dyn Fn(&(Cost, f64)) -> f64| median(both.iter().map(of).collect());
        Some(Floor {
            listeners,
            receive_us: median_of(&|(cost, _)| cost.receive),
            send_us: median_of(&|(cost, _)| cost.send),
            whole_us: median_of(&|(cost, _)| whole(cost)),
            server_us: median_of(&|(_, cpu)| *cpu),
            ratio: median_of(&|(cost, cpu)| cpu / whole(cost)),
        })
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

#[derive(Serialize)]
struct Delay {
    median_us: Figure,
    p99_us: Figure,
}

/// What of the CPU time of a packet is no server's.
#[derive(Serialize)]
struct Floor {
    /// To so many a packet goes that was received once.
    listeners: usize,
    receive_us: f64,
    send_us: f64,
    /// For one that is sent, with its share of what was received.
    whole_us: f64,
    server_us: f64,
    ratio: f64,
}

/// One variant.
#[derive(Serialize)]
struct Row {
    telemetry: &'static str,
    per_second: Figure,
    delay: Option<Delay>,
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
    floor: Option<Floor>,
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
