//! The command line.

use std::{env, ffi::OsString, path::PathBuf};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use configuration::Given;

use super::config::{Inputs, Settings};
use crate::export::otlp::Environment;

const EXAMPLES: &str = "\
Examples:
  sudo observer run                          observe this host; metrics on 127.0.0.1:9464
  sudo observer run --demo                   the same, with bundled traffic to look at
  observer check                             what this kernel and these privileges allow
  observer top                               live view of a running observer
  observer replay call.pcapng                the same figures from a capture, no privileges
  observer replay call.pcap --format json | jq '.voice[] | {ssrc, lost, jitter_ms}'

Every option is also a key of observer.yaml and a variable OBSERVER_*; the command
line wins, then the environment, then the file. Where they say nothing of OTLP, the
variables OTEL_EXPORTER_OTLP_* do.

Exit codes:
  0  all is well
  1  it ran, and something is missing or went wrong
  2  it could not run: usage, configuration, privileges, or the kernel";

/// Measures socket and voice (RTP) quality of a Linux host from the kernel, without
/// touching the applications.
#[derive(Debug, Parser)]
#[command(name = "observer", version, after_help = EXAMPLES, max_term_width = 100)]
pub(super) struct Cli {
    /// Configuration file [default: /etc/observer/observer.yaml, if there is one]
    #[arg(long, global = true, value_name = "FILE", env = "OBSERVER_CONFIG")]
    pub(super) config: Option<PathBuf>,

    /// Say more: -v what the observer does, -vv what the kernel programs say too
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,

    #[command(flatten)]
    pub(super) settings: Settings,

    /// Where each of `settings` comes from.
    #[arg(skip)]
    given: Given,

    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Observe this host until stopped
    ///
    /// Loads the eBPF programs, attaches them at the root of the cgroup v2 hierarchy, so
    /// that every container and network namespace is seen, and serves /metrics,
    /// /api/v1/snapshot, /healthz and /readyz. SIGTERM and SIGINT end it and detach
    /// everything.
    ///
    /// SIGHUP has the configuration file read again, unless a view is shown: `interval` and
    /// `log` change at once, any other change is named in a warning and waits for a
    /// restart. A file that is wrong changes nothing.
    Run {
        /// Add bundled traffic on loopback: two streams of RTP with a little loss, and
        /// TCP clients; on a terminal, show it live. `cargo xtask run --demo` in a clone of
        /// the source has a real call instead
        #[arg(long)]
        demo: bool,
    },
    /// Say what this kernel and these privileges allow, probe by probe
    ///
    /// Loads and attaches each program for a moment. Exit code 0: everything; 1: some
    /// metrics are missing; 2: nothing can be observed.
    Check {
        /// How to print it
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Live terminal view of voice flows and TCP connections
    ///
    /// Shows what a running observer on this host serves; without one, and with the
    /// privileges, it observes by itself while it is open.
    Top {
        /// Print one snapshot and end
        #[arg(long)]
        once: bool,
        /// How to print it, with --once
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
        /// Where an observer serves its snapshot [default: from `listen`]
        #[arg(long, value_name = "URL")]
        url: Option<String>,
    },
    /// Run the same state machines over a capture; needs no privileges
    ///
    /// Reads pcap and pcapng with Ethernet (VLAN and PPPoE too), Linux cooked, loopback or
    /// raw IP link types. `-` reads standard input.
    ///
    /// A file that ends in the middle of a packet, as when its writer was killed, is read
    /// up to there: a warning, a line in the ledger, exit code 0. A damaged one is read up
    /// to the damage: a line in the ledger, the error, exit code 1.
    Replay {
        /// The capture
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// How to print it
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Print the effective configuration
    ///
    /// Behind each value stands where it comes from: the default, a line of the file, a
    /// variable, or an option of the command line.
    Config {
        /// Print the JSON schema of observer.yaml instead
        #[arg(long, conflicts_with = "format")]
        schema: bool,
        /// How to print it
        #[arg(long, value_enum, default_value_t = ConfigFormat::Yaml)]
        format: ConfigFormat,
    },
    /// Print completions for a shell
    Completions {
        /// Which
        #[arg(value_enum)]
        shell: Shell,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Table,
    /// For programs
    Json,
}

/// How a configuration is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ConfigFormat {
    /// For people, and a valid observer.yaml
    Yaml,
    /// For programs: the value and the source of each key
    Json,
}

/// The command line of this process. A variable that is set to nothing is not set.
pub(super) fn parse() -> Result<Cli, clap::Error> {
    parse_from(env::args_os())
}

fn parse_from(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let (mut command, matches) = configuration::parse(Cli::command(), arguments)?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    Ok(Cli { given: configuration::given(&command, &matches), ..cli })
}

impl Cli {
    /// What the configuration is made of.
    pub(super) fn inputs(&self) -> Inputs {
        Inputs {
            file: self.config.clone(),
            settings: self.settings.clone(),
            given: self.given.clone(),
            environment: Environment::of_process(),
        }
    }
}

#[cfg(test)]
mod tests {
    use configuration::Source;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_password_is_not_repeated() {
        for line in [
            "observer run --otlp-endpoint http://me:secret@a",
            "observer run --otlp-endpoint=http://a/?token=secret",
            "observer run --listen http://me:secret@a",
        ] {
            let error = parse_from(line.split(' ').map(OsString::from)).unwrap_err().to_string();
            assert!(error.contains("***") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn what_was_given_is_known_wherever_it_stands() {
        let flag = |flag: &str| Source::Flag { flag: flag.to_owned() };
        for line in ["observer --max-flows 5 config", "observer config --max-flows 5"] {
            let cli = parse_from(line.split(' ').map(OsString::from)).unwrap();
            assert_eq!(cli.inputs().given["max_flows"], flag("--max-flows"), "{line}");
            assert!(!cli.given.contains_key("max_candidates"), "{line}");
        }
    }
}
