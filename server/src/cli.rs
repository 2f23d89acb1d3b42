//! The command line.

use std::{
    env,
    ffi::OsString,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use crate::{
    app::{self, App},
    config::{self, Config, Inputs, Settings},
    observability,
};

const EXAMPLES: &str = "\
Examples:
  vc-server run                                    serve 127.0.0.1:8080 from vc-server.db
  vc-server run --listen 0.0.0.0:8080              the same, for others too
  OBSERVABILITY_ENABLED=true vc-server run         and tell the observer of this host about it
  vc-server config                                 every setting, and where its value comes from
  vc-server openapi > openapi.json                 the REST API, for programs

Every option is also a key of vc-server.yaml and a variable; the command line wins, then
the environment, then the file.

Exit codes:
  0  it ran, and was asked to end
  1  it could not go on
  2  it could not run: usage, configuration, the database, or the address";

/// Chat and voice for communities, over a REST API, a WebSocket gateway and an SFU.
#[derive(Debug, Parser)]
#[command(name = "vc-server", version, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    /// Configuration file [default: /etc/vc-server/vc-server.yaml, if there is one]
    #[arg(long, global = true, value_name = "FILE", env = "VC_CONFIG")]
    config: Option<PathBuf>,

    #[command(flatten)]
    settings: Settings,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until stopped
    ///
    /// SIGTERM and SIGINT have it finish what is in progress, tell its clients to come back
    /// later, send what telemetry waits, and end.
    Run,
    /// Print the effective configuration
    ///
    /// Behind each value stands where it comes from. Secrets are not printed.
    Config {
        /// Print the JSON schema of vc-server.yaml instead
        #[arg(long, conflicts_with = "format")]
        schema: bool,
        /// How to print it
        #[arg(long, value_enum, default_value_t = Format::Yaml)]
        format: Format,
    },
    /// Print the OpenAPI description of the REST API
    Openapi,
    /// Print completions for a shell
    Completions {
        /// Which
        #[arg(value_enum)]
        shell: Shell,
    },
}

/// How a configuration is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people, and a valid vc-server.yaml
    Yaml,
    /// For programs: the value and the source of each key
    Json,
}

/// Runs the process.
#[must_use]
pub fn main() -> ExitCode {
    let (cli, inputs) = match parse(env::args_os()) {
        Ok(parsed) => parsed,
        Err(error) => {
            let _unsaid = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let (code, outcome) = match cli.command {
        Command::Run => run(&inputs),
        Command::Config { schema, format } => (2, print(|| configuration(&inputs, schema, format))),
        Command::Openapi => (2, print(|| app::description().map_err(Into::into))),
        Command::Completions { shell } => (2, print(|| Ok(completions(shell)))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(code)
        }
    }
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<(Cli, Inputs), clap::Error> {
    let (mut command, matches) = ::configuration::parse(Cli::command(), arguments)?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    let given = ::configuration::given(&command, &matches);
    let inputs = Inputs { file: cli.config.clone(), settings: cli.settings.clone(), given };
    Ok((cli, inputs))
}

fn print(text: impl FnOnce() -> anyhow::Result<String>) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(text()?.as_bytes()) {
        // Whoever read it has enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.context("cannot write to standard output"),
    }
}

fn configuration(inputs: &Inputs, schema: bool, format: Format) -> anyhow::Result<String> {
    if schema {
        return Ok(config::schema()?);
    }
    let (config, sources) = inputs.load()?;
    Ok(match format {
        Format::Yaml => ::configuration::yaml(config.entries(), &sources)?,
        Format::Json => ::configuration::json(config.entries(), &sources)?,
    })
}

fn completions(shell: Shell) -> String {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "vc-server", &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn run(inputs: &Inputs) -> (u8, anyhow::Result<()>) {
    let config = match inputs.load() {
        Ok((config, _)) => config,
        Err(error) => return (2, Err(error.into())),
    };
    raise_descriptors();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return (2, Err(error).context("cannot start threads")),
    };
    let (code, outcome) = runtime.block_on(serve(config));
    // Work that blocks, such as a hash, is not waited for.
    runtime.shutdown_background();
    (code, outcome)
}

/// As many descriptors as the system lets one have: each connection takes one. Without
/// more it goes on with what there is.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let _as_it_was = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

async fn serve(config: Config) -> (u8, anyhow::Result<()>) {
    // Signals that come from here on are heard.
    let stop = match stopped() {
        Ok(stop) => stop,
        Err(error) => return (2, Err(error)),
    };
    let telemetry = match observability::init(&config.telemetry, config.environment) {
        Ok(telemetry) => telemetry,
        Err(error) => return (2, Err(error)),
    };
    let listen = config.listen;
    let begun = async {
        let listener = TcpListener::bind(listen).await.with_context(|| {
            format!("cannot listen on {listen}: another program may, or give another address by --listen")
        })?;
        let app = App::new(config, telemetry.metrics().clone()).await?;
        anyhow::Ok((listener, app))
    };
    let outcome = match begun.await {
        Ok((listener, app)) => (1, app.serve(listener, stop).await),
        Err(error) => (2, Err(error)),
    };
    let _ended = tokio::task::spawn_blocking(move || telemetry.shutdown()).await;
    outcome
}

/// When a signal comes that asks for the end.
fn stopped() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot hear signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot hear signals")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
