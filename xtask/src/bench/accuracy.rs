//! `bench accuracy`: what the observer says of calls, beside what everybody else says.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use serde::Deserialize;

use crate::command::{as_root, output};
use crate::place::Places;
use crate::setup::{self, Part};
use crate::terminal::{bold, green, red, table};

use super::{build, page, understood};

const PAGE: &str = "docs/accuracy.md";

/// How far a time may lie from its judge's, as a share of it, or in ms, whichever is more.
/// tshark looks where the observer does. A browser has its own process to look from, and
/// tells whole milliseconds.
const BY_TSHARK: (f64, f64) = (0.05, 0.05);
const BY_BROWSER: (f64, f64) = (0.2, 2.0);

const COUNTS: [&str; 9] = [
    "call",
    "path",
    "packets",
    "by getStats",
    "by tshark",
    "lost",
    "by getStats",
    "by tshark",
    "dropped by nft",
];
const TIMES: [&str; 8] = [
    "call",
    "path",
    "mean jitter",
    "by tshark's times",
    "median jitter",
    "by getStats",
    "median round trip",
    "by getStats",
];

/// How to measure.
#[derive(clap::Args)]
pub(crate) struct Accuracy {
    /// Readings of each call, 100 ms apart
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(60..=250))]
    samples: u32,
    /// Write the figures into docs/accuracy.md
    #[arg(long)]
    write: bool,
}

/// What the measurement prints.
#[derive(Deserialize)]
struct Report {
    kernel: String,
    cpu: String,
    versions: Vec<String>,
    samples: u64,
    rows: Vec<Row>,
}

/// One stream.
#[derive(Deserialize)]
struct Row {
    who: String,
    path: String,
    packets: Judged,
    lost: Judged,
    dropped: i64,
    reordered: u64,
    mean_jitter_ms: Pair,
    jitter_ms: Option<Pair>,
    rtt_ms: Option<Pair>,
    /// What the observer says that it could not count.
    uncounted: Vec<String>,
}

#[derive(Deserialize)]
struct Judged {
    ours: i64,
    receiver: Option<i64>,
    tshark: i64,
}

#[derive(Deserialize)]
struct Pair {
    ours: Option<f64>,
    theirs: f64,
}

/// Measures as root; fails when a judge does not agree.
pub(super) fn main(places: &Places, args: &Accuracy) -> Result<ExitCode> {
    setup::ensure(places, &[Part::Packages], false)?;
    let built = build(places, &["--bin", "observer", "--example", "bench_accuracy"])?;
    let mut bench = as_root(built.executable("bench_accuracy", "example")?)?;
    bench.arg(built.executable("observer", "bin")?);
    bench.args(["--samples", &args.samples.to_string()]);
    println!("calling for some minutes; an idle machine gives figures that can be repeated");
    let report: Report = understood(&output(&mut bench)?, "accuracy")?;
    ensure!(!report.rows.is_empty(), "the measurement measured nothing: report this");
    show(&report);
    if args.write {
        page::write(&places.root.join(PAGE), "accuracy", &on_page(&report))?;
        println!("{PAGE} is written");
    }
    let well = report.rows.iter().all(|row| row.doubts().is_empty());
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(report: &Report) {
    println!("\n{}, kernel {}; {}", report.cpu, report.kernel, report.versions.join(", "));
    println!("\n{}", bold("packets"));
    print!("{}", table(&COUNTS, &report.counts()));
    println!("\n{}, in ms", bold("times"));
    print!("{}", table(&TIMES, &report.times()));
    for row in &report.rows {
        let doubts = row.doubts();
        let verdict = if doubts.is_empty() {
            green("agree")
        } else {
            format!("{}; uncounted: {}", red(&doubts.join(", ")), row.uncounted.join(", "))
        };
        println!("{}, {}: {verdict}", row.who, row.path);
    }
}

fn on_page(report: &Report) -> String {
    format!(
        "Taken by `cargo xtask bench accuracy --samples {}` on {}, kernel {}, with {}.\n\n\
         ### Packets\n\n{}\n\
         ### Times, in ms\n\nMedians are of {} readings, 100 ms apart.\n\n{}",
        report.samples,
        report.cpu,
        report.kernel,
        report.versions.join(", "),
        page::table(&COUNTS, &report.counts()),
        report.samples,
        page::table(&TIMES, &report.times()),
    )
}

impl Report {
    fn counts(&self) -> Vec<Vec<String>> {
        let row = |row: &Row| {
            let mut cells = vec![row.who.clone(), row.path.clone()];
            for judged in [&row.packets, &row.lost] {
                let receiver = judged.receiver.map_or("-".to_owned(), |count| count.to_string());
                cells.extend([judged.ours.to_string(), receiver, judged.tshark.to_string()]);
            }
            cells.push(row.dropped.to_string());
            cells
        };
        self.rows.iter().map(row).collect()
    }

    fn times(&self) -> Vec<Vec<String>> {
        let row = |row: &Row| {
            let mut cells = vec![row.who.clone(), row.path.clone()];
            cells.extend(Pair::cells(Some(&row.mean_jitter_ms), 3));
            cells.extend(Pair::cells(row.jitter_ms.as_ref(), 1));
            cells.extend(Pair::cells(row.rtt_ms.as_ref(), 1));
            cells
        };
        self.rows.iter().map(row).collect()
    }
}

impl Row {
    /// What a judge says otherwise.
    fn doubts(&self) -> Vec<&'static str> {
        let out_of_order = self.reordered > 0;
        let agree = |pair: Option<&Pair>, within| pair.is_none_or(|pair| pair.agrees(within));
        let lost = self.lost.agrees() && self.lost.ours == self.dropped;
        [
            ("packets", self.packets.agrees()),
            ("losses", lost),
            ("mean jitter", agree(Some(&self.mean_jitter_ms), BY_TSHARK)),
            // Chromium leaves out packets that were overtaken, and RFC 3550 does not.
            ("median jitter", out_of_order || agree(self.jitter_ms.as_ref(), BY_BROWSER)),
            ("round trip", agree(self.rtt_ms.as_ref(), BY_BROWSER)),
        ]
        .into_iter()
        .filter(|(_, well)| !well)
        .map(|(what, _)| what)
        .collect()
    }
}

impl Judged {
    fn agrees(&self) -> bool {
        self.ours == self.tshark && self.receiver.is_none_or(|count| count == self.ours)
    }
}

impl Pair {
    /// What is not known contradicts nobody; the page shows that it is missing.
    fn agrees(&self, (share, least): (f64, f64)) -> bool {
        let far = |ours: f64| (ours - self.theirs).abs() > (self.theirs * share).max(least);
        !self.ours.is_some_and(far)
    }

    fn cells(pair: Option<&Self>, digits: usize) -> [String; 2] {
        let cell = |ms: Option<f64>| ms.map_or("-".to_owned(), |ms| format!("{ms:.digits$}"));
        [cell(pair.and_then(|pair| pair.ours)), cell(pair.map(|pair| pair.theirs))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(lost: &str, jitter: f64, reordered: u64) -> Row {
        serde_json::from_str(&format!(
            r#"{{"who":"A → B","path":"3 % lost","packets":{{"ours":97,"receiver":97,"tshark":97}},
            "lost":{lost},"dropped":3,"reordered":{reordered},
            "mean_jitter_ms":{{"ours":2.0,"theirs":2.04}},
            "jitter_ms":{{"ours":{jitter},"theirs":10.0}},
            "rtt_ms":{{"ours":null,"theirs":60.0}},"uncounted":[]}}"#
        ))
        .unwrap()
    }

    #[test]
    fn who_says_otherwise_is_named() {
        let same = r#"{"ours":3,"receiver":3,"tshark":3}"#;
        assert_eq!(row(same, 11.9, 0).doubts(), [""; 0]);
        assert_eq!(row(same, 12.1, 0).doubts(), ["median jitter"]);
        assert_eq!(row(same, 12.1, 1).doubts(), [""; 0]);
        for other in [
            r#"{"ours":2,"receiver":2,"tshark":2}"#,
            r#"{"ours":3,"receiver":2,"tshark":3}"#,
            r#"{"ours":3,"receiver":null,"tshark":4}"#,
        ] {
            assert_eq!(row(other, 10.0, 0).doubts(), ["losses"], "{other}");
        }
    }

    #[test]
    fn what_is_not_known_is_no_number() {
        let report = Report {
            kernel: String::new(),
            cpu: String::new(),
            versions: Vec::new(),
            samples: 200,
            rows: vec![row(r#"{"ours":3,"receiver":null,"tshark":3}"#, 9.5, 0)],
        };
        let counts = ["A → B", "3 % lost", "97", "97", "97", "3", "-", "3", "3"];
        assert_eq!(report.counts(), [counts.map(str::to_owned)]);
        let times = ["A → B", "3 % lost", "2.000", "2.040", "9.5", "10.0", "-", "60.0"];
        assert_eq!(report.times(), [times.map(str::to_owned)]);
    }
}
