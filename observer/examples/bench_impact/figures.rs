//! From spells to figures, and from figures to a verdict.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Result, ensure};
use serde::Serialize;

use super::{capture::Counts, condition::Condition, echo::Spell, machine::Machine};

/// One slice.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    /// CPU time of the echo's threads for a packet, in ns.
    cpu: f64,
    /// CPU time of a process that takes packets away, for each that it took, in ns.
    consumer: f64,
    p50: f64,
    p99: f64,
}

impl Sample {
    pub(crate) fn of(spell: &Spell, consumer_ns: Option<f64>) -> Self {
        let at = |share: usize| {
            let index = spell.round_trips.len() * share / 100;
            spell.round_trips.get(index).copied().unwrap_or_default().as_nanos() as f64
        };
        Self {
            cpu: ns_each(spell.cpu, spell.packets),
            consumer: consumer_ns.unwrap_or_default(),
            p50: at(50),
            p99: at(99),
        }
    }

    fn whole(&self) -> f64 {
        self.cpu + self.consumer
    }
}

/// What captures caught in all.
#[derive(Default, Serialize)]
pub(crate) struct Captured {
    sent: u64,
    captured: u64,
    dropped: u64,
}

impl Captured {
    /// The capture's CPU time for each packet, in ns.
    pub(crate) fn add(&mut self, counts: &Counts, sent: u64) -> Result<f64> {
        // What it has not yet read when it is ended fits its ring of 2 MiB.
        ensure!(
            counts.captured + counts.dropped > sent / 2,
            "tcpdump captured {} of {sent} packets: the machine is too busy to compare with it",
            counts.captured
        );
        self.sent += sent;
        self.captured += counts.captured;
        self.dropped += counts.dropped;
        Ok(ns_each(counts.cpu, counts.captured))
    }
}

fn ns_each(time: Duration, count: u64) -> f64 {
    time.as_nanos() as f64 / count.max(1) as f64
}

/// Slices that were taken beside each other.
#[derive(Default)]
pub(crate) struct Rounds(Vec<BTreeMap<Condition, Sample>>);

impl Rounds {
    pub(crate) fn begin(&mut self) {
        self.0.push(BTreeMap::new());
    }

    pub(crate) fn add(&mut self, condition: Condition, sample: Sample) {
        if let Some(round) = self.0.last_mut() {
            round.insert(condition, sample);
        }
    }

    fn conditions(&self) -> impl Iterator<Item = Condition> {
        self.0.first().into_iter().flat_map(BTreeMap::keys).copied()
    }

    /// The median of something that each round says of a condition.
    fn median(&self, condition: Condition, of: impl Fn(&Sample) -> f64) -> f64 {
        median(self.0.iter().filter_map(|round| round.get(&condition)).map(of).collect())
    }

    /// The median of how much it differs from nothing attached, in the same round.
    fn added(&self, condition: Condition, of: impl Fn(&Sample) -> f64) -> f64 {
        let differences = self
            .0
            .iter()
            .filter_map(|round| Some(of(round.get(&condition)?) - of(round.get(&Condition::Off)?)));
        median(differences.collect())
    }

    fn row(&self, condition: Condition) -> Row {
        let figure = |of: fn(&Sample) -> f64| Figure {
            ns: self.median(condition, of),
            added_ns: self.added(condition, of),
        };
        Row {
            condition: condition.name(),
            rounds: self.0.len(),
            cpu: figure(|sample| sample.cpu),
            consumer_ns: self.median(condition, |sample| sample.consumer),
            whole: figure(Sample::whole),
            p50: figure(|sample| sample.p50),
            p99: figure(|sample| sample.p99),
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Both kinds of rounds of one kind of traffic.
pub(crate) struct Table {
    traffic: &'static str,
    has_budgets: bool,
    pub(crate) alternating: Rounds,
    pub(crate) lasting: Rounds,
    pub(crate) captured: Captured,
}

impl Table {
    pub(crate) fn new(traffic: &'static str, has_budgets: bool) -> Self {
        let (alternating, lasting) = (Rounds::default(), Rounds::default());
        Self { traffic, has_budgets, alternating, lasting, captured: Captured::default() }
    }
}

/// A median, and the median of the differences to nothing attached.
#[derive(Serialize)]
struct Figure {
    ns: f64,
    added_ns: f64,
}

/// One condition.
#[derive(Serialize)]
struct Row {
    condition: &'static str,
    rounds: usize,
    cpu: Figure,
    consumer_ns: f64,
    whole: Figure,
    p50: Figure,
    p99: Figure,
}

/// One kind of traffic.
#[derive(Serialize)]
struct Part {
    traffic: &'static str,
    captured: Captured,
    rows: Vec<Row>,
}

/// A ratio of added CPU time that has a budget.
#[derive(Serialize)]
struct Verdict {
    traffic: &'static str,
    against: &'static str,
    ratio: f64,
    budget: f64,
}

/// What the observer may add to a packet, as a share of what others add.
const BUDGETS: [(Condition, f64); 2] = [(Condition::Floor, 1.5), (Condition::Tcpdump, 0.5)];

/// Everything, as it is printed.
#[derive(Serialize)]
pub(crate) struct Report {
    #[serde(flatten)]
    machine: Machine,
    seconds: u64,
    parts: Vec<Part>,
    verdicts: Vec<Verdict>,
}

impl Report {
    pub(crate) fn begin(seconds: u64) -> Result<Self> {
        Ok(Self { machine: Machine::this()?, seconds, parts: Vec::new(), verdicts: Vec::new() })
    }

    pub(crate) fn add(&mut self, table: Table) {
        let Table { traffic, has_budgets, alternating, lasting, captured } = table;
        let added = |condition| {
            let rounds = if condition == Condition::Tcpdump { &lasting } else { &alternating };
            rounds.added(condition, Sample::whole)
        };
        for (against, budget) in BUDGETS.into_iter().filter(|_| has_budgets) {
            let ratio = added(Condition::Observer) / added(against);
            self.verdicts.push(Verdict { traffic, against: against.name(), ratio, budget });
        }
        let mut rows: Vec<_> = alternating.conditions().map(|one| alternating.row(one)).collect();
        let lasts = lasting.conditions().filter(|one| *one != Condition::Off);
        rows.extend(lasts.map(|one| lasting.row(one)));
        self.parts.push(Part { traffic, captured, rows });
    }
}
