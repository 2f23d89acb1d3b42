//! `bench replay`: how fast a capture is replayed, beside tshark.

use std::process::ExitCode;

use anyhow::Result;
use serde::Deserialize;

use crate::artifact;
use crate::command::{cargo, output};
use crate::place::Places;
use crate::terminal::{bold, green, red, table};

use super::{Timed, page, understood};

const HEAD: [&str; 4] =
    ["program", "packets a second", "peak memory, MiB", "of a tenth of the packets"];

/// How many times as fast as tshark it has to be.
const BUDGET: f64 = 10.0;

/// What the measurement prints.
#[derive(Deserialize)]
struct Report {
    kernel: String,
    cpu: String,
    seconds: u64,
    rounds: u64,
    flows: u64,
    packets: u64,
    file_bytes: u64,
    ours: Figures,
    tshark: Figures,
    ratio: f64,
}

#[derive(Deserialize)]
struct Figures {
    packets_per_second: f64,
    peak_mib: f64,
    peak_mib_of_few: f64,
}

/// Measures as anyone; fails when it is not fast enough.
pub(super) fn main(places: &Places, args: &Timed) -> Result<ExitCode> {
    let mut build = cargo();
    build.args(["build", "--release", "-p", "observer"]);
    build.args(["--bin", "observer", "--example", "bench_replay"]).current_dir(&places.root);
    let built = artifact::build(&mut build)?;
    let mut bench = std::process::Command::new(built.executable("bench_replay", "example")?);
    bench.arg(built.executable("observer", "bin")?);
    bench.args(["--seconds", &args.seconds.to_string()]);
    args.announce();
    let report: Report = understood(&output(&mut bench)?, "replay")?;
    println!("\n{}, kernel {}\n{}", report.cpu, report.kernel, report.sentence());
    println!("\n{}", bold("a capture, by CPU time"));
    print!("{}", table(&HEAD, &report.rows()));
    let holds = report.ratio >= BUDGET;
    let verdict = if holds { green("held") } else { red("MISSED") };
    println!("\n{:.1} times as fast as tshark, budget {BUDGET:.0}: {verdict}", report.ratio);
    if args.write {
        page::write(&places.root.join("docs/performance.md"), "replay", &report.on_page())?;
        println!("docs/performance.md is written");
    }
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Report {
    fn sentence(&self) -> String {
        format!(
            "{} packets of {} calls, {} MB; medians of {} rounds.",
            self.packets,
            self.flows,
            self.file_bytes / 1_000_000,
            self.rounds
        )
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |program: &str, figures: &Figures| {
            vec![
                program.to_owned(),
                format!("{:.0}", figures.packets_per_second),
                format!("{:.1}", figures.peak_mib),
                format!("{:.1}", figures.peak_mib_of_few),
            ]
        };
        vec![row("observer replay", &self.ours), row("tshark -q -z rtp,streams", &self.tshark)]
    }

    fn on_page(&self) -> String {
        format!(
            "Taken by `cargo xtask bench replay --seconds {}` on {}, kernel {}. {}\n\n{}\n\
             The observer is {:.1} times as fast as tshark; the budget is {BUDGET:.0}.\n",
            self.seconds,
            self.cpu,
            self.kernel,
            self.sentence(),
            page::table(&HEAD, &self.rows()),
            self.ratio
        )
    }
}
