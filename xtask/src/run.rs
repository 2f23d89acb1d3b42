//! `run`: from a clone to living numbers.

use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::artifact;
use crate::command::{as_root, cargo, line};
use crate::place::Places;
use crate::setup::{self, Part};

/// How to run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Add bundled traffic: a bot call over RTP with a little loss, and TCP clients
    #[arg(long)]
    demo: bool,
    /// What goes to `observer run` as it is
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Builds as the current user and observes as root.
pub(crate) fn main(places: &Places, args: &Args) -> Result<ExitCode> {
    setup::ensure(places, &[Part::Rust, Part::Linker], false)?;
    let mut build = cargo();
    build.args(["build", "--release", "-p", "observer"]).current_dir(&places.root);
    let built = artifact::build(&mut build)?;
    let mut observer = as_root(built.executable("observer", "bin")?)?;
    observer.arg("run").args(args.demo.then_some("--demo")).args(&args.rest);
    // In this process's place: signals and the exit code are then the observer's own.
    let error = observer.exec();
    Err(error)
        .with_context(|| format!("cannot start `{}`: start it by hand as root", line(&observer)))
}
