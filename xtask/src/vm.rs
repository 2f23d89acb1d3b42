//! `vm-test`: the kernel tests and `observer check`, on every kernel of the matrix and on the running one.
//!
//! The same two static binaries go everywhere. A kernel is right when its tests pass, when each
//! figure that they print (`figure NAME=VALUE`) is the same everywhere, and when `observer check`
//! says what the committed table `xtask/kernels.json` says.

mod check;
mod guest;
mod image;
mod verdict;

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

pub(crate) use check::Check;

use crate::artifact;
use crate::command::{as_root, cargo, last_lines, line, root_is_to_be_had, tee};
use crate::place::{self, Places};
use crate::setup::{self, KERNELS, Part, vmlinuz};
use crate::tally::Tally;
use crate::terminal::{bold, green, red, span, table};
use verdict::Report;

/// The kernel that this host runs.
const RUNNING: &str = "running";
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// Two cores are what the smallest machine for this work has.
const AT_ONCE: usize = 2;

/// Seconds for a guest. 6.1, whose verifier walks most, takes 200 of them where the machine is its
/// own, and three times as many beside two compilers.
const PATIENCE: u64 = 900;

/// What to boot.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this kernel: 5.10, 6.1, 6.12, newest or running [default: all of them]
    #[arg(long)]
    kernel: Vec<String>,
    /// Keep the guest's file system, and print how to boot it by hand
    #[arg(long)]
    keep: bool,
    /// Write what `observer check` says into xtask/kernels.json instead of comparing
    #[arg(long)]
    bless: bool,
    /// Seconds after which a guest is stopped and counts as failed
    #[arg(long, default_value_t = PATIENCE)]
    timeout: u64,
}

/// Sets up, and runs the matrix.
pub(crate) fn main(places: &Places, args: &Args) -> Result<ExitCode> {
    setup::ensure(places, &[Part::Rust, Part::Linker, Part::Packages, Part::Kernels], false)?;
    let tally = matrix(places, args)?;
    for skip in &tally.skipped {
        println!("skipped: {skip}");
    }
    Ok(if tally.failed > 0 || !tally.skipped.is_empty() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// The whole matrix, as `test` runs it.
pub(crate) fn all(places: &Places) -> Result<Tally> {
    matrix(places, &Args { kernel: Vec::new(), keep: false, bless: false, timeout: PATIENCE })
}

fn matrix(places: &Places, args: &Args) -> Result<Tally> {
    let kernels = chosen(&args.kernel)?;
    let binaries = Binaries::build(places)?;
    let dir = places.target.join("vm");
    let image = dir.join("initramfs.cpio");
    place::create(&dir)?;
    fs::write(&image, image::pack(&binaries.test, &binaries.observer)?)?;

    let mut reports = boot_all(places, &kernels, &image, Duration::from_secs(args.timeout))?;
    if kernels.contains(&RUNNING) {
        reports.push(if root_is_to_be_had() {
            on_this_host(&binaries)?
        } else {
            Report::without_root()
        });
    }
    let table_path = places.root.join("xtask/kernels.json");
    let releases: BTreeMap<String, String> = KERNELS
        .iter()
        .map(|(name, _)| ((*name).to_owned(), setup::release(places, name)))
        .collect();
    verdict::judge(&mut reports, &table_path, &releases, args.bless)?;
    print!("\n{}", summary(&reports));
    for report in &reports {
        for trouble in &report.troubles {
            println!("{} {}: {trouble}", red("FAILED"), report.kernel);
        }
        for note in &report.notes {
            println!("note {}: {note}", report.kernel);
        }
    }
    if args.keep {
        for kernel in kernels.iter().filter(|kernel| **kernel != RUNNING) {
            println!(
                "boot {kernel} by hand: {}",
                line(&guest::qemu(&vmlinuz(places, kernel), &image))
            );
        }
    } else {
        fs::remove_file(&image)?;
    }
    let mut sum = Tally::default();
    for report in &reports {
        sum.add(&report.tally);
        // Tests that failed are counted as such; any other trouble is one failure more.
        sum.failed += u64::from(!report.troubles.is_empty() && report.tally.failed == 0);
    }
    Ok(sum)
}

fn chosen(names: &[String]) -> Result<Vec<&'static str>> {
    let all: Vec<&str> = KERNELS.iter().map(|(name, _)| *name).chain([RUNNING]).collect();
    if let Some(unknown) = names.iter().find(|name| !all.contains(&name.as_str())) {
        bail!("there is no kernel `{unknown}` in the matrix: choose from {}", all.join(", "));
    }
    Ok(all
        .into_iter()
        .filter(|kernel| names.is_empty() || names.iter().any(|name| name == kernel))
        .collect())
}

/// The two static binaries that run on every kernel.
struct Binaries {
    test: PathBuf,
    observer: PathBuf,
}

impl Binaries {
    fn build(places: &Places) -> Result<Self> {
        let build = |arguments: &[&str]| {
            let mut cargo = cargo();
            cargo.args(arguments).args(["-p", "observer", "--release", "--target", TARGET]);
            // As a setting of that target alone, and in a folder of its own: neither the eBPF
            // object nor the developer's own build ever sees the flag.
            cargo
                .arg("--config")
                .arg(format!("target.{TARGET}.rustflags=[\"-Ctarget-feature=+crt-static\"]"));
            cargo.arg("--target-dir").arg(places.target.join("vm"));
            cargo
                .env_remove("RUSTFLAGS")
                .env_remove("CARGO_ENCODED_RUSTFLAGS")
                .env_remove("OBSERVER_EBPF");
            artifact::build(cargo.current_dir(&places.root))
        };
        println!("{}", bold("static binaries"));
        let begun = Instant::now();
        let observer = build(&["build", "--bin", "observer"])?;
        let test = build(&["test", "--test", "kernel", "--no-run"])?;
        println!("  built in {}", span(begun.elapsed()));
        Ok(Self {
            test: test.executable("kernel", "test")?.clone(),
            observer: observer.executable("observer", "bin")?.clone(),
        })
    }
}

fn boot_all(
    places: &Places,
    kernels: &[&str],
    image: &Path,
    limit: Duration,
) -> Result<Vec<Report>> {
    let queue: Mutex<VecDeque<&str>> =
        Mutex::new(kernels.iter().copied().filter(|name| *name != RUNNING).collect());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let work = || {
        let mut reports = Vec::new();
        while let Some(kernel) = next() {
            reports.push(boot(places, kernel, image, limit)?);
        }
        anyhow::Ok(reports)
    };
    let mut reports = Vec::new();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            reports.extend(
                worker
                    .join()
                    .unwrap_or_else(|_| bail!("a thread of vm-test panicked: report this"))?,
            );
        }
        anyhow::Ok(())
    })?;
    reports.sort_by_key(|report| kernels.iter().position(|name| *name == report.kernel));
    Ok(reports)
}

fn boot(places: &Places, kernel: &str, image: &Path, limit: Duration) -> Result<Report> {
    let vmlinuz = vmlinuz(places, kernel);
    let boot = guest::boot(guest::qemu(&vmlinuz, image), limit)?;
    let log = places.target.join("vm").join(format!("console-{kernel}.log"));
    fs::write(&log, &boot.console)?;
    let report = Report::of_guest(kernel, &boot);
    if report.troubles.is_empty() {
        println!("  {kernel:<8} {} in {}", green("ran"), span(boot.whole));
    } else {
        // Together, so that two guests do not mix their lines.
        let tail = last_lines(&boot.console, 40);
        println!(
            "  {kernel:<8} {} after {}; its last lines (all: {}):\n{tail}",
            red("FAILED"),
            span(boot.whole),
            log.display()
        );
    }
    Ok(report)
}

fn on_this_host(binaries: &Binaries) -> Result<Report> {
    println!("{}", bold("this host's kernel"));
    let begun = Instant::now();
    let mut tally = Tally::default();
    let mut test = as_root(&binaries.test)?;
    test.args(["--test-threads=1", "--nocapture"]);
    let status = tee(&mut test, |line| tally.line(RUNNING, line))?;
    let check = Check::ask(&binaries.observer)?;
    Ok(Report::of_host(RUNNING, tally, status.success(), check, begun.elapsed()))
}

fn summary(reports: &[Report]) -> String {
    let rows: Vec<Vec<String>> = reports
        .iter()
        .map(|report| {
            let verdict = match (&report.troubles[..], &report.tally.skipped[..]) {
                ([], []) => green("ok"),
                ([], _) => "skipped".into(),
                _ => red("FAILED"),
            };
            vec![
                report.kernel.clone(),
                report.release.clone(),
                report.boot.map_or_else(|| "-".into(), |time| format!("{:.1}", time.as_secs_f64())),
                format!("{:.1}", report.whole.as_secs_f64()),
                format!("{} passed, {} failed", report.tally.passed, report.tally.failed),
                report.tally.figures.len().to_string(),
                verdict,
            ]
        })
        .collect();
    table(&["kernel", "release", "boot s", "all s", "tests", "figures", "verdict"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_kernel_is_refused_with_the_choice() {
        assert_eq!(chosen(&["6.1".into()]).unwrap(), ["6.1"]);
        assert_eq!(chosen(&[]).unwrap().len(), KERNELS.len() + 1);
        let error = chosen(&["4.19".into()]).unwrap_err().to_string();
        assert!(error.contains("4.19") && error.contains("newest"), "{error}");
    }
}
