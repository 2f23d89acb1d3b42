//! What is told, and to whom.

use super::{ConfigError, Endpoint, Protocol, Secret, Severity};

/// What is told, and to whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Telemetry {
    /// Whether anything is exported.
    pub enabled: bool,
    /// Whether traces are, if anything is.
    pub traces: bool,
    /// Whether metrics are, if anything is.
    pub metrics: bool,
    /// Whether logs are, if anything is.
    pub logs: bool,
    /// The collector.
    pub endpoint: Endpoint,
    /// What it is spoken to.
    pub protocol: Protocol,
    /// `service.name`.
    pub service_name: String,
    /// Of new traces.
    pub sampler_ratio: f64,
    /// Sentry's.
    pub sentry_dsn: Option<Secret>,
    /// Of log lines.
    pub log: Severity,
}

impl Telemetry {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if !(0.0..=1.0).contains(&self.sampler_ratio) {
            return Err(ConfigError::Ratio(self.sampler_ratio));
        }
        if self.service_name.trim().is_empty() {
            return Err(ConfigError::Name);
        }
        if let Err(error) = self.endpoint.target(self.protocol, "traces") {
            return Err(ConfigError::Endpoint(self.endpoint.clone(), error));
        }
        match &self.sentry_dsn {
            Some(dsn) if dsn.expose().parse::<sentry::types::Dsn>().is_err() => {
                Err(ConfigError::Dsn)
            }
            _ => Ok(()),
        }
    }
}
