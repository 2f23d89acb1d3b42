//! The configuration: the command line, then the environment, then the file.

mod standard;

use std::{
    net::SocketAddr,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use configuration::{FileError, Given, Lines, Source, Sources};
use humantime::format_duration;
use observer_common::rtp::flow::LEAST_SILENCE_MS;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use serde_saphyr::{MessageFormatter as _, UserMessageFormatter};

use crate::{
    export::otlp::{Endpoint, EndpointError, Environment, EnvironmentError, Protocol, Signal},
    quality::{codec::Codecs, lateness::Buffer, score::Assumptions},
    source::ebpf::load::{Limits, Options},
    track::{
        targets::{RuleError, Targets},
        voice::interruption::Patience,
    },
};

/// Read when no other file is named, and only if it is there.
const DEFAULT_FILE: &str = "/etc/observer/observer.yaml";

/// Shorter silences are not looked at by the kernel programs.
const LEAST_SILENCE: Duration = Duration::from_millis(LEAST_SILENCE_MS);

/// Where to see every key.
const HINT: &str = "`observer config` prints every key";

/// The longest way through a network that is assumed: no call survives as much.
const LONGEST_DELAY: Duration = Duration::from_secs(10);

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
    /// What is watched, and under which names: rules of `include` and `exclude`, in the
    /// environment and here as YAML in one line [default: every voice flow, and TCP
    /// connections that came by a listener]
    #[arg(long, global = true, env = "OBSERVER_TARGETS", value_name = "YAML", value_parser = targets)]
    targets: Option<Targets>,
    /// Services that have figures of their own at once; the rest is `overflow` [default: 100]
    #[arg(long, global = true, env = "OBSERVER_MAX_SERVICES", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    max_services: Option<u16>,
    /// Codecs of RTP payload types that signalling agreed upon, such as `{111: opus, 96:
    /// vp8}`, or with factors of the E-model, `{0: {codec: pcmu, bpl: 4.3}}`: in the
    /// environment and here as YAML in one line [default: those of RFC 3551]
    #[arg(long, global = true, env = "OBSERVER_VOICE_CODECS", value_name = "YAML", value_parser = yaml::<Codecs>)]
    voice_codecs: Option<Codecs>,
    /// One way through the network, for scores of voice whose round trip is not measured
    /// [default: 50ms]
    #[arg(long, global = true, env = "OBSERVER_VOICE_ASSUMED_DELAY", value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<String>")]
    voice_assumed_delay: Option<Duration>,
    /// How long a stream of voice may lose all of its packets before that is an interruption;
    /// at least 1s [default: 2s]
    #[arg(long, global = true, env = "OBSERVER_VOICE_SILENCE_AFTER", value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<String>")]
    voice_silence_after: Option<Duration>,
    /// How long audio may go in one direction alone before that is an interruption [default: 15s]
    #[arg(long, global = true, env = "OBSERVER_VOICE_ONE_WAY_AFTER", value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<String>")]
    voice_one_way_after: Option<Duration>,
    /// The jitter buffer that scores of voice suppose: `fixed_50ms`, `fixed_200ms` or `adaptive`
    /// [default: adaptive]
    #[arg(long, global = true, env = "OBSERVER_VOICE_JITTER_BUFFER", value_name = "BUFFER")]
    voice_jitter_buffer: Option<Buffer>,
    /// Collector to export metrics to by OTLP, such as `http://127.0.0.1:4317` [default: none]
    #[arg(long, global = true, env = "OBSERVER_OTLP_ENDPOINT", value_name = "URL")]
    #[schemars(with = "Option<String>")]
    otlp_endpoint: Option<Endpoint>,
    /// What the collector is spoken to: grpc or http/protobuf [default: grpc]
    #[arg(long, global = true, env = "OBSERVER_OTLP_PROTOCOL", value_name = "PROTOCOL")]
    #[schemars(with = "Option<String>")]
    otlp_protocol: Option<Protocol>,
    /// Collector to export a span to for each voice flow that has ended; as it is, so that over
    /// HTTP it has its path [default: that of `otlp_endpoint`]
    #[arg(long, global = true, env = "OBSERVER_OTLP_TRACES_ENDPOINT", value_name = "URL")]
    #[schemars(with = "Option<String>")]
    otlp_traces_endpoint: Option<Endpoint>,
    /// What that collector is spoken to [default: `otlp_protocol`]
    #[arg(long, global = true, env = "OBSERVER_OTLP_TRACES_PROTOCOL", value_name = "PROTOCOL")]
    #[schemars(with = "Option<String>")]
    otlp_traces_protocol: Option<Protocol>,
    /// How often metrics are exported [default: 1m]
    #[arg(long, global = true, env = "OBSERVER_OTLP_INTERVAL", value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<String>")]
    otlp_interval: Option<Duration>,
    /// Log filter, such as `warn` or `observer=debug` [default: info]
    #[arg(long, global = true, env = "OBSERVER_LOG", value_name = "FILTER")]
    pub(super) log: Option<String>,
}

/// What a configuration is made of, so that it can be made again.
#[derive(Clone, Debug)]
pub(super) struct Inputs {
    /// The file that was named.
    pub(super) file: Option<PathBuf>,
    /// The command line and the environment.
    pub(super) settings: Settings,
    /// Which of the two gave what.
    pub(super) given: Given,
    /// What `OpenTelemetry`'s variables say where nothing else does.
    pub(super) environment: Environment,
}

/// The configuration in force.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Config {
    pub(super) listen: SocketAddr,
    pub(super) allow_remote: bool,
    pub(super) interval: Duration,
    pub(super) cgroup_root: Option<PathBuf>,
    pub(super) max_flows: u32,
    pub(super) max_candidates: u32,
    pub(super) max_connections: u32,
    pub(super) flow_idle_timeout: Duration,
    pub(super) connection_idle_timeout: Duration,
    pub(super) targets: Targets,
    pub(super) max_services: u16,
    pub(super) voice: Assumptions,
    pub(super) patience: Patience,
    pub(super) otlp_endpoint: Option<Endpoint>,
    pub(super) otlp_protocol: Protocol,
    pub(super) otlp_traces_endpoint: Option<Endpoint>,
    pub(super) otlp_traces_protocol: Protocol,
    pub(super) otlp_interval: Duration,
    pub(super) log: Option<String>,
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConfigError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{0} is a pipe, which can be read only once")]
    OnceOnly(PathBuf),
    #[error(
        "`listen: {0}` can be reached from other hosts, and what is served names addresses: set `allow_remote: true` as well, or listen on 127.0.0.1"
    )]
    Remote(SocketAddr),
    #[error("`targets`: {0}")]
    Targets(#[from] RuleError),
    #[error("`{key}: {}` is not between 100ms and 1h", format_duration(*.interval))]
    Interval { key: &'static str, interval: Duration },
    #[error("`{0}: {1}`: {2}")]
    Endpoint(&'static str, Endpoint, EndpointError),
    #[error(transparent)]
    Variable(#[from] EnvironmentError),
    #[error("`{key}: {}` is shorter than {}, the least that can be told", format_duration(*.time), format_duration(*.least))]
    Patience { key: &'static str, time: Duration, least: Duration },
    #[error("`voice_assumed_delay: {}` is longer than {}", format_duration(*.0), format_duration(LONGEST_DELAY))]
    Delay(Duration),
    #[error(
        "`{key}: {}` is shorter than two readings, which are {} apart: what is silent between them would have ended", format_duration(*.idle), format_duration(*.interval)
    )]
    Idle { key: &'static str, idle: Duration, interval: Duration },
}

impl Inputs {
    /// The command line and the environment over the file over `OpenTelemetry`'s variables
    /// over the defaults.
    pub(super) fn load(&self) -> Result<(Config, Sources), ConfigError> {
        let (file, lines) = match &self.file {
            Some(path) => read(path)?,
            None => match read(Path::new(DEFAULT_FILE)) {
                Err(ConfigError::File(error)) if error.is_absence() => Default::default(),
                outcome => outcome?,
            },
        };
        let (standard, variables) = standard::settings(&self.environment)?;
        let config = effective(self.settings.clone(), file, standard, &self.environment)?;
        let path = self.file.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
        let ours = |key: &str| {
            let line = || lines.get(key).map(|line| Source::file(path, *line));
            self.given.get(key).cloned().or_else(line)
        };
        let source = |key: &str| {
            // What is said of every signal counts for traces where nothing else does.
            let is_off = key == "otlp_traces_endpoint" && config.otlp_traces_endpoint.is_none();
            let general = || ours(&key.replace("_traces_", "_")).filter(|_| !is_off);
            let variable = || variables.get(key).cloned();
            ours(key).or_else(general).or_else(variable).unwrap_or_default()
        };
        let sources = config.entries().map(|(key, _)| (key, source(key))).into();
        Ok((config, sources))
    }

    /// The same, later. To read a pipe once more would wait for a writer.
    pub(super) fn load_again(&self) -> Result<Config, ConfigError> {
        if let Some(path) = &self.file
            && path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo())
        {
            return Err(ConfigError::OnceOnly(path.clone()));
        }
        self.load().map(|(config, _)| config)
    }
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

    /// Every key with its value, in the order of the command line's help.
    pub(super) fn entries(&self) -> [(&'static str, Value); 22] {
        let Self {
            listen,
            allow_remote,
            interval,
            cgroup_root,
            max_flows,
            max_candidates,
            max_connections,
            flow_idle_timeout,
            connection_idle_timeout,
            targets,
            max_services,
            voice: Assumptions { codecs, delay, buffer },
            patience: Patience { silence, one_way },
            otlp_endpoint,
            otlp_protocol,
            otlp_traces_endpoint,
            otlp_traces_protocol,
            otlp_interval,
            log,
        } = self;
        let time = |time: &Duration| format_duration(*time).to_string().into();
        let cgroup_root = cgroup_root.as_ref().map(|path| path.to_string_lossy().into_owned());
        [
            ("listen", listen.to_string().into()),
            ("allow_remote", (*allow_remote).into()),
            ("interval", time(interval)),
            ("cgroup_root", cgroup_root.into()),
            ("max_flows", (*max_flows).into()),
            ("max_candidates", (*max_candidates).into()),
            ("max_connections", (*max_connections).into()),
            ("flow_idle_timeout", time(flow_idle_timeout)),
            ("connection_idle_timeout", time(connection_idle_timeout)),
            ("targets", serde_json::to_value(targets).unwrap_or_default()),
            ("max_services", (*max_services).into()),
            ("voice_codecs", serde_json::to_value(codecs).unwrap_or_default()),
            ("voice_assumed_delay", time(delay)),
            ("voice_silence_after", time(silence)),
            ("voice_one_way_after", time(one_way)),
            ("voice_jitter_buffer", buffer.as_str().into()),
            ("otlp_endpoint", otlp_endpoint.as_ref().map(ToString::to_string).into()),
            ("otlp_protocol", otlp_protocol.to_string().into()),
            ("otlp_traces_endpoint", otlp_traces_endpoint.as_ref().map(ToString::to_string).into()),
            ("otlp_traces_protocol", otlp_traces_protocol.to_string().into()),
            ("otlp_interval", time(otlp_interval)),
            ("log", log.clone().into()),
        ]
    }

    /// What one value says about the others.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let interval = self.interval;
        if !self.listen.ip().to_canonical().is_loopback() && !self.allow_remote {
            return Err(ConfigError::Remote(self.listen));
        }
        for (key, interval) in [("interval", interval), ("otlp_interval", self.otlp_interval)] {
            if !(Duration::from_millis(100)..=Duration::from_secs(3_600)).contains(&interval) {
                return Err(ConfigError::Interval { key, interval });
            }
        }
        for (key, signal, endpoint, protocol) in [
            ("otlp_endpoint", Signal::Metrics, &self.otlp_endpoint, self.otlp_protocol),
            (
                "otlp_traces_endpoint",
                Signal::Traces,
                &self.otlp_traces_endpoint,
                self.otlp_traces_protocol,
            ),
        ] {
            if let Some(endpoint) = endpoint {
                let target = endpoint.target(protocol, signal.path());
                target.map_err(|error| ConfigError::Endpoint(key, endpoint.clone(), error))?;
            }
        }
        for (key, idle) in [
            ("flow_idle_timeout", self.flow_idle_timeout),
            ("connection_idle_timeout", self.connection_idle_timeout),
        ] {
            if idle < interval.saturating_mul(2) {
                return Err(ConfigError::Idle { key, idle, interval });
            }
        }
        if self.voice.delay > LONGEST_DELAY {
            return Err(ConfigError::Delay(self.voice.delay));
        }
        for (key, time, least) in [
            ("voice_silence_after", self.patience.silence, LEAST_SILENCE),
            ("voice_one_way_after", self.patience.one_way, interval.saturating_mul(2)),
        ] {
            if time < least {
                return Err(ConfigError::Patience { key, time, least });
            }
        }
        self.targets.select()?;
        Ok(())
    }
}

/// The JSON schema of the file.
pub(super) fn schema() -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(&schemars::schema_for!(Settings))? + "\n")
}

/// Rules in one line.
fn targets(text: &str) -> Result<Targets, String> {
    let targets: Targets = yaml(text)?;
    targets.select().map_err(|error| error.to_string())?;
    Ok(targets)
}

/// A value of more than a word, in one line.
fn yaml<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_saphyr::from_str(text)
        .map_err(|error| UserMessageFormatter.format_message(error.without_snippet()).into_owned())
}

/// What the command line and the environment say over what the file says over what
/// `OpenTelemetry`'s variables do.
fn effective(
    cli: Settings,
    file: Settings,
    standard: Settings,
    environment: &Environment,
) -> Result<Config, ConfigError> {
    let otlp_endpoint = cli.otlp_endpoint.or(file.otlp_endpoint);
    let otlp_protocol = cli.otlp_protocol.or(file.otlp_protocol);
    let otlp_traces_protocol = cli
        .otlp_traces_protocol
        .or(file.otlp_traces_protocol)
        .or(otlp_protocol)
        .or(standard.otlp_traces_protocol)
        .unwrap_or_default();
    let traces = cli.otlp_traces_endpoint.or(file.otlp_traces_endpoint).map(Endpoint::exact);
    let wants_traces = standard::is_wanted(environment, Signal::Traces)?;
    let general = otlp_endpoint.clone().or(standard.otlp_traces_endpoint);
    let otlp_traces_endpoint = match (traces, general) {
        (None, Some(general)) if wants_traces => {
            let traces = general.of(otlp_traces_protocol, Signal::Traces.path());
            Some(traces.map_err(|error| ConfigError::Endpoint("otlp_endpoint", general, error))?)
        }
        (traces, _) => traces,
    };
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
        targets: cli.targets.or(file.targets).unwrap_or_default(),
        max_services: cli.max_services.or(file.max_services).unwrap_or(100),
        voice: Assumptions {
            codecs: cli.voice_codecs.or(file.voice_codecs).unwrap_or_default(),
            delay: cli
                .voice_assumed_delay
                .or(file.voice_assumed_delay)
                .unwrap_or(Assumptions::default().delay),
            buffer: cli.voice_jitter_buffer.or(file.voice_jitter_buffer).unwrap_or_default(),
        },
        patience: Patience {
            silence: cli
                .voice_silence_after
                .or(file.voice_silence_after)
                .unwrap_or(Patience::default().silence),
            one_way: cli
                .voice_one_way_after
                .or(file.voice_one_way_after)
                .unwrap_or(shortest_idle.max(Patience::default().one_way)),
        },
        otlp_endpoint: otlp_endpoint.or(standard.otlp_endpoint),
        otlp_protocol: otlp_protocol.or(standard.otlp_protocol).unwrap_or_default(),
        otlp_traces_endpoint,
        otlp_traces_protocol,
        otlp_interval: cli
            .otlp_interval
            .or(file.otlp_interval)
            .or(standard.otlp_interval)
            .unwrap_or(Duration::from_secs(60)),
        log: cli.log.or(file.log),
    };
    config.validate()?;
    Ok(config)
}

fn read(path: &Path) -> Result<(Settings, Lines), ConfigError> {
    let (settings, lines) = configuration::read(path, HINT)?;
    bounded(path, settings, lines)
}

/// The numbers that the command line bounds by itself.
fn bounded(
    path: &Path,
    settings: Settings,
    lines: Lines,
) -> Result<(Settings, Lines), ConfigError> {
    for (key, value) in [
        ("max_flows", settings.max_flows),
        ("max_candidates", settings.max_candidates),
        ("max_connections", settings.max_connections),
    ] {
        if value.is_some_and(|value| !(1..=4_194_304).contains(&value)) {
            return Err(ConfigError::File(FileError::Value {
                path: path.to_owned(),
                line: lines.get(key).copied().flatten().unwrap_or(1),
                message: format!("`{key}` is not between 1 and 4194304"),
            }));
        }
    }
    Ok((settings, lines))
}

#[cfg(test)]
pub(super) mod tests;
