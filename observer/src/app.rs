//! The command: configuration, wiring, shutdown.

mod cli;

mod config;

mod failure;

mod logging;

mod signal;

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
    let Cli { config, verbose, settings, command } = cli;
    // The file has its say on the log too.
    let configure = || {
        let config = config::load(config.as_deref(), settings)?;
        logging::start(verbose, config.log.as_deref())?;
        Ok::<_, Failure>(config)
    };
    match command {
        Command::Run { demo } => run::run(&configure()?, demo, verbose >= 2),
        Command::Check { format } => check::check(&configure()?, format),
        Command::Top { once, format, url } => top::top(&configure()?, once, format, url.as_deref()),
        Command::Replay { file, format } => replay::replay(&configure()?, &file, format),
        Command::Config { schema } => config::print(&configure()?, schema),
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
