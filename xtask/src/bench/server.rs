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
const FLOORS: [&str; 7] = [
    "room",
    "listeners of a packet",
    "to receive, µs",
    "to send, µs",
    "floor of a packet, µs",
    "CPU time of a packet, µs",
    "ratio",
];

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
    /// What is counted: `request`, `delivery`, `packet`.
    unit: String,
    rounds: u64,
    rows: Vec<Row>,
    floor: Option<Floor>,
}

#[derive(Deserialize)]
struct Row {
    telemetry: String,
    per_second: Figure,
    delay: Option<Delay>,
    cpu_us: Figure,
    spans: u64,
    dropped_spans: u64,
    records: u64,
    dropped_records: u64,
}

#[derive(Deserialize)]
struct Delay {
    median_us: Figure,
    p99_us: Figure,
}

/// What of the CPU time of a packet is no server's.
#[derive(Deserialize)]
struct Floor {
    listeners: u64,
    receive_us: f64,
    send_us: f64,
    /// For one that is sent, with its share of what was received.
    whole_us: f64,
    server_us: f64,
    ratio: f64,
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
        print!("{}", table(&part.head(), &part.cells()));
    }
    println!("\n{}", bold("voice beside its floor"));
    print!("{}", table(&FLOORS, &report.floors()));
    println!("\n{}", bold("what was exported"));
    print!("{}", table(&EXPORTS, &report.exports()));
}

fn on_page(report: &Report) -> String {
    let mut text = format!(
        "Taken by `cargo xtask bench server --seconds {}` on {} with {} processors, kernel {}.\n",
        report.seconds, report.cpu, report.processors, report.kernel
    );
    for part in &report.parts {
        text += &format!(
            "\n### {}\n\nMedians of {} rounds.\n\n{}",
            part.traffic,
            part.rounds,
            page::table(&part.head(), &part.cells())
        );
    }
    text += "\n### Voice beside its floor\n\n";
    text += &page::table(&FLOORS, &report.floors());
    text + "\n### What was exported\n\n" + &page::table(&EXPORTS, &report.exports())
}

impl Report {
    fn floors(&self) -> Vec<Vec<String>> {
        let row = |part: &Part| {
            let floor = part.floor.as_ref()?;
            let times = [floor.receive_us, floor.send_us, floor.whole_us, floor.server_us];
            let mut row = vec![part.traffic.clone(), floor.listeners.to_string()];
            row.extend(times.map(|time| format!("{time:.2}")));
            row.push(format!("{:.2}", floor.ratio));
            Some(row)
        };
        self.parts.iter().filter_map(row).collect()
    }

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

    fn has_delays(&self) -> bool {
        self.rows.iter().all(|row| row.delay.is_some())
    }

    fn head(&self) -> Vec<&'static str> {
        let (rate, cpu) = match self.unit.as_str() {
            "request" => ("requests a second", "CPU time of a request, µs"),
            "delivery" => ("deliveries a second", "CPU time of a delivery, µs"),
            _ => ("packets a second", "CPU time of a packet, µs"),
        };
        let mut head = vec!["telemetry", rate, "ratio"];
        if self.has_delays() {
            head.extend(["forward delay, median, µs", "ratio", "99 %, µs", "ratio"]);
        }
        head.extend([cpu, "ratio"]);
        head
    }

    fn cells(&self) -> Vec<Vec<String>> {
        let row = |row: &Row| {
            let mut cells = vec![row.telemetry.clone(), format!("{:.0}", row.per_second.median)];
            cells.push(self.ratio(&row.per_second));
            for figure in row.delay.iter().flat_map(|delay| [&delay.median_us, &delay.p99_us]) {
                cells.extend([format!("{:.1}", figure.median), self.ratio(figure)]);
            }
            cells.extend([format!("{:.1}", row.cpu_us.median), self.ratio(&row.cpu_us)]);
            cells
        };
        self.rows.iter().map(row).collect()
    }

    /// Where telemetry may cost 2 %, two digits would not show whether it does.
    fn ratio(&self, figure: &Figure) -> String {
        if self.has_delays() {
            format!("{:.3}", figure.ratio)
        } else {
            format!("{:.2}", figure.ratio)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let delay = r#"{"median_us":{"median":70.25,"ratio":1.0},
            "p99_us":{"median":99.5,"ratio":1.0125}}"#;
        let row = |telemetry: &str, per_second: f64, cpu: f64, exported: u64, delay: &str| {
            format!(
                r#"{{"telemetry":"{telemetry}","per_second":{{"median":{per_second},"ratio":0.5}},
                "delay":{delay},"cpu_us":{{"median":{cpu},"ratio":1.256}},"spans":{exported},"dropped_spans":1,
                "records":{exported},"dropped_records":2}}"#
            )
        };
        let rows = |delay: &str| {
            [row("off", 9000.4, 100.0, 0, delay), row("on", 4500.0, 125.55, 7, delay)].join(",")
        };
        let (plain, voice) = (rows("null"), rows(delay));
        serde_json::from_str(&format!(
            r#"{{"kernel":"6.18.0","cpu":"A CPU","processors":2,"seconds":9,"parts":[
            {{"traffic":"REST","unit":"request","rounds":5,"rows":[{plain}],"floor":null}},
            {{"traffic":"Gateway","unit":"delivery","rounds":5,"rows":[{plain}],"floor":null}},
            {{"traffic":"Voice","unit":"packet","rounds":5,"rows":[{voice}],"floor":{{
            "listeners":9,"receive_us":4.5,"send_us":6.0,"whole_us":6.5,"server_us":7.8,
            "ratio":1.2}}}}]}}"#
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
    fn voice_has_delays_and_its_floor_besides() {
        let report = report();
        let part = &report.parts[2];
        assert_eq!(part.head()[3], "forward delay, median, µs");
        assert_eq!(
            part.cells()[1],
            ["on", "4500", "0.500", "70.2", "1.000", "99.5", "1.012", "125.5", "1.256"]
        );
        assert_eq!(report.floors(), [["Voice", "9", "4.50", "6.00", "6.50", "7.80", "1.20"]]);
    }

    #[test]
    fn only_what_exports_stands_among_the_exports() {
        let exports = report().exports();
        assert_eq!(exports.len(), 3);
        assert_eq!(exports[0], ["REST", "on", "7", "1", "7", "2"]);
    }

    #[test]
    fn the_page_has_a_table_for_each_traffic() {
        let text = on_page(&report());
        assert!(text.contains("| telemetry | requests a second | ratio | CPU"), "{text}");
        assert!(text.contains("| --- | --: | --: | --: | --: |"), "{text}");
        assert_eq!(text.matches("\n### ").count(), 5);
    }
}
