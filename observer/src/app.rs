//! The command: configuration, wiring, shutdown.

mod cli;

mod config;

mod failure;

mod logging;

mod check;

mod replay;

mod host;

mod http;

mod demo;

mod run;

mod top;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::CommandFactory as _;

use cli::{Cli, Command};
use failure::Failure;

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            // Nothing is left to say it to when the terminal is gone.
            let _printed = error.print();
            return ExitCode::from(2);
        }
        Err(text) => {
            let printed = text.print().and_then(|()| io::stdout().flush());
            return printed.map_or_else(
                |error| Failure::from(anyhow::Error::from(error)).report(),
                |()| ExitCode::SUCCESS,
            );
        }
    };
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    logging::start(cli.verbose, cli.settings.log.as_deref())?;
    let load = |settings| config::load(cli.config.as_deref(), settings);
    match cli.command {
        Command::Run { demo } => run::run(&load(cli.settings)?, demo, cli.verbose >= 2),
        Command::Check { format } => check::check(&load(cli.settings)?, format),
        Command::Top { once, format, url } => {
            top::top(&load(cli.settings)?, once, format, url.as_deref())
        }
        Command::Replay { file, format } => replay::replay(&load(cli.settings)?, &file, format),
        Command::Config { schema } => config::print(&load(cli.settings)?, schema),
        Command::Completions { shell } => {
            let mut out = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "observer", &mut out);
            failure::print(&String::from_utf8_lossy(&out)).map_err(Failure::from)
        }
    }
}

/// Whether colours are welcome on a stream (<https://no-color.org>).
fn is_colour_welcome(stream: &impl io::IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
