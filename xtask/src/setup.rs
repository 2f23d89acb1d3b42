//! The set-up: what the other tasks need, fetched and built where it is missing.
//!
//! Each step looks first, so a second run changes nothing and takes a second.

mod apt;
mod collector;
mod go;
mod kernels;
mod linker;
mod packages;
mod playwright;
mod rust;
mod sentry;
mod tools;

use std::io::{Write, stdout};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::ValueEnum;

pub(crate) use kernels::{KERNELS, release, vmlinuz};
pub(crate) use tools::fuzz;

use crate::place::Places;
use crate::terminal::{bold, green, red, span};

/// What to set up.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these parts [default: all of them]
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// Look again for newer kernels than those in the cache
    #[arg(long)]
    refresh: bool,
}

/// One part of the set-up.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// The standard library's source, from which `core` is built for the eBPF target
    Rust,
    /// bpf-linker, on the LLVM of this rustc
    Linker,
    /// Packages of Debian or Ubuntu that the tests use
    Packages,
    /// Kernels for the matrix of `vm-test`
    Kernels,
    /// The OpenTelemetry Collector, which the server's tests send to
    Collector,
    /// Bugsink, which the server's tests send errors to as to Sentry
    Sentry,
    /// Playwright, by which the server's tests use Chromium
    Playwright,
    /// Cargo subcommands that the checks use
    Tools,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Linker => "linker",
            Self::Packages => "packages",
            Self::Kernels => "kernels",
            Self::Collector => "collector",
            Self::Sentry => "sentry",
            Self::Playwright => "playwright",
            Self::Tools => "tools",
        }
    }

    fn purpose(self) -> &'static str {
        match self {
            Self::Rust => "source of the standard library",
            Self::Linker => "bpf-linker on rustc's own LLVM",
            Self::Packages => "system packages for the tests",
            Self::Kernels => "kernels for the matrix",
            Self::Collector => "OpenTelemetry Collector",
            Self::Sentry => "Bugsink, a Sentry for the tests",
            Self::Playwright => "Playwright, to use Chromium",
            Self::Tools => "cargo-deny and sqlx-cli",
        }
    }
}

/// What a step found or did, in a few words.
pub(crate) enum Outcome {
    /// Nothing was to be done.
    Present(String),
    /// It is there now.
    Done(String),
}

/// Sets up what was asked for.
pub(crate) fn main(places: &Places, args: &Args) -> Result<ExitCode> {
    let all = Part::value_variants();
    ensure(places, if args.only.is_empty() { all } else { &args.only }, args.refresh)?;
    Ok(ExitCode::SUCCESS)
}

/// Brings these parts into place, and says of each what it does and how long it took.
pub(crate) fn ensure(places: &Places, parts: &[Part], refresh: bool) -> Result<()> {
    let start = Instant::now();
    println!("{}", bold("set-up"));
    for &part in parts {
        // Padded before it is shown, so that the outcome stands in one column.
        print!("  {:<10} {:<31} ", part.name(), part.purpose());
        stdout().flush()?;
        let begun = Instant::now();
        let outcome = match part {
            Part::Rust => rust::ensure(places),
            Part::Linker => linker::ensure(places),
            Part::Packages => packages::ensure(places),
            Part::Kernels => kernels::ensure(places, refresh),
            Part::Collector => collector::ensure(places),
            Part::Sentry => sentry::ensure(places),
            Part::Playwright => playwright::ensure(places),
            Part::Tools => tools::ensure(places),
        };
        match outcome {
            Ok(Outcome::Present(what)) => println!("already there: {what}"),
            Ok(Outcome::Done(what)) => {
                println!("{} in {}: {what}", green("done"), span(begun.elapsed()))
            }
            Err(error) => {
                println!("{} after {}", red("FAILED"), span(begun.elapsed()));
                return Err(error);
            }
        }
    }
    println!("  in all {}", span(start.elapsed()));
    Ok(())
}
