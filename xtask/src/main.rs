//! Set-up, build, run, test, kernel matrix, benchmarks and tidiness of this workspace.

mod artifact;
mod bench;
mod command;
mod object_file;
mod place;
mod queries;
mod run;
mod setup;
mod tally;
mod terminal;
mod test;
mod tidy;
mod verify;
mod vm;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::place::Places;

/// Everything a developer and CI do here, each as one command.
///
/// Two of them are enough to start with: `cargo xtask run` observes this host,
/// `cargo xtask test` runs every test. Both set up first what they need.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

const AFTER_HELP: &str = "\
Environment:
  OBSERVER_CACHE          where kernels, tools and logs of the set-up are kept
                          (else $XDG_CACHE_HOME/observer-dev, ~/.cache/observer-dev)
  OBSERVER_DEBIAN_MIRROR  a Debian mirror, where apt does not know one (Ubuntu)
  NO_COLOR                no colours

Exit code: 0 when all is well, 1 when something failed, 2 for a wrong command line.";

#[derive(Subcommand)]
enum Task {
    /// Fetch and build what the other tasks need; changes nothing that is already right
    Setup(setup::Args),
    /// Build the eBPF object as `observer/build.rs` does, and describe its programs
    BuildEbpf,
    /// Build the observer and observe this host (asks sudo for what needs it); `--demo` adds a call
    Run(run::Args),
    /// Run a program that ends when standard input does: `run --demo` is made of these
    #[command(hide = true)]
    Guard(run::guard::Args),
    /// Run every test: unit, documentation, privileged, and the kernel matrix
    Test(test::Args),
    /// Boot each kernel of the matrix and run the kernel tests in it
    VmTest(vm::Args),
    /// Measure what the programs cost, against their budgets
    Bench(bench::Args),
    /// Write what sqlx knows of the server's queries, or check it
    Queries(queries::Args),
    /// Check the rules of the house that no compiler checks
    Tidy,
    /// What takes longer than `test` may; without a name, lists what there is
    Verify(verify::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match start(cli) {
        Ok(code) => code,
        Err(error) => {
            // What went wrong first, what to do about it last: the outermost context says that.
            let mut chain: Vec<String> = error.chain().map(ToString::to_string).collect();
            chain.reverse();
            eprintln!("{} {}", terminal::red("error:"), chain.join("\n"));
            ExitCode::FAILURE
        }
    }
}

fn start(cli: Cli) -> Result<ExitCode> {
    let places = Places::find()?;
    match cli.task {
        Task::Setup(args) => setup::main(&places, &args),
        Task::BuildEbpf => object_file::main(&places),
        Task::Run(args) => run::main(&places, &args),
        Task::Guard(args) => run::guard::main(&args),
        Task::Test(args) => test::main(&places, &args),
        Task::VmTest(args) => vm::main(&places, &args),
        Task::Bench(args) => bench::main(&places, &args),
        Task::Queries(args) => queries::main(&places, &args),
        Task::Tidy => tidy::main(&places),
        Task::Verify(args) => verify::main(&places, &args),
    }
}
