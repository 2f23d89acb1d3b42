//! `test`: every test there is, in one command, with nothing skipped in silence.

mod part;

use std::env;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use crate::artifact;
use crate::command::{as_root, cargo, command, root_is_to_be_had};
use crate::place::Places;
use crate::setup::{self, Part as SetupPart};
use crate::tally::Tally;
use crate::terminal::{bold, green, red, span};
use crate::vm;
use part::{Part, tests_of};

/// What to leave out.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Without the kernel matrix
    #[arg(long)]
    no_vm: bool,
    /// Do not fail when a test could not run (ignored where CI=true)
    #[arg(long)]
    allow_skips: bool,
}

/// Sets up what the tests need, and runs them all.
pub(crate) fn main(places: &Places, args: &Args) -> Result<ExitCode> {
    let begun = Instant::now();
    // The tools are no part of it: `.ci/run` sets them up.
    let mut needed = vec![SetupPart::Rust, SetupPart::Linker, SetupPart::Packages];
    needed.extend([SetupPart::Collector, SetupPart::Sentry, SetupPart::Playwright]);
    if !args.no_vm {
        needed.push(SetupPart::Kernels);
    }
    setup::ensure(places, &needed, false)?;

    let mut parts = Vec::new();
    parts.push(Part::run("unit tests", |tally| unit(places, tally)));
    if places.root.join("scripts/check_docs_governance.py").is_file() {
        parts.push(Part::run("documentation", |tally| documentation(places, tally)));
    }
    parts.push(Part::run("server tests", |tally| server(places, tally)));
    parts.push(Part::run("privileged tests", |tally| privileged(places, tally)));
    parts.push(Part::run("demo", |tally| demo(places, tally)));
    if !args.no_vm {
        parts.push(Part::run("kernel matrix", |tally| {
            let matrix = vm::all(places)?;
            tally.add(&matrix);
            Ok(())
        }));
    }

    let strict = !args.allow_skips || env::var_os("CI").is_some_and(|value| value == "true");
    println!("\n{}", bold("summary"));
    let mut sum = Tally::default();
    for part in &parts {
        let verdict = if part.well() { green("ok") } else { red("FAILED") };
        let tally = &part.tally;
        println!(
            "  {:<17} {:<6} {} passed, {} failed, {} skipped in {}",
            part.name,
            verdict,
            tally.passed,
            tally.failed,
            tally.skipped.len(),
            span(part.time)
        );
        if let Some(error) = &part.error {
            println!("    {error:#}");
        }
        sum.add(tally);
    }
    println!("  in all {}", span(begun.elapsed()));
    println!("{} skipped", sum.skipped.len());
    for skip in &sum.skipped {
        println!("  {skip}");
    }
    let well = parts.iter().all(Part::well) && (sum.skipped.is_empty() || !strict);
    if !sum.skipped.is_empty() && strict {
        println!(
            "a skipped test fails this run: mend the reason, or give --allow-skips where CI is not set"
        );
    }
    println!("{} passed, {} failed, {} skipped", sum.passed, sum.failed, sum.skipped.len());
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Tests beside the code and in its documentation; they need no privileges.
fn unit(places: &Places, tally: &mut Tally) -> Result<()> {
    for (from, kind) in [("unit", &["--lib", "--bins"][..]), ("doc", &["--doc"])] {
        let mut test = cargo();
        // Without the kernel's side: on the host it is an empty program.
        test.args(["test", "--workspace", "--exclude", "observer-ebpf", "--no-fail-fast"])
            .args(kind);
        tests_of(tally, from, test.current_dir(&places.root))?;
    }
    Ok(())
}

fn documentation(places: &Places, tally: &mut Tally) -> Result<()> {
    let mut gate = command("python3");
    gate.arg("scripts/check_docs_governance.py").current_dir(&places.root);
    part::check(tally, "check_docs_governance.py", &mut gate)?;
    // By way of a shell, because unittest writes its results to standard error.
    let discover = "exec python3 -m unittest discover -s scripts -p 'test_*.py' 2>&1";
    tests_of(tally, "scripts", command("sh").args(["-c", discover]).current_dir(&places.root))
}

/// The chat server's integration tests; they need no privileges.
fn server(places: &Places, tally: &mut Tally) -> Result<()> {
    let mut test = cargo();
    // Where its tests find the collector, Bugsink and Playwright.
    test.env("OBSERVER_CACHE", &places.cache);
    test.args(["test", "-p", "vc-server", "--test", "*", "--", "--nocapture"]);
    tests_of(tally, "server", test.current_dir(&places.root))
}

/// The observer's integration tests, each as root.
fn privileged(places: &Places, tally: &mut Tally) -> Result<()> {
    let crate_dir = places.root.join("observer");
    let sources = std::fs::read_dir(crate_dir.join("tests")).into_iter().flatten().flatten();
    if !sources
        .into_iter()
        .any(|entry| entry.path().extension().is_some_and(|ending| ending == "rs"))
    {
        return Ok(());
    }
    let mut build = cargo();
    build.args(["test", "-p", "observer", "--test", "*", "--no-run"]).current_dir(&places.root);
    let built = artifact::build(&mut build)?;
    let tests = built.executables.iter().filter(|one| one.kind == "test");
    let mut build = cargo();
    build.args(["build", "-p", "vc-server", "--bin", "vc-server"]).current_dir(&places.root);
    let server = artifact::build(&mut build)?;
    let server = server.executable("vc-server", "bin")?;
    let root = root_is_to_be_had();
    for test in tests {
        if !root {
            tally.skipped.push(format!("{}: no root is to be had", test.name));
            continue;
        }
        println!("{} as root", bold(&test.name));
        // The variables by way of `env`, because sudo may be told to drop them.
        let mut run = as_root("env")?;
        run.arg(format!("CARGO_MANIFEST_DIR={}", crate_dir.display()));
        run.arg(format!("OBSERVER_CACHE={}", places.cache.display()));
        run.arg(format!("VC_SERVER_PROGRAM={}", server.display())).arg(&test.path);
        run.args(["--test-threads=1", "--nocapture"]).current_dir(&crate_dir);
        tests_of(tally, &test.name, &mut run)?;
    }
    Ok(())
}

/// `run --demo` as a newcomer types it, with programs that the build of the unit tests has made
/// all but the last step of.
fn demo(places: &Places, tally: &mut Tally) -> Result<()> {
    if !root_is_to_be_had() {
        tally.skipped.push("demo: no root is to be had".to_owned());
        return Ok(());
    }
    let mut build = cargo();
    // With a test among them and the same packages, the features are those of the unit tests.
    build.args(["build", "--workspace", "--exclude", "observer-ebpf", "--test", "demo"]);
    build.args(["--bin", "observer", "--bin", "vc-server", "--bin", "vc-bot"]);
    let built = artifact::build(build.current_dir(&places.root))?;
    let mut run = command(built.executable("demo", "test")?);
    run.env("DEMO_PROGRAMS", built.executable("observer", "bin")?.with_file_name(""));
    run.args(["--test-threads=1", "--nocapture"]).current_dir(&places.root);
    tests_of(tally, "demo", &mut run)
}
