//! What `observer/examples/bench_kernel` prints, as rows of tables.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Heads of the tables.
pub(super) const TIMED: [&str; 5] = ["traffic", "program", "ingress ns", "egress ns", "sockops ns"];
pub(super) const WHOLE: [&str; 4] = ["traffic", "attached", "ns", "added ns"];
pub(super) const BUDGETS: [&str; 6] = ["traffic", "hook", "against", "ratio", "budget", "verdict"];

/// Hooks, as the columns of [`TIMED`].
const HOOKS: [&str; 3] = ["ingress", "egress", "sockops"];

/// Programs in the order from nothing to everything.
const ORDER: [&str; 7] =
    ["none", "empty", "direct read", "load_bytes", "clock", "floor", "observer"];

/// One measurement.
#[derive(Deserialize)]
pub(super) struct Report {
    pub(super) kernel: String,
    pub(super) cpu: String,
    pub(super) seconds: u64,
    timed: Vec<Table>,
    whole: Vec<Table>,
    pub(super) verdicts: Vec<Verdict>,
}

#[derive(Deserialize)]
struct Table {
    traffic: String,
    rounds: u64,
    figures: Vec<Figure>,
}

#[derive(Deserialize)]
struct Figure {
    program: String,
    hook: String,
    ns: f64,
}

/// One ratio and the most that it may be.
#[derive(Deserialize)]
pub(super) struct Verdict {
    traffic: String,
    hook: String,
    against: String,
    ratio: f64,
    budget: f64,
}

impl Verdict {
    pub(super) fn holds(&self) -> bool {
        self.ratio <= self.budget
    }

    /// All but the verdict itself.
    pub(super) fn row(&self) -> Vec<String> {
        vec![
            self.traffic.clone(),
            self.hook.clone(),
            self.against.clone(),
            format!("{:.2}", self.ratio),
            format!("{:.2}", self.budget),
        ]
    }
}

impl Report {
    /// The fewest rounds behind a figure.
    pub(super) fn rounds(&self) -> u64 {
        self.timed.iter().chain(&self.whole).map(|table| table.rounds).min().unwrap_or(0)
    }

    pub(super) fn timed_rows(&self) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        for table in &self.timed {
            for (program, hooks) in table.programs() {
                let cell = |hook| hooks.get(hook).map_or_else(|| "-".to_owned(), whole_number);
                let mut row = vec![table.traffic.clone(), program.to_owned()];
                row.extend(HOOKS.map(cell));
                rows.push(row);
            }
        }
        rows
    }

    pub(super) fn whole_rows(&self) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        for table in &self.whole {
            let programs = table.programs();
            let sender = |hooks: &BTreeMap<&str, f64>| hooks.get("sender").copied();
            let none = programs.iter().find(|(name, _)| *name == "none");
            let Some(none) = none.and_then(|(_, hooks)| sender(hooks)) else { continue };
            for (program, hooks) in &programs {
                let Some(ns) = sender(hooks) else { continue };
                // A difference can be negative where there is none.
                let added =
                    if *program == "none" { "-".to_owned() } else { format!("{:.0}", ns - none) };
                rows.push(vec![
                    table.traffic.clone(),
                    (*program).to_owned(),
                    whole_number(&ns),
                    added,
                ]);
            }
        }
        rows
    }
}

impl Table {
    /// Figures by hook of each program, in the order of [`ORDER`].
    fn programs(&self) -> Vec<(&str, BTreeMap<&str, f64>)> {
        ORDER
            .into_iter()
            .map(|program| {
                let figures = self.figures.iter().filter(|figure| figure.program == program);
                (program, figures.map(|figure| (figure.hook.as_str(), figure.ns)).collect())
            })
            .filter(|(_, hooks): &(_, BTreeMap<_, _>)| !hooks.is_empty())
            .collect()
    }
}

fn whole_number(ns: &f64) -> String {
    format!("{ns:.0}")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn report() -> Report {
        serde_json::from_str(
            r#"{"kernel":"6.18.0","cpu":"A CPU","seconds":9,
            "timed":[{"traffic":"RTP","rounds":9,"figures":[
                {"program":"observer","hook":"ingress","ns":200.4},
                {"program":"observer","hook":"sockops","ns":99.0},
                {"program":"empty","hook":"ingress","ns":50.0},
                {"program":"empty","hook":"egress","ns":51.0}]}],
            "whole":[{"traffic":"RTP","rounds":7,"figures":[
                {"program":"observer","hook":"sender","ns":2600.0},
                {"program":"none","hook":"sender","ns":2000.0}]}],
            "verdicts":[
                {"traffic":"RTP","hook":"ingress","against":"floor","ratio":1.2,"budget":1.35},
                {"traffic":"RTP","hook":"egress","against":"floor","ratio":1.36,"budget":1.35}]}"#,
        )
        .unwrap()
    }

    #[test]
    fn rows_go_from_nothing_to_everything() {
        let report = report();
        let timed = report.timed_rows();
        assert_eq!(timed[0], ["RTP", "empty", "50", "51", "-"]);
        assert_eq!(timed[1], ["RTP", "observer", "200", "-", "99"]);
        let whole = report.whole_rows();
        assert_eq!(whole, [["RTP", "none", "2000", "-"], ["RTP", "observer", "2600", "600"]]);
        assert_eq!(report.rounds(), 7);
    }

    #[test]
    fn a_ratio_beyond_its_budget_does_not_hold() {
        let holds: Vec<bool> = report().verdicts.iter().map(Verdict::holds).collect();
        assert_eq!(holds, [true, false]);
    }
}
