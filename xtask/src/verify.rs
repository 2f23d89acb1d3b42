//! `verify`: checks that take longer than `test` may.

mod voice;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::artifact;
use crate::command::{as_root, cargo, line, output};
use crate::place::{self, Places};
use crate::setup::{self, Part};
use crate::terminal::{bold, green, red, span};

/// What to verify.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The check; without it, the list of them
    name: Option<String>,
    /// How long each fuzz target runs
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// How long there is churn [default: 20; for voice 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    minutes: Option<u32>,
}

const CHECKS: [(&str, &str); 3] = [
    ("fuzz", "every target of observer/fuzz, with the address sanitizer, for --seconds each"),
    (
        "churn",
        "the observer, while flows, connections, processes and namespaces come and go, for --minutes",
    ),
    (
        "voice",
        "vc-server, while people come to voice rooms and go, beside a call that goes on, for --minutes",
    ),
];

/// Runs one check, or lists them.
pub(crate) fn main(places: &Places, args: &Args) -> Result<ExitCode> {
    match args.name.as_deref() {
        None => {
            println!("cargo xtask verify NAME, where NAME is");
            for (name, purpose) in CHECKS {
                println!("  {name:<10} {purpose}");
            }
            Ok(ExitCode::SUCCESS)
        }
        Some("fuzz") => fuzz(places, args.seconds),
        Some("churn") => churn(places, args.minutes.unwrap_or(20)),
        Some("voice") => voice::main(places, args.minutes.unwrap_or(1)),
        Some(other) => bail!("there is no check `{other}`: `cargo xtask verify` lists them"),
    }
}

/// Has the observer run for real, as root, and judges what stays of what came and went.
fn churn(places: &Places, minutes: u32) -> Result<ExitCode> {
    setup::ensure(places, &[Part::Rust, Part::Linker], false)?;
    let mut build = cargo();
    build.args(["build", "--release", "-p", "observer", "--bin", "observer", "--example", "churn"]);
    // A stub observes nothing.
    build.env_remove("OBSERVER_EBPF").current_dir(&places.root);
    let built = artifact::build(&mut build)?;
    let mut run = as_root(built.executable("churn", "example")?)?;
    run.arg(built.executable("observer", "bin")?);
    run.arg("--seconds").arg((u64::from(minutes) * 60).to_string());
    let status = run.status().with_context(|| format!("cannot start `{}`", line(&run)))?;
    println!("{} {}", bold("churn"), if status.success() { green("ok") } else { red("FAILED") });
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn fuzz(places: &Places, seconds: u32) -> Result<ExitCode> {
    let dir = places.root.join("observer/fuzz");
    ensure!(
        dir.join("Cargo.toml").is_file(),
        "{} holds no fuzz targets: add one with cargo-fuzz",
        dir.display()
    );
    setup::fuzz(places)?;
    let cargo_fuzz = |verb: &str| {
        let mut fuzz = cargo();
        fuzz.args(["fuzz", verb, "--fuzz-dir"]).arg(&dir).current_dir(&places.root);
        // The sanitizer's flags are unstable ones; its run-time library comes with every toolchain.
        fuzz.env("RUSTC_BOOTSTRAP", "1").env("OBSERVER_EBPF", "stub");
        fuzz
    };
    let list = output(&mut cargo_fuzz("list"))
        .context("cannot list the fuzz targets: mend observer/fuzz/Cargo.toml")?;
    let targets: Vec<&str> = list.lines().map(str::trim).filter(|name| !name.is_empty()).collect();
    ensure!(
        !targets.is_empty(),
        "observer/fuzz/Cargo.toml names no target: a run of nothing proves nothing"
    );

    let mut failed = 0;
    let mut lines = Vec::new();
    for target in targets {
        let mut run = cargo_fuzz("run");
        // What it finds goes beside the build; what is committed is only read.
        let found = places.target.join("fuzz-corpus").join(target);
        place::create(&found)?;
        run.arg(target).arg(&found);
        let seeds = dir.join("corpus").join(target);
        run.args(seeds.is_dir().then_some(&seeds));
        run.arg("--").arg(format!("-max_total_time={seconds}"));
        let begun = Instant::now();
        println!("{} {}", bold(target), line(&run));
        let well = run
            .status()
            .context("cannot start cargo fuzz: cargo install --locked cargo-fuzz")?
            .success();
        failed += u32::from(!well);
        let verdict = if well { green("ok") } else { red("FAILED") };
        lines.push(format!("  {target:<16} {verdict} in {}", span(begun.elapsed())));
    }
    println!("{}\n{}", bold("fuzz"), lines.join("\n"));
    if failed > 0 {
        println!("make each crash above a named test, then mend what it found");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
