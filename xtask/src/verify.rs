//! `verify`: checks that take longer than `test` may.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::command::{cargo, line, output};
use crate::place::{self, Places};
use crate::setup;
use crate::terminal::{bold, green, red, span};

/// What to verify.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The check; without it, the list of them
    name: Option<String>,
    /// How long each fuzz target runs
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

const CHECKS: [(&str, &str); 1] =
    [("fuzz", "every target of observer/fuzz, with the address sanitizer, for --seconds each")];

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
        Some(other) => bail!("there is no check `{other}`: `cargo xtask verify` lists them"),
    }
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
