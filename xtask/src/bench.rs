//! `bench`: what the programs and the server cost, and how exact the figures are, measured on
//! this machine.

mod accuracy;
mod flows;
mod impact;
mod page;
mod replay;
mod report;
mod server;

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;

use crate::artifact::{self, Build};
use crate::command::{as_root, cargo, output};
use crate::place::Places;
use crate::setup::{self, Part};
use crate::terminal::{bold, green, red, table};
use report::Report;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Each eBPF program and the floor programs, in one run, against the budgets
    Kernel(Timed),
    /// The observer with full tables: memory, CPU time at rest, and how long a reading takes
    Flows(flows::Flows),
    /// What watching adds to the packets of a UDP and a TCP echo, and of a call by way of
    /// vc-server: the observer, the floor programs and tcpdump, in one run, against the budgets
    Impact(Timed),
    /// Calls of Chromium, Janus, GStreamer and baresip by paths that lose, delay and reorder:
    /// the observer's figures beside those of the receiver, tshark and the firewall
    Accuracy(accuracy::Accuracy),
    /// How fast a capture of a million packets is replayed, beside tshark on the same file; no
    /// root needed
    Replay(Timed),
    /// What telemetry costs vc-server: requests, messages that are delivered to a thousand
    /// connections, and voice that is passed on in rooms of 2, 10 and 50; no root needed
    Server(Timed),
}

/// How to measure what takes as long as one likes.
#[derive(clap::Args)]
pub(crate) struct Timed {
    /// How long, in all; more of it means more rounds
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Write the figures into docs/performance.md, those of the server into
    /// docs/server/performance.md
    #[arg(long)]
    write: bool,
}

/// Measures the server and a replay as anyone, and everything else as root.
pub(crate) fn main(places: &Places, args: &Args) -> Result<ExitCode> {
    if !matches!(args.what, What::Server(_)) {
        setup::ensure(places, &[Part::Rust, Part::Linker], false)?;
    }
    match &args.what {
        What::Kernel(args) => kernel(places, args),
        What::Flows(args) => flows::main(places, args),
        What::Impact(args) => impact::main(places, args),
        What::Accuracy(args) => accuracy::main(places, args),
        What::Replay(args) => replay::main(places, args),
        What::Server(args) => server::main(places, args),
    }
}

/// Builds binaries and examples of the observer for a measurement.
fn build(places: &Places, targets: &[&str]) -> Result<Build> {
    let mut build = cargo();
    build.args(["build", "--release", "-p", "observer"]).args(targets);
    // A stub has nothing to measure.
    build.env_remove("OBSERVER_EBPF").current_dir(&places.root);
    artifact::build(&mut build)
}

/// What a measurement printed.
fn understood<T: DeserializeOwned>(text: &str, bench: &str) -> Result<T> {
    serde_json::from_str(text).with_context(|| {
        format!("bench_{bench} said something unknown: mend xtask/src/bench or the example")
    })
}

impl Timed {
    fn announce(&self) {
        println!(
            "measuring for {} s; an idle machine gives figures that can be repeated",
            self.seconds
        );
    }
}

/// Fails when a budget is exceeded.
fn kernel(places: &Places, args: &Timed) -> Result<ExitCode> {
    let built = build(places, &["--example", "bench_kernel"])?;
    let mut bench = as_root(built.executable("bench_kernel", "example")?)?;
    bench.args(["--seconds", &args.seconds.to_string()]);
    args.announce();
    let report: Report = understood(&output(&mut bench)?, "kernel")?;
    ensure!(!report.verdicts.is_empty(), "the measurement judged nothing: report this");
    show(&report);
    if args.write {
        page::write(&places.root.join("docs/performance.md"), "kernel", &page::kernel(&report))?;
        println!("docs/performance.md is written");
    }
    let well = report.verdicts.iter().all(report::Verdict::holds);
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(report: &Report) {
    println!("\n{}, kernel {}", report.cpu, report.kernel);
    println!("\n{}", bold("one run of a program, by the kernel's own statistics"));
    print!("{}", table(&report::TIMED, &report.timed_rows()));
    println!("\n{}", bold("a packet's whole cost, in the sender's CPU time"));
    print!("{}", table(&report::WHOLE, &report.whole_rows()));
    println!("\n{}", bold("budgets"));
    let rows: Vec<Vec<String>> = report
        .verdicts
        .iter()
        .map(|verdict| {
            let mut row = verdict.row();
            row.push(if verdict.holds() { green("within") } else { red("EXCEEDED") });
            row
        })
        .collect();
    print!("{}", table(&report::BUDGETS, &rows));
}
