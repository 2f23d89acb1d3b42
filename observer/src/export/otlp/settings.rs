//! How a signal is sent.

use std::{fmt, fs, time::Duration};

use hyper::{
    HeaderMap, Uri,
    header::{HeaderName, HeaderValue, USER_AGENT},
};
use rustls::ClientConfig;

use super::{
    Endpoint, Protocol,
    environment::{Environment, EnvironmentError, Signal, Variable},
    tls,
};

/// How long an export may take, unless the environment says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where to send, and how.
#[derive(Clone)]
pub struct Settings {
    pub(super) signal: Signal,
    pub(super) target: Uri,
    pub(super) protocol: Protocol,
    /// Those that the environment gives, and who sends.
    pub(super) headers: HeaderMap,
    pub(super) timeout: Duration,
    pub(super) is_compressed: bool,
    pub(super) tls: ClientConfig,
}

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// What the endpoint does not allow.
    #[error("the collector at {0}: {1}")]
    Endpoint(Endpoint, super::EndpointError),
    /// What a variable does not.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// What TLS does not.
    #[error("TLS to a collector is not possible here")]
    Tls(#[from] rustls::Error),
}

impl Settings {
    /// With headers, time limit, compression and certificates of the environment:
    /// `OTEL_EXPORTER_OTLP_…`, or the same of that signal alone.
    ///
    /// # Errors
    /// When a variable is wrong, or a file that one names, or the endpoint has a path and
    /// the protocol knows none.
    pub fn new(
        signal: Signal,
        endpoint: &Endpoint,
        protocol: Protocol,
        environment: &Environment,
    ) -> Result<Self, SettingsError> {
        let target = endpoint.target(protocol, signal.path());
        let timeout = environment.exporter(signal, "TIMEOUT");
        let timeout = timeout.map(|one| one.milliseconds()).transpose()?;
        let compression = environment.exporter(signal, "COMPRESSION");
        Ok(Self {
            signal,
            target: target.map_err(|error| SettingsError::Endpoint(endpoint.clone(), error))?,
            protocol,
            headers: headers(environment, signal)?,
            timeout: timeout.unwrap_or(TIMEOUT),
            is_compressed: compression.map(|one| is_gzip(&one)).transpose()?.unwrap_or(false),
            tls: if endpoint.is_encrypted() {
                tls::config(environment, signal)?
            } else {
                tls::unused()?
            },
        })
    }
}

impl fmt::Debug for Settings {
    /// Without headers, whose values may be secrets.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Settings")
            .field("target", &self.target)
            .field("protocol", &self.protocol)
            .field("timeout", &self.timeout)
            .field("is_compressed", &self.is_compressed)
            .finish_non_exhaustive()
    }
}

fn is_gzip(variable: &Variable<'_>) -> Result<bool, EnvironmentError> {
    match variable.value.trim() {
        "gzip" => Ok(true),
        "none" => Ok(false),
        other => Err(variable.wrong(format_args!("`{other}` is not known: give gzip or none"))),
    }
}

/// The reader of a log may not be one who may see the values.
fn headers(environment: &Environment, signal: Signal) -> Result<HeaderMap, EnvironmentError> {
    let mut headers = HeaderMap::new();
    if let Some(variable) = environment.exporter(signal, "HEADERS") {
        for (at, (key, value)) in variable.pairs()?.into_iter().enumerate() {
            let at = at + 1;
            let name = HeaderName::from_bytes(key.as_bytes()).map_err(|_| {
                variable
                    .wrong(format_args!("the name in part {at} of the list is none of a header"))
            })?;
            let mut value = HeaderValue::from_str(&value).map_err(|_| {
                variable.wrong(format_args!("the value of `{name}` cannot stand in a header"))
            })?;
            value.set_sensitive(true);
            headers.append(name, value);
        }
    }
    let agent = HeaderValue::from_static(concat!("observer/", env!("CARGO_PKG_VERSION")));
    headers.entry(USER_AGENT).or_insert(agent);
    Ok(headers)
}

/// The file that a variable names.
pub(super) fn file(variable: &Variable<'_>) -> Result<Vec<u8>, EnvironmentError> {
    fs::read(variable.value)
        .map_err(|error| variable.wrong(format_args!("cannot read {}: {error}", variable.value)))
}

#[cfg(test)]
mod tests {
    use super::{super::environment::tests::environment, *};

    fn settings(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let endpoint = "https://127.0.0.1:4318".parse().unwrap();
        let protocol = Protocol::HttpProtobuf;
        Settings::new(Signal::Metrics, &endpoint, protocol, &environment(variables))
    }

    #[test]
    fn what_the_specification_names_is_honoured() {
        let found = settings(&[
            ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Basic%20abc,x=1"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "none"),
        ]);
        let found = found.unwrap();
        assert_eq!(found.headers["authorization"], "Basic abc");
        assert_eq!(found.headers["x"], "1");
        assert_eq!(found.timeout, Duration::from_millis(2_500));
        assert!(!found.is_compressed);
        assert!(!format!("{found:?}").contains("abc"));
    }

    #[test]
    fn what_is_wrong_is_named_without_secrets() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=secret"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=secret%0A"),
            ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "10s"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere.pem"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/dev/null"),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/dev/null"),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/dev/null"),
        ] {
            let said = settings(&[(name, value)]).unwrap_err().to_string();
            assert!(said.contains(name) && !said.contains("secret"), "{said}");
        }
    }
}
