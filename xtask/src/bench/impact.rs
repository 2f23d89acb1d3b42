//! `bench impact`: what watching adds to an application's packets, beside tcpdump.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use serde::Deserialize;

use crate::artifact;
use crate::command::{as_root, cargo, output};
use crate::place::Places;
use crate::terminal::{bold, green, red, table};

use super::{Timed, build, page, understood};

const COSTS: [&str; 6] =
    ["attached", "both ends' ns", "added ns", "reader's ns", "added in all ns", "ratio"];
const TRIPS: [&str; 7] =
    ["attached", "p50 ns", "added p50 ns", "p50 ratio", "p99 ns", "added p99 ns", "p99 ratio"];
const BUDGETS: [&str; 5] = ["traffic", "against", "ratio", "budget", "verdict"];

/// What the measurement prints.
#[derive(Deserialize)]
struct Report {
    kernel: String,
    cpu: String,
    seconds: u64,
    parts: Vec<Traffic>,
    verdicts: Vec<Verdict>,
}

/// One kind of traffic.
#[derive(Deserialize)]
struct Traffic {
    traffic: String,
    captured: Captured,
    rows: Vec<Row>,
}

/// Packets of the echo while tcpdump ran, and what tcpdump says of all that it saw.
#[derive(Deserialize)]
struct Captured {
    sent: u64,
    captured: u64,
    dropped: u64,
}

#[derive(Deserialize)]
struct Row {
    condition: String,
    rounds: u64,
    cpu: Figure,
    consumer_ns: f64,
    whole: Figure,
    p50: Figure,
    p99: Figure,
}

#[derive(Deserialize)]
struct Figure {
    ns: f64,
    added_ns: f64,
}

#[derive(Deserialize)]
struct Verdict {
    traffic: String,
    against: String,
    ratio: f64,
    budget: f64,
}

/// Measures as root; fails when a budget is exceeded.
pub(super) fn main(places: &Places, args: &Timed) -> Result<ExitCode> {
    let built = build(places, &["--example", "bench_impact"])?;
    let mut talking = cargo();
    talking.args(["build", "--release", "-p", "vc-server", "-p", "vc-bot", "--bins"]);
    let talking = artifact::build(talking.current_dir(&places.root))?;
    let mut bench = as_root(built.executable("bench_impact", "example")?)?;
    bench.args(["--seconds", &args.seconds.to_string()]);
    for program in ["vc-server", "vc-bot"] {
        bench.arg(talking.executable(program, "bin")?);
    }
    args.announce();
    let report: Report = understood(&output(&mut bench)?, "impact")?;
    ensure!(!report.verdicts.is_empty(), "the measurement judged nothing: report this");
    show(&report);
    if args.write {
        page::write(&places.root.join("docs/performance.md"), "impact", &on_page(&report))?;
        println!("docs/performance.md is written");
    }
    let well = report.verdicts.iter().all(Verdict::holds);
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(report: &Report) {
    println!("\n{}, kernel {}", report.cpu, report.kernel);
    for part in &report.parts {
        println!("\n{}\n{}", bold(&part.traffic), part.captured.sentence());
        print!("{}", table(&COSTS, &part.costs()));
        if part.has_trips() {
            print!("\n{}", table(&TRIPS, &part.trips()));
        }
    }
    println!("\n{}", bold("budgets"));
    print!("{}", table(&BUDGETS, &report.budgets(&green("within"), &red("EXCEEDED"))));
}

fn on_page(report: &Report) -> String {
    let mut text = format!(
        "Taken by `cargo xtask bench impact --seconds {}` on {}, kernel {}.\n",
        report.seconds, report.cpu, report.kernel
    );
    for part in &report.parts {
        text += &format!(
            "\n### {}\n\nMedians of {} rounds. {}\n\nCPU time of a packet:\n\n{}",
            part.traffic,
            part.rounds(),
            part.captured.sentence(),
            page::table(&COSTS, &part.costs()),
        );
        if part.has_trips() {
            let trips = page::table(&TRIPS, &part.trips());
            text += &format!("\nRound trip of an echo:\n\n{trips}");
        }
    }
    let budgets = report.budgets("within", "**exceeded**");
    text + "\n### Added CPU time against its budgets\n\n" + &page::table(&BUDGETS, &budgets)
}

impl Report {
    fn budgets(&self, within: &str, exceeded: &str) -> Vec<Vec<String>> {
        let row = |verdict: &Verdict| {
            vec![
                verdict.traffic.clone(),
                verdict.against.clone(),
                format!("{:.2}", verdict.ratio),
                format!("{:.2}", verdict.budget),
                if verdict.holds() { within } else { exceeded }.to_owned(),
            ]
        };
        self.verdicts.iter().map(row).collect()
    }
}

impl Verdict {
    /// A reference that adds nothing, or less, is none.
    fn holds(&self) -> bool {
        (0.0..=self.budget).contains(&self.ratio)
    }
}

impl Captured {
    fn sentence(&self) -> String {
        format!(
            "tcpdump captured {} packets, dropped {}; {} were sent while it was measured, others before that.",
            self.captured, self.dropped, self.sent
        )
    }
}

impl Traffic {
    /// How many rounds of each kind there were: `144 and 6`.
    fn rounds(&self) -> String {
        let mut kinds: Vec<u64> = self.rows.iter().map(|row| row.rounds).collect();
        kinds.dedup();
        kinds.iter().map(u64::to_string).collect::<Vec<_>>().join(" and ")
    }

    fn costs(&self) -> Vec<Vec<String>> {
        let row = |row: &Row| {
            let consumer =
                if row.consumer_ns > 0.0 { whole(row.consumer_ns) } else { "-".to_owned() };
            let (added, ratio) = row.added(&row.whole);
            vec![
                row.condition.clone(),
                whole(row.cpu.ns),
                row.added(&row.cpu).0,
                consumer,
                added,
                ratio,
            ]
        };
        self.rows.iter().map(row).collect()
    }

    /// Whether anything was sent there and back.
    fn has_trips(&self) -> bool {
        self.rows.iter().any(|row| row.p50.ns > 0.0)
    }

    fn trips(&self) -> Vec<Vec<String>> {
        let row = |row: &Row| {
            let mut cells = vec![row.condition.clone()];
            for figure in [&row.p50, &row.p99] {
                let (added, ratio) = row.added(figure);
                cells.extend([whole(figure.ns), added, ratio]);
            }
            cells
        };
        self.rows.iter().map(row).collect()
    }
}

impl Row {
    /// What a figure differs from nothing attached by, and how many times that it is.
    fn added(&self, figure: &Figure) -> (String, String) {
        if self.condition == "off" {
            return ("-".to_owned(), "-".to_owned());
        }
        let ratio = figure.ns / (figure.ns - figure.added_ns);
        (whole(figure.added_ns), format!("{ratio:.2}"))
    }
}

fn whole(ns: f64) -> String {
    format!("{ns:.0}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let row = |condition: &str, ns: f64, added: f64, consumer: f64| {
            let figure = format!(r#"{{"ns":{ns},"added_ns":{added}}}"#);
            format!(
                r#"{{"condition":"{condition}","rounds":9,"cpu":{figure},"consumer_ns":{consumer},
                "whole":{figure},"p50":{figure},"p99":{figure}}}"#
            )
        };
        let rows = [row("off", 2000.0, 0.0, 0.0), row("tcpdump", 2500.0, 500.0, 99.6)].join(",");
        serde_json::from_str(&format!(
            r#"{{"kernel":"6.18.0","cpu":"A CPU","seconds":9,"parts":[{{"traffic":"UDP",
            "captured":{{"sent":10,"captured":12,"dropped":1}},"rows":[{rows}]}}],"verdicts":[
            {{"traffic":"UDP","against":"floor","ratio":1.2,"budget":1.5}},
            {{"traffic":"UDP","against":"tcpdump","ratio":0.51,"budget":0.5}},
            {{"traffic":"UDP","against":"tcpdump","ratio":-0.3,"budget":0.5}}]}}"#
        ))
        .unwrap()
    }

    #[test]
    fn what_is_added_stands_beside_what_it_is_added_to() {
        let part = &report().parts[0];
        assert_eq!(part.costs()[0], ["off", "2000", "-", "-", "-", "-"]);
        assert_eq!(part.costs()[1], ["tcpdump", "2500", "500", "100", "500", "1.25"]);
        assert_eq!(part.trips()[1], ["tcpdump", "2500", "500", "1.25", "2500", "500", "1.25"]);
        assert_eq!(part.rounds(), "9");
    }

    #[test]
    fn a_ratio_beyond_its_budget_or_below_nothing_does_not_hold() {
        let holds: Vec<bool> = report().verdicts.iter().map(Verdict::holds).collect();
        assert_eq!(holds, [true, false, false]);
        assert_eq!(on_page(&report()).matches("**exceeded**").count(), 2);
    }
}
