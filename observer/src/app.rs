//! The command: configuration, wiring, shutdown.

mod cli;

mod config;

mod failure;

mod logging;

mod signal;

mod check;

mod replay;

mod who;

mod clock;

mod host;

mod http;

mod demo;

mod otlp;

mod reload;

mod run;

mod top;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::CommandFactory as _;

use cli::{Cli, Command, ConfigFormat};
use failure::Failure;
use reload::Reload;

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
    let (inputs, verbose) = (cli.inputs(), cli.verbose);
    // The file has its say on the log too.
    let configure = || {
        let (config, sources) = inputs.load().map_err(Failure::cannot_run)?;
        let filter = logging::start(verbose, config.log.as_deref())?;
        Ok::<_, Failure>((config, sources, filter))
    };
    match cli.command {
        Command::Run { demo } => {
            let (config, _, filter) = configure()?;
            let exports = otlp::prepare(&config, &inputs.environment)?;
            return_large_blocks();
            run::run(config, exports, &Reload::new(inputs, filter), demo, verbose >= 2)
        }
        Command::Check { format } => check::check(&configure()?.0, format),
        Command::Top { once, format, url } => {
            top::top(&configure()?.0, once, format, url.as_deref())
        }
        Command::Replay { file, format } => replay::replay(&configure()?.0, &file, format),
        Command::Config { schema, format } => {
            let (config, sources, _) = configure()?;
            let text = if schema {
                config::schema().map_err(Failure::cannot_run)?
            } else {
                match format {
                    ConfigFormat::Yaml => configuration::yaml(config.entries(), &sources)
                        .map_err(Failure::cannot_run)?,
                    ConfigFormat::Json => configuration::json(config.entries(), &sources)
                        .map_err(Failure::cannot_run)?,
                }
            };
            Ok(failure::print(&text)?)
        }
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

/// Has the allocator return what a reading took and no longer needs. Left alone, glibc
/// keeps larger and larger blocks among the small ones, where they split.
fn return_large_blocks() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it sets a number of the allocator's, which is valid at any time.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 256 << 10);
    }
}
