//! From slices to figures, and from figures to a verdict.

use std::{collections::BTreeMap, fmt};

use anyhow::Result;
use serde::Serialize;

use super::{Traffic, machine::Machine};

/// Figures of each program at each hook, a round apart.
#[derive(Default)]
pub(crate) struct Rounds(Vec<BTreeMap<(&'static str, &'static str), f64>>);

impl Rounds {
    /// The next round.
    pub(crate) fn begin(&mut self) {
        self.0.push(BTreeMap::new());
    }

    /// A figure of this round.
    pub(crate) fn add(&mut self, program: &'static str, hook: &'static str, ns: f64) {
        if let Some(round) = self.0.last_mut() {
            round.insert((program, hook), ns);
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The median over all rounds of something that one round says.
    fn median(
        &self,
        of_round: impl Fn(&BTreeMap<(&'static str, &'static str), f64>) -> Option<f64>,
    ) -> Option<f64> {
        median(self.0.iter().filter_map(of_round).collect())
    }

    /// Every program and hook, with its median.
    fn medians(&self) -> Vec<Figure> {
        let mut keys: Vec<_> = self.0.iter().flat_map(BTreeMap::keys).copied().collect();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter()
            .filter_map(|key| {
                let ns = self.median(|round| round.get(&key).copied())?;
                Some(Figure { program: key.0, hook: key.1, ns })
            })
            .collect()
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// A median.
#[derive(Serialize)]
struct Figure {
    program: &'static str,
    hook: &'static str,
    ns: f64,
}

/// Figures of one kind of traffic.
#[derive(Serialize)]
struct Table {
    traffic: &'static str,
    rounds: usize,
    figures: Vec<Figure>,
}

/// A ratio that has a budget.
#[derive(Serialize)]
pub(crate) struct Verdict {
    traffic: &'static str,
    hook: &'static str,
    pub(crate) against: &'static str,
    pub(crate) ratio: f64,
    pub(crate) budget: f64,
    /// Against the program that returns at once, which nothing can undercut.
    pub(crate) over_empty: f64,
}

impl fmt::Display for Verdict {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { traffic, hook, against, ratio, budget, .. } = self;
        write!(to, "{traffic}, {hook}: {ratio:.2} x {against}, the budget is {budget}")
    }
}

impl Verdict {
    /// The ratios that some rounds decide: medians of the ratios of each. The clock
    /// program is an empty one and the clock.
    pub(crate) fn of(traffic: Traffic, rounds: &Rounds) -> Vec<Self> {
        let (against, budget) = match traffic {
            Traffic::OneFlow | Traffic::ManyFlows => ("floor", 1.35),
            Traffic::Excluded | Traffic::PingPong | Traffic::Bulk => ("clock", 1.8),
            Traffic::Connections => return Vec::new(),
        };
        ["ingress", "egress"]
            .into_iter()
            .filter_map(|hook| {
                let ratio = |against| {
                    rounds.median(|round| {
                        let ns = |program| round.get(&(program, hook)).copied();
                        Some(ns("observer")? / ns(against)?)
                    })
                };
                Some(Self {
                    traffic: traffic.name(),
                    hook,
                    against,
                    ratio: ratio(against)?,
                    budget,
                    over_empty: ratio("empty")?,
                })
            })
            .collect()
    }
}

/// Everything, as it is printed.
#[derive(Serialize)]
pub(crate) struct Report {
    #[serde(flatten)]
    machine: Machine,
    seconds: u64,
    timed: Vec<Table>,
    whole: Vec<Table>,
    verdicts: Vec<Verdict>,
}

impl Report {
    pub(crate) fn of_this_machine(seconds: u64) -> Result<Self> {
        Ok(Self {
            machine: Machine::this()?,
            seconds,
            timed: Vec::new(),
            whole: Vec::new(),
            verdicts: Vec::new(),
        })
    }

    pub(crate) fn timed(&mut self, traffic: Traffic, rounds: &Rounds) {
        self.timed.push(Table::of(traffic, rounds));
        self.verdicts.extend(Verdict::of(traffic, rounds));
    }

    pub(crate) fn whole(&mut self, traffic: Traffic, rounds: &Rounds) {
        self.whole.push(Table::of(traffic, rounds));
    }
}

impl Table {
    fn of(traffic: Traffic, rounds: &Rounds) -> Self {
        Self { traffic: traffic.name(), rounds: rounds.count(), figures: rounds.medians() }
    }
}
