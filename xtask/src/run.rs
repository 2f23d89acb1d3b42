//! `run`: from a clone to living numbers.

mod demo;
pub(crate) mod guard;

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::artifact;
use crate::command::{as_root, cargo, line};
use crate::place::Places;
use crate::setup::{self, Part};

/// How to run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run something to look at, too: a vc-server with bots that talk and chat, on loopback alone
    ///
    /// The server and its bots run as the current user, the observer as root. The bots leave
    /// and come back, and lose a few packets. All of it ends with the observer, and nothing
    /// stays behind.
    #[arg(long)]
    demo: bool,
    /// Build nothing, and take the programs from this folder
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// What goes to `observer run` as it is
    #[arg(last = true)]
    rest: Vec<String>,
}

/// The packages that are built; each is one program of the same name.
const OBSERVER: &str = "observer";
const SERVER: &str = "vc-server";
const BOT: &str = "vc-bot";

/// Builds as the current user and observes as root.
pub(crate) fn main(places: &Places, args: &Args) -> Result<ExitCode> {
    let names = if args.demo { &[OBSERVER, SERVER, BOT][..] } else { &[OBSERVER] };
    let programs = match &args.programs {
        Some(dir) => names.iter().map(|name| dir.join(name)).collect(),
        None => built(places, names)?,
    };
    match &programs[..] {
        [observer, server, bot] => demo::main(observer, server, bot, &args.rest),
        programs => {
            let mut observer = as_root(&programs[0])?;
            observer.arg("run").args(&args.rest);
            // In this process's place: signals and the exit code are then the observer's own.
            let error = observer.exec();
            Err(error).with_context(|| {
                format!("cannot start `{}`: start it by hand as root", line(&observer))
            })
        }
    }
}

fn built(places: &Places, names: &[&str]) -> Result<Vec<PathBuf>> {
    setup::ensure(places, &[Part::Rust, Part::Linker], false)?;
    let mut build = cargo();
    build.args(["build", "--release"]).current_dir(&places.root);
    build.args(names.iter().flat_map(|name| ["-p", name]));
    let built = artifact::build(&mut build)?;
    names.iter().map(|name| built.executable(name, "bin").cloned()).collect()
}
