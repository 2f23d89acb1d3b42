//! `bench server`: what telemetry costs the server.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use serde::Deserialize;

use crate::artifact;
use crate::command::{cargo, command, output};
use crate::place::Places;
use crate::terminal::{bold, table};

use super::{Timed, page, understood};

const PAGE: &str = "docs/server/performance.md";
const EXPORTS: [&str; 6] =
    ["traffic", "telemetry", "spans", "dropped spans", "log records", "dropped records"];

/// What the measurement prints.
#[derive(Deserialize)]
struct Report {
    kernel: String,
    cpu: String,
    processors: u64,
    seconds: u64,
    parts: Vec<Part>,
}

/// One kind of traffic.
#[derive(Deserialize)]
struct Part {
    traffic: String,
    /// What is counted: `request`, `delivery`.
    unit: String,
    rounds: u64,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    telemetry: String,
    per_second: Figure,
    cpu_us: Figure,
    spans: u64,
    dropped_spans: u64,
    records: u64,
    dropped_records: u64,
}

#[derive(Deserialize)]
struct Figure {
    median: f64,
    ratio: f64,
}

/// Measures as anyone.
pub(super) fn main(places: &Places, args: &Timed) -> Result<ExitCode> {
    let mut build = cargo();
    build.args(["build", "--release", "-p", "vc-server", "--bin", "vc-server"]);
    build.args(["-p", "vc-bot", "--example", "bench_server"]).current_dir(&places.root);
    let built = artifact::build(&mut build)?;
    let mut bench = command(built.executable("bench_server", "example")?);
    bench.arg(built.executable("vc-server", "bin")?);
    bench.args(["--seconds", &args.seconds.to_string()]);
    args.announce();
    let report: Report = understood(&output(&mut bench)?, "server")?;
    ensure!(!report.parts.is_empty(), "the measurement measured nothing: report this");
    show(&report);
    if args.write {
        page::write(&places.root.join(PAGE), "server", &on_page(&report))?;
        println!("{PAGE} is written");
    }
    Ok(ExitCode::SUCCESS)
}

fn show(report: &Report) {
    println!("\n{} ×{}, kernel {}", report.cpu, report.processors, report.kernel);
    for part in &report.parts {
        println!("\n{}, medians of {} rounds", bold(&part.traffic), part.rounds);
        print!("{}", table(&part.head().each_ref().map(String::as_str), &part.cells()));
    }
    println!("\n{}", bold("what was exported"));
    print!("{}", table(&EXPORTS, &report.exports()));
}

fn on_page(report: &Report) -> String {
    let mut text = format!(
        "Taken by `cargo xtask bench server --seconds {}` on {} with {} processors, kernel {}.\n",
        report.seconds, report.cpu, report.processors, report.kernel
    );
    for part in &report.parts {
        let head = part.head();
        text += &format!(
            "\n### {}\n\nMedians of {} rounds.\n\n{}",
            part.traffic,
            part.rounds,
            page::table(&head.each_ref().map(String::as_str), &part.cells())
        );
    }
    text + "\n### What was exported\n\n" + &page::table(&EXPORTS, &report.exports())
}

impl Report {
    fn exports(&self) -> Vec<Vec<String>> {
        let cells = |part: &Part, row: &Row| {
            let counts = [row.spans, row.dropped_spans, row.records, row.dropped_records];
            let names = [part.traffic.clone(), row.telemetry.clone()];
            names.into_iter().chain(counts.map(|count| count.to_string())).collect()
        };
        let of_part = |part| {
            Part::rows_that_export(part).map(move |row| cells(part, row)).collect::<Vec<_>>()
        };
        self.parts.iter().flat_map(of_part).collect()
    }
}

impl Part {
    fn rows_that_export(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.records > 0)
    }

    fn head(&self) -> [String; 5] {
        let (unit, units) = match self.unit.as_str() {
            "delivery" => ("delivery", "deliveries".to_owned()),
            unit => (unit, format!("{unit}s")),
        };
        [
            "telemetry".to_owned(),
            format!("{units} a second"),
            "ratio".to_owned(),
            format!("CPU time of a {unit}, µs"),
            "ratio".to_owned(),
        ]
    }

    fn cells(&self) -> Vec<Vec<String>> {
        let row = |row: &Row| {
            vec![
                row.telemetry.clone(),
                format!("{:.0}", row.per_second.median),
                format!("{:.2}", row.per_second.ratio),
                format!("{:.1}", row.cpu_us.median),
                format!("{:.2}", row.cpu_us.ratio),
            ]
        };
        self.rows.iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let row = |telemetry: &str, per_second: f64, cpu: f64, exported: u64| {
            format!(
                r#"{{"telemetry":"{telemetry}","per_second":{{"median":{per_second},"ratio":0.5}},
                "cpu_us":{{"median":{cpu},"ratio":1.256}},"spans":{exported},"dropped_spans":1,
                "records":{exported},"dropped_records":2}}"#
            )
        };
        let rows = [row("off", 9000.4, 100.0, 0), row("on", 4500.0, 125.55, 7)].join(",");
        serde_json::from_str(&format!(
            r#"{{"kernel":"6.18.0","cpu":"A CPU","processors":2,"seconds":9,"parts":[
            {{"traffic":"REST","unit":"request","rounds":5,"rows":[{rows}]}},
            {{"traffic":"Gateway","unit":"delivery","rounds":5,"rows":[{rows}]}}]}}"#
        ))
        .unwrap()
    }

    #[test]
    fn rates_and_cpu_time_stand_beside_their_ratios() {
        let part = &report().parts[0];
        assert_eq!(part.head()[1], "requests a second");
        assert_eq!(part.cells()[1], ["on", "4500", "0.50", "125.5", "1.26"]);
        assert_eq!(report().parts[1].head()[1], "deliveries a second");
    }

    #[test]
    fn only_what_exports_stands_among_the_exports() {
        let exports = report().exports();
        assert_eq!(exports.len(), 2);
        assert_eq!(exports[0], ["REST", "on", "7", "1", "7", "2"]);
    }

    #[test]
    fn the_page_has_a_table_for_each_traffic() {
        let text = on_page(&report());
        assert!(text.contains("| telemetry | requests a second | ratio | CPU"), "{text}");
        assert!(text.contains("| --- | --: | --: | --: | --: |"), "{text}");
        assert_eq!(text.matches("\n### ").count(), 3);
    }
}
