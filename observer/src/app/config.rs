//! The configuration: the command line, then the environment, then the file.

use std::{
    fs::File,
    io::{self, Read as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use humantime::format_duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_saphyr::{Error, MessageFormatter as _, UserMessageFormatter};

use super::failure::{Failure, print as print_text};
use crate::source::ebpf::load::{Limits, Options};

/// Read when no other file is named, and only if it is there.
const DEFAULT_FILE: &str = "/etc/observer/observer.yaml";

/// What a configuration file may have, in bytes; every key takes a few hundred.
const FILE_LIMIT: u64 = 1 << 20;

/// Ring buffer, in bytes: about 9,000 closed connections.
const RING_BYTES: u32 = 1 << 20;

/// Every key. One struct for the command line, the environment and the file, so that
/// they cannot differ.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    /// Where to serve /metrics, /api/v1/snapshot, /healthz and /readyz [default: 127.0.0.1:9464]
    #[arg(long, global = true, env = "OBSERVER_LISTEN", value_name = "IP:PORT")]
    listen: Option<SocketAddr>,
    /// Allow `listen` to be an address that other hosts can reach [default: false]
    #[arg(long, global = true, env = "OBSERVER_ALLOW_REMOTE", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    allow_remote: Option<bool>,
    /// How often the kernel's tables are read [default: 1s]
    #[arg(long, global = true, env = "OBSERVER_INTERVAL", value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<String>")]
    interval: Option<Duration>,
    /// Mount point of the host's cgroup v2 hierarchy [default: found]
    #[arg(long, global = true, env = "OBSERVER_CGROUP_ROOT", value_name = "DIR")]
    cgroup_root: Option<PathBuf>,
    /// Voice flows that are followed at once [default: 65536]
    #[arg(long, global = true, env = "OBSERVER_MAX_FLOWS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4_194_304))]
    max_flows: Option<u32>,
    /// Possible voice flows that are in probation at once [default: 16384]
    #[arg(long, global = true, env = "OBSERVER_MAX_CANDIDATES", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4_194_304))]
    max_candidates: Option<u32>,
    /// TCP connections that are followed at once [default: 65536]
    #[arg(long, global = true, env = "OBSERVER_MAX_CONNECTIONS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4_194_304))]
    max_connections: Option<u32>,
    /// Silence after which a voice flow has ended [default: 1m, or two intervals]
    #[arg(long, global = true, env = "OBSERVER_FLOW_IDLE_TIMEOUT", value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<String>")]
    flow_idle_timeout: Option<Duration>,
    /// Silence after which a connection older than the observer is dropped [default: 15m, or two
    /// intervals]
    #[arg(long, global = true, env = "OBSERVER_CONNECTION_IDLE_TIMEOUT", value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<String>")]
    connection_idle_timeout: Option<Duration>,
    /// Log filter, such as `warn` or `observer=debug` [default: info]
    #[arg(long, global = true, env = "OBSERVER_LOG", value_name = "FILTER")]
    pub(super) log: Option<String>,
}

/// The configuration in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Config {
    pub(super) listen: SocketAddr,
    pub(super) allow_remote: bool,
    #[serde(with = "humantime_serde")]
    pub(super) interval: Duration,
    pub(super) cgroup_root: Option<PathBuf>,
    pub(super) max_flows: u32,
    pub(super) max_candidates: u32,
    pub(super) max_connections: u32,
    #[serde(with = "humantime_serde")]
    pub(super) flow_idle_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub(super) connection_idle_timeout: Duration,
    pub(super) log: Option<String>,
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
enum ConfigError {
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{0} is larger than 1 MiB, and no configuration is")]
    Large(PathBuf),
    #[error(
        "{path}, line {line}: there is no key `{key}`{nearest}; `observer config` prints every key"
    )]
    UnknownKey { path: PathBuf, line: u64, key: String, nearest: String },
    #[error("{path}, line {line}: {message}")]
    Value { path: PathBuf, line: u64, message: String },
    #[error(
        "`listen: {0}` can be reached from other hosts, and what is served names addresses: set `allow_remote: true` as well, or listen on 127.0.0.1"
    )]
    Remote(SocketAddr),
    #[error("`interval: {}` is not between 100ms and 1h", format_duration(*.0))]
    Interval(Duration),
    #[error(
        "`{key}: {}` is shorter than two readings, which are {} apart: what is silent between them would have ended", format_duration(*.idle), format_duration(*.interval)
    )]
    Idle { key: &'static str, idle: Duration, interval: Duration },
}

/// The settings of `cli` over those of the file over the defaults.
pub(super) fn load(file: Option<&Path>, cli: Settings) -> Result<Config, Failure> {
    let settings = match file {
        Some(path) => read(path),
        None => match read(Path::new(DEFAULT_FILE)) {
            Err(ConfigError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(Settings::default())
            }
            outcome => outcome,
        },
    };
    settings.and_then(|settings| effective(cli, settings)).map_err(Failure::cannot_run)
}

/// Prints the configuration in force, or its schema.
pub(super) fn print(config: &Config, schema: bool) -> Result<(), Failure> {
    let text = if schema {
        let schema = schemars::schema_for!(Settings);
        serde_json::to_string_pretty(&schema).map_err(Failure::cannot_run)? + "\n"
    } else {
        serde_saphyr::to_string(config).map_err(Failure::cannot_run)?
    };
    Ok(print_text(&text)?)
}

impl Config {
    /// What loading the programs depends on.
    pub(super) fn options(&self, diagnostics: bool) -> Options {
        Options {
            limits: Limits {
                flows: self.max_flows,
                candidates: self.max_candidates,
                sockets: self.max_connections,
                ring_bytes: RING_BYTES,
            },
            cgroup_root: self.cgroup_root.clone(),
            diagnostics,
            oldest: false,
        }
    }
}

fn effective(cli: Settings, file: Settings) -> Result<Config, ConfigError> {
    let interval = cli.interval.or(file.interval).unwrap_or(Duration::from_secs(1));
    let shortest_idle = interval.saturating_mul(2);
    let config = Config {
        listen: cli.listen.or(file.listen).unwrap_or_else(|| ([127, 0, 0, 1], 9464).into()),
        allow_remote: cli.allow_remote.or(file.allow_remote).unwrap_or(false),
        interval,
        cgroup_root: cli.cgroup_root.or(file.cgroup_root),
        max_flows: cli.max_flows.or(file.max_flows).unwrap_or(65_536),
        max_candidates: cli.max_candidates.or(file.max_candidates).unwrap_or(16_384),
        max_connections: cli.max_connections.or(file.max_connections).unwrap_or(65_536),
        flow_idle_timeout: cli
            .flow_idle_timeout
            .or(file.flow_idle_timeout)
            .unwrap_or(shortest_idle.max(Duration::from_secs(60))),
        connection_idle_timeout: cli
            .connection_idle_timeout
            .or(file.connection_idle_timeout)
            .unwrap_or(shortest_idle.max(Duration::from_secs(900))),
        log: cli.log.or(file.log),
    };
    if !config.listen.ip().to_canonical().is_loopback() && !config.allow_remote {
        return Err(ConfigError::Remote(config.listen));
    }
    if !(Duration::from_millis(100)..=Duration::from_secs(3_600)).contains(&interval) {
        return Err(ConfigError::Interval(interval));
    }
    for (key, idle) in [
        ("flow_idle_timeout", config.flow_idle_timeout),
        ("connection_idle_timeout", config.connection_idle_timeout),
    ] {
        if idle < shortest_idle {
            return Err(ConfigError::Idle { key, idle, interval });
        }
    }
    Ok(config)
}

fn read(path: &Path) -> Result<Settings, ConfigError> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(FILE_LIMIT + 1).read_to_string(&mut text))
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    if text.len() as u64 > FILE_LIMIT {
        return Err(ConfigError::Large(path.to_owned()));
    }
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<Settings, ConfigError> {
    let settings: Option<Settings> =
        serde_saphyr::from_str(text).map_err(|error| explain(path, text, &error))?;
    let settings = settings.unwrap_or_default();
    for (key, value) in [
        ("max_flows", settings.max_flows),
        ("max_candidates", settings.max_candidates),
        ("max_connections", settings.max_connections),
    ] {
        if value.is_some_and(|value| !(1..=4_194_304).contains(&value)) {
            let line = text.lines().position(|line| line.trim_start().starts_with(key));
            return Err(ConfigError::Value {
                path: path.to_owned(),
                line: line.map_or(1, |line| line as u64 + 1),
                message: format!("`{key}` is not between 1 and 4194304"),
            });
        }
    }
    Ok(settings)
}

fn explain(path: &Path, text: &str, error: &Error) -> ConfigError {
    let error = error.without_snippet();
    let line = error.location().map_or(1, |location| location.line());
    let path = path.to_owned();
    match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            let nearest = nearest(field, expected)
                .map_or_else(String::new, |key| format!("; the nearest is `{key}`"));
            ConfigError::UnknownKey { path, line, key: field.clone(), nearest }
        }
        other => {
            let what = match other {
                Error::InvalidScalar { ty: "u32", .. } => "no whole number".into(),
                Error::Unexpected { expected: "string scalar", .. } => "no single value".into(),
                Error::Unexpected { expected: "mapping start", .. } => "no `key: value`".into(),
                Error::MultipleDocuments { .. } => "a second document; one is read".into(),
                other => UserMessageFormatter.format_message(other),
            };
            let index = usize::try_from(line).unwrap_or(1).saturating_sub(1);
            let quoted = text.lines().nth(index).unwrap_or_default().trim();
            ConfigError::Value { path, line, message: format!("`{quoted}`: {what}") }
        }
    }
}

/// The valid key that is most like `key`, if one is like it at all.
fn nearest<'a>(key: &str, valid: &[&'a str]) -> Option<&'a str> {
    valid
        .iter()
        .map(|candidate| (strsim::jaro_winkler(key, candidate), *candidate))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests;
