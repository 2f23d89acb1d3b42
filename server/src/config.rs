//! The configuration: the command line, then the environment, then the file.

mod secret;

mod telemetry;

mod voice;

use std::{
    net::{IpAddr, SocketAddr},
    num::{NonZeroU8, NonZeroU32},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, ValueEnum, builder::BoolishValueParser};
use configuration::{FileError, Given, Source, Sources};
use humantime::format_duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use configuration::otlp::{Endpoint, EndpointError, Protocol};
pub use secret::Secret;
pub use telemetry::Telemetry;
pub use voice::Voice;

/// Read when no other file is named, and only if it is there.
const DEFAULT_FILE: &str = "/etc/vc-server/vc-server.yaml";

/// Where to see every key.
const HINT: &str = "`vc-server config` prints every key";

/// The shortest secret that HS256 may be given: RFC 7518, section 3.2.
const SECRET_BYTES: usize = 32;

/// What the server is there for.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// One's own machine.
    #[default]
    Development,
    /// Like production, for trying out.
    Staging,
    /// For users.
    Production,
}

impl Environment {
    /// `deployment.environment.name`, and Sentry's environment.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }
}

/// Every key. One struct for the command line, the environment and the file, so that
/// they cannot differ.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// What the server is there for: development, staging or production [default: development]
    #[arg(long, global = true, env = "VC_ENVIRONMENT", value_name = "NAME")]
    environment: Option<Environment>,
    /// Where to serve the API and the gateway [default: 127.0.0.1:8080]
    #[arg(long, global = true, env = "VC_LISTEN", value_name = "IP:PORT")]
    listen: Option<SocketAddr>,
    /// The database, a file of SQLite that is made when it is not there [default: vc-server.db]
    #[arg(long, global = true, env = "VC_DATABASE", value_name = "FILE")]
    database: Option<PathBuf>,
    /// Secret that access tokens are signed with, of 32 bytes or more; needed in production, and
    /// elsewhere made anew at each start [default: random]
    #[arg(
        long,
        global = true,
        env = "VC_JWT_SECRET",
        hide_env_values = true,
        value_name = "SECRET"
    )]
    jwt_secret: Option<Secret>,
    /// How long an access token is good for [default: 15m]
    #[arg(long, global = true, env = "VC_ACCESS_TOKEN_LIFETIME", value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<String>")]
    access_token_lifetime: Option<Duration>,
    /// How long a refresh token is good for, if it is not used [default: 30d]
    #[arg(long, global = true, env = "VC_REFRESH_TOKEN_LIFETIME", value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<String>")]
    refresh_token_lifetime: Option<Duration>,
    /// How long a refresh token that was used is good once more, for its answer may have been
    /// lost on its way; then its use ends the login [default: 10s]
    #[arg(long, global = true, env = "VC_REFRESH_GRACE", value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<String>")]
    refresh_grace: Option<Duration>,
    /// Attempts to register, log in or refresh that an address has in a minute, and half as many
    /// for an account [default: 20]
    #[arg(long, global = true, env = "VC_AUTH_ATTEMPTS_PER_MINUTE", value_name = "N")]
    auth_attempts_per_minute: Option<NonZeroU32>,
    /// Messages that a user may send in a minute [default: 120]
    #[arg(long, global = true, env = "VC_MESSAGES_PER_MINUTE", value_name = "N")]
    messages_per_minute: Option<NonZeroU32>,
    /// Take the client's address from the last entry of X-Forwarded-For: only behind a proxy that
    /// sets it [default: false]
    #[arg(long, global = true, env = "VC_TRUST_FORWARDED_FOR", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    trust_forwarded_for: Option<bool>,
    /// Gateway connections that may be open at once [default: 10000]
    #[arg(long, global = true, env = "VC_MAX_CONNECTIONS", value_name = "N")]
    max_connections: Option<NonZeroU32>,
    /// How often a gateway connection has to show signs of life [default: 30s]
    #[arg(long, global = true, env = "VC_HEARTBEAT_INTERVAL", value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<String>")]
    heartbeat_interval: Option<Duration>,
    /// How long a session waits for its client to come back [default: 1m]
    #[arg(long, global = true, env = "VC_RESUME_WINDOW", value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<String>")]
    resume_window: Option<Duration>,
    /// Events that a session keeps for a client that is away or slow [default: 1024]
    #[arg(long, global = true, env = "VC_SESSION_BUFFER", value_name = "N", value_parser = clap::value_parser!(u32).range(16..=65_536))]
    session_buffer: Option<u32>,
    /// How long a DM call rings [default: 1m]
    #[arg(long, global = true, env = "VC_RING_TIMEOUT", value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<String>")]
    ring_timeout: Option<Duration>,
    /// Where to hear voice, over UDP [default: the address and port of `listen`]
    #[arg(long, global = true, env = "VC_VOICE_LISTEN", value_name = "IP:PORT")]
    voice_listen: Option<SocketAddr>,
    /// Ports for voice, from that of `voice_listen` on, each with a thread [default: 1]
    #[arg(long, global = true, env = "VC_VOICE_PORTS", value_name = "N")]
    voice_ports: Option<NonZeroU8>,
    /// Addresses that clients are told to reach voice at, such as that of a NAT, separated by
    /// commas [default: that of `voice_listen`, or of every interface]
    #[arg(
        long,
        global = true,
        env = "VC_VOICE_ADVERTISE",
        value_name = "IP",
        value_delimiter = ','
    )]
    voice_advertise: Option<Vec<IpAddr>>,
    /// How many are heard at once in a voice room [default: 10]
    #[arg(long, global = true, env = "VC_VOICE_SPEAKERS", value_name = "N")]
    voice_speakers: Option<NonZeroU8>,
    /// Voice sessions that there may be at once [default: 1000]
    #[arg(long, global = true, env = "VC_MAX_VOICE_SESSIONS", value_name = "N")]
    max_voice_sessions: Option<NonZeroU32>,
    /// How long a client may take to connect its voice, and to come back when it is lost
    /// [default: 15s]
    #[arg(long, global = true, env = "VC_VOICE_TIMEOUT", value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<String>")]
    voice_timeout: Option<Duration>,
    /// How long connections may take to end when the server does [default: 10s]
    #[arg(long, global = true, env = "VC_SHUTDOWN_TIMEOUT", value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<String>")]
    shutdown_timeout: Option<Duration>,
    /// Export telemetry [default: true in staging, false in development; production must say]
    #[arg(long, global = true, env = "OBSERVABILITY_ENABLED", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    observability_enabled: Option<bool>,
    /// Export traces, where telemetry is exported [default: true]
    #[arg(long, global = true, env = "OBSERVABILITY_TRACES_ENABLED", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    traces_enabled: Option<bool>,
    /// Export metrics, where telemetry is exported [default: true]
    #[arg(long, global = true, env = "OBSERVABILITY_METRICS_ENABLED", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    metrics_enabled: Option<bool>,
    /// Export logs, where telemetry is exported; standard output has them always [default: true]
    #[arg(long, global = true, env = "OBSERVABILITY_LOGS_ENABLED", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    logs_enabled: Option<bool>,
    /// Collector, or the observer of this host [default: port 4317 of this host, or 4318 over HTTP]
    #[arg(long, global = true, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    #[schemars(with = "Option<String>")]
    otlp_endpoint: Option<Endpoint>,
    /// What the collector is spoken to: grpc or http/protobuf [default: grpc]
    #[arg(long, global = true, env = "OTEL_EXPORTER_OTLP_PROTOCOL", value_name = "PROTOCOL")]
    #[schemars(with = "Option<String>")]
    otlp_protocol: Option<Protocol>,
    /// `service.name` [default: vc-server]
    #[arg(long, global = true, env = "OTEL_SERVICE_NAME", value_name = "NAME")]
    service_name: Option<String>,
    /// Share of new traces that are exported, from 0 to 1 [default: 0.1 in production, else 1]
    #[arg(long, global = true, env = "OTEL_TRACES_SAMPLER_ARG", value_name = "RATIO")]
    sampler_ratio: Option<f64>,
    /// Where errors and panics are sent by Sentry's protocol [default: nowhere]
    #[arg(long, global = true, env = "SENTRY_DSN", hide_env_values = true, value_name = "URL")]
    sentry_dsn: Option<Secret>,
    /// Least severe log lines: debug, info, warn or error [default: info]
    #[arg(long, global = true, env = "VC_LOG", value_name = "SEVERITY")]
    log: Option<Severity>,
}

/// Of a log line.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Everything.
    Debug,
    /// What happens.
    #[default]
    Info,
    /// What may need somebody.
    Warn,
    /// What went wrong.
    Error,
}

/// What a configuration is made of.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The file that was named.
    pub file: Option<PathBuf>,
    /// The command line and the environment.
    pub settings: Settings,
    /// Which of the two gave what.
    pub given: Given,
}

/// The configuration in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What the server is there for.
    pub environment: Environment,
    /// Where it listens.
    pub listen: SocketAddr,
    /// The database's file.
    pub database: PathBuf,
    /// `None` where each start makes its own.
    pub jwt_secret: Option<Secret>,
    /// Of an access token.
    pub access_token_lifetime: Duration,
    /// Of a refresh token.
    pub refresh_token_lifetime: Duration,
    /// Of a refresh token that was used.
    pub refresh_grace: Duration,
    /// Of an address.
    pub auth_attempts_per_minute: NonZeroU32,
    /// Of a user.
    pub messages_per_minute: NonZeroU32,
    /// Whether a proxy says whose a request is.
    pub trust_forwarded_for: bool,
    /// Of the gateway.
    pub max_connections: NonZeroU32,
    /// Of the gateway.
    pub heartbeat_interval: Duration,
    /// Of a session.
    pub resume_window: Duration,
    /// Events of a session.
    pub session_buffer: usize,
    /// Of a DM call.
    pub ring_timeout: Duration,
    /// Of the drain.
    pub shutdown_timeout: Duration,
    /// Of calls.
    pub voice: Voice,
    /// What is told, and to whom.
    pub telemetry: Telemetry,
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is.
    #[error(transparent)]
    File(#[from] FileError),
    /// The secret is missing.
    #[error(
        "`environment: production` needs a secret that outlives a restart: set VC_JWT_SECRET to 32 random bytes or more, such as from `openssl rand -base64 32`"
    )]
    NoSecret,
    /// The secret is too easily guessed.
    #[error("`jwt_secret` has {0} bytes: give at least 32, such as from `openssl rand -base64 32`")]
    ShortSecret(usize),
    /// Nobody said whether production is watched.
    #[error(
        "`environment: production` needs an explicit word on telemetry: set OBSERVABILITY_ENABLED to true or false"
    )]
    Unsaid,
    /// A share is none.
    #[error("`sampler_ratio: {0}` is not between 0 and 1")]
    Ratio(f64),
    /// A time is out of bounds.
    #[error("`{key}: {}` is not between {} and {}", format_duration(*.value), format_duration(*.least), format_duration(*.most))]
    Time {
        /// Which.
        key: &'static str,
        /// What it is.
        value: Duration,
        /// The least it may be.
        least: Duration,
        /// The most it may be.
        most: Duration,
    },
    /// The file gives a number that is none of these.
    #[error("`session_buffer: {0}` is not between 16 and 65536")]
    Buffer(u32),
    /// There are not that many ports.
    #[error("`voice_ports: {ports}` from port {from} on are more than there are")]
    Ports {
        /// How many.
        ports: NonZeroU8,
        /// From there on.
        from: u16,
    },
    /// An address is none that a client can reach.
    #[error("`voice_advertise: {0}` is no address that clients can reach")]
    Advertise(IpAddr),
    /// The endpoint does not go with the protocol.
    #[error("`otlp_endpoint: {0}`: {1}")]
    Endpoint(Endpoint, EndpointError),
    /// The DSN is none.
    #[error("`sentry_dsn` is no DSN: give the URL that the project's settings show")]
    Dsn,
    /// A service has to have a name.
    #[error("`service_name` is empty: leave it out for `vc-server`")]
    Name,
}

impl Inputs {
    /// The command line and the environment over the file over the defaults.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(&self) -> Result<(Config, Sources), ConfigError> {
        let path = self.file.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
        let (file, lines) = match configuration::read(path, HINT) {
            Err(error) if self.file.is_none() && error.is_absence() => Default::default(),
            outcome => outcome?,
        };
        let config = effective(self.settings.clone(), file)?;
        let source = |key: &str| {
            let line = || lines.get(key).map(|line| Source::file(path, *line));
            self.given.get(key).cloned().or_else(line).unwrap_or_default()
        };
        let sources = config.entries().into_iter().map(|(key, _)| (key, source(key))).collect();
        Ok((config, sources))
    }
}

impl Config {
    /// Every key with its value, in the order of the command line's help. Secrets are not
    /// repeated.
    #[must_use]
    pub fn entries(&self) -> Vec<(&'static str, Value)> {
        let time = |time: Duration| format_duration(time).to_string().into();
        let hidden = |secret: &Option<Secret>| secret.as_ref().map(|_| "***").into();
        let told = &self.telemetry;
        vec![
            ("environment", self.environment.name().into()),
            ("listen", self.listen.to_string().into()),
            ("database", self.database.to_string_lossy().into()),
            ("jwt_secret", hidden(&self.jwt_secret)),
            ("access_token_lifetime", time(self.access_token_lifetime)),
            ("refresh_token_lifetime", time(self.refresh_token_lifetime)),
            ("refresh_grace", time(self.refresh_grace)),
            ("auth_attempts_per_minute", self.auth_attempts_per_minute.get().into()),
            ("messages_per_minute", self.messages_per_minute.get().into()),
            ("trust_forwarded_for", self.trust_forwarded_for.into()),
            ("max_connections", self.max_connections.get().into()),
            ("heartbeat_interval", time(self.heartbeat_interval)),
            ("resume_window", time(self.resume_window)),
            ("session_buffer", self.session_buffer.into()),
            ("ring_timeout", time(self.ring_timeout)),
            ("voice_listen", self.voice.listen.to_string().into()),
            ("voice_ports", self.voice.ports.get().into()),
            ("voice_advertise", self.voice.advertise.iter().map(ToString::to_string).collect()),
            ("voice_speakers", self.voice.speakers.get().into()),
            ("max_voice_sessions", self.voice.sessions.get().into()),
            ("voice_timeout", time(self.voice.timeout)),
            ("shutdown_timeout", time(self.shutdown_timeout)),
            ("observability_enabled", told.enabled.into()),
            ("traces_enabled", told.traces.into()),
            ("metrics_enabled", told.metrics.into()),
            ("logs_enabled", told.logs.into()),
            ("otlp_endpoint", told.endpoint.to_string().into()),
            ("otlp_protocol", told.protocol.to_string().into()),
            ("service_name", told.service_name.clone().into()),
            ("sampler_ratio", told.sampler_ratio.into()),
            ("sentry_dsn", hidden(&told.sentry_dsn)),
            ("log", serde_json::to_value(told.log).unwrap_or_default()),
        ]
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let second = Duration::from_secs(1);
        for (key, value, least, most) in [
            ("access_token_lifetime", self.access_token_lifetime, second, 24 * HOUR),
            ("refresh_token_lifetime", self.refresh_token_lifetime, second, 366 * 24 * HOUR),
            ("refresh_grace", self.refresh_grace, Duration::ZERO, HOUR),
            ("heartbeat_interval", self.heartbeat_interval, second / 10, HOUR),
            ("resume_window", self.resume_window, Duration::ZERO, HOUR),
            ("ring_timeout", self.ring_timeout, second / 10, HOUR),
            ("voice_timeout", self.voice.timeout, second / 10, HOUR),
            ("shutdown_timeout", self.shutdown_timeout, Duration::ZERO, HOUR),
        ] {
            if !(least..=most).contains(&value) {
                return Err(ConfigError::Time { key, value, least, most });
            }
        }
        match &self.jwt_secret {
            Some(secret) if secret.expose().len() < SECRET_BYTES => {
                return Err(ConfigError::ShortSecret(secret.expose().len()));
            }
            None if self.environment == Environment::Production => {
                return Err(ConfigError::NoSecret);
            }
            _ => {}
        }
        self.voice.validate()?;
        self.telemetry.validate()
    }
}

const HOUR: Duration = Duration::from_secs(3_600);

/// The JSON schema of the file.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn schema() -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(&schemars::schema_for!(Settings))? + "\n")
}

fn effective(given: Settings, file: Settings) -> Result<Config, ConfigError> {
    macro_rules! value {
        ($key:ident) => {
            given.$key.or(file.$key)
        };
        ($key:ident, $default:expr) => {
            value!($key).unwrap_or_else(|| $default)
        };
    }
    let number = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    let environment = value!(environment, Environment::default());
    let enabled = match (value!(observability_enabled), environment) {
        (Some(said), _) => said,
        (None, Environment::Production) => return Err(ConfigError::Unsaid),
        (None, environment) => environment == Environment::Staging,
    };
    let buffer = value!(session_buffer, 1_024);
    if !(16..=65_536).contains(&buffer) {
        return Err(ConfigError::Buffer(buffer));
    }
    let protocol = value!(otlp_protocol, Protocol::default());
    let ratio = if environment == Environment::Production { 0.1 } else { 1.0 };
    let listen = value!(listen, ([127, 0, 0, 1], 8080).into());
    let config = Config {
        environment,
        listen,
        database: value!(database, "vc-server.db".into()),
        jwt_secret: value!(jwt_secret),
        access_token_lifetime: value!(access_token_lifetime, HOUR / 4),
        refresh_token_lifetime: value!(refresh_token_lifetime, 30 * 24 * HOUR),
        refresh_grace: value!(refresh_grace, Duration::from_secs(10)),
        auth_attempts_per_minute: value!(auth_attempts_per_minute, number(20)),
        messages_per_minute: value!(messages_per_minute, number(120)),
        trust_forwarded_for: value!(trust_forwarded_for, false),
        max_connections: value!(max_connections, number(10_000)),
        heartbeat_interval: value!(heartbeat_interval, Duration::from_secs(30)),
        resume_window: value!(resume_window, Duration::from_secs(60)),
        session_buffer: buffer as usize,
        ring_timeout: value!(ring_timeout, Duration::from_secs(60)),
        shutdown_timeout: value!(shutdown_timeout, Duration::from_secs(10)),
        voice: Voice {
            listen: value!(voice_listen, listen),
            ports: value!(voice_ports, NonZeroU8::MIN),
            advertise: value!(voice_advertise, Vec::new()),
            speakers: value!(voice_speakers, NonZeroU8::MIN.saturating_add(9)),
            sessions: value!(max_voice_sessions, number(1_000)),
            timeout: value!(voice_timeout, Duration::from_secs(15)),
        },
        telemetry: Telemetry {
            enabled,
            traces: value!(traces_enabled, true),
            metrics: value!(metrics_enabled, true),
            logs: value!(logs_enabled, true),
            endpoint: value!(otlp_endpoint, Endpoint::on_this_host(protocol)),
            protocol,
            service_name: value!(service_name, "vc-server".to_owned()),
            sampler_ratio: value!(sampler_ratio, ratio),
            sentry_dsn: value!(sentry_dsn),
            log: value!(log, Severity::default()),
        },
    };
    config.validate()?;
    Ok(config)
}
