//! `bench flows`: the observer with so many flows and connections in its tables.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use serde::Deserialize;

use crate::command::{as_root, output};
use crate::place::Places;
use crate::terminal::{bold, table};

use super::{build, page, understood};

/// How to measure.
#[derive(clap::Args)]
pub(crate) struct Flows {
    /// Write the figures into docs/performance.md
    #[arg(long)]
    write: bool,
}

const HEAD: [&str; 5] =
    ["voice flows", "connections", "a reading, ms", "CPU at rest, %", "memory, MiB"];

/// What the measurement prints.
#[derive(Deserialize)]
struct Report {
    kernel: String,
    cpu: String,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    entries: u64,
    reading_ms: f64,
    cpu_percent: f64,
    memory_mib: f64,
}

/// Measures as root.
pub(super) fn main(places: &Places, args: &Flows) -> Result<ExitCode> {
    let built = build(places, &["--bin", "observer", "--example", "bench_flows"])?;
    let mut bench = as_root(built.executable("bench_flows", "example")?)?;
    bench.arg(built.executable("observer", "bin")?);
    println!("measuring for half a minute; an idle machine gives figures that can be repeated");
    let report: Report = understood(&output(&mut bench)?, "flows")?;
    ensure!(!report.rows.is_empty(), "the measurement measured nothing: report this");
    let rows: Vec<_> = report.rows.iter().map(Row::cells).collect();
    println!("\n{}, kernel {}\n\n{}", report.cpu, report.kernel, bold("the observer at rest"));
    print!("{}", table(&HEAD, &rows));
    if args.write {
        let figures = format!(
            "Taken by `cargo xtask bench flows` on {}, kernel {}.\n\n{}",
            report.cpu,
            report.kernel,
            page::table(&HEAD, &rows)
        );
        page::write(&places.root.join("docs/performance.md"), "flows", &figures)?;
        println!("docs/performance.md is written");
    }
    Ok(ExitCode::SUCCESS)
}

impl Row {
    fn cells(&self) -> Vec<String> {
        vec![
            self.entries.to_string(),
            self.entries.to_string(),
            format!("{:.1}", self.reading_ms),
            format!("{:.1}", self.cpu_percent),
            format!("{:.1}", self.memory_mib),
        ]
    }
}
