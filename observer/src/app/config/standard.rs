//! Keys that `OpenTelemetry`'s own variables may give, where nothing else does.

use configuration::{Given, Source};

use super::{ConfigError, Settings};
use crate::export::otlp::{Endpoint, Environment, EnvironmentError, Signal, Variable};

/// The keys that the environment gives by the specification's names, and by which of them.
pub(super) fn settings(environment: &Environment) -> Result<(Settings, Given), ConfigError> {
    let mut given = Given::new();
    let mut note = |key: &str, variable: &Variable<'_>| {
        let source = Source::Environment { variable: variable.name.clone() };
        given.insert(key.to_owned(), source);
    };
    let mut settings = Settings::default();
    for (signal, key, endpoint) in [
        (Signal::Metrics, "otlp_endpoint", &mut settings.otlp_endpoint),
        (Signal::Traces, "otlp_traces_endpoint", &mut settings.otlp_traces_endpoint),
    ] {
        let wanted = is_wanted(environment, signal)?;
        if let Some(variable) = environment.get("OTEL_TRACES_EXPORTER")
            && signal == Signal::Traces
            && !wanted
        {
            note(key, &variable);
        }
        if let Some(variable) = environment.exporter(signal, "ENDPOINT").filter(|_| wanted) {
            let is_general = variable.name == "OTEL_EXPORTER_OTLP_ENDPOINT";
            let given: Endpoint = parse(&variable)?;
            *endpoint = Some(if is_general { given } else { given.exact() });
            note(key, &variable);
        }
    }
    for (signal, key, protocol) in [
        (Signal::Metrics, "otlp_protocol", &mut settings.otlp_protocol),
        (Signal::Traces, "otlp_traces_protocol", &mut settings.otlp_traces_protocol),
    ] {
        if let Some(variable) = environment.exporter(signal, "PROTOCOL") {
            *protocol = Some(parse(&variable)?);
            note(key, &variable);
        }
    }
    if let Some(variable) = environment.get("OTEL_METRIC_EXPORT_INTERVAL") {
        settings.otlp_interval = Some(variable.milliseconds()?);
        note("otlp_interval", &variable);
    }
    Ok((settings, given))
}

/// Whether `OTEL_METRICS_EXPORTER` or `OTEL_TRACES_EXPORTER` lets the other variables turn
/// OTLP on.
pub(super) fn is_wanted(
    environment: &Environment,
    signal: Signal,
) -> Result<bool, EnvironmentError> {
    let (name, others, known) = match signal {
        Signal::Metrics => (
            "OTEL_METRICS_EXPORTER",
            ["none", "prometheus"].as_slice(),
            "otlp, none, or prometheus, which is always served",
        ),
        Signal::Traces => ("OTEL_TRACES_EXPORTER", ["none"].as_slice(), "otlp or none"),
    };
    let Some(variable) = environment.get(name) else { return Ok(true) };
    let mut is_wanted = false;
    for exporter in variable.value.split(',').map(str::trim) {
        if exporter == "otlp" {
            is_wanted = true;
        } else if !others.contains(&exporter) {
            return Err(variable.wrong(format_args!("`{exporter}` is not known: give {known}")));
        }
    }
    Ok(is_wanted)
}

fn parse<T>(variable: &Variable<'_>) -> Result<T, EnvironmentError>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    // It is not quoted, because a URL may have a password in it.
    variable.value.parse().map_err(|error| variable.wrong(format_args!("{error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(all: &[(&str, &str)]) -> Result<(Settings, Given), ConfigError> {
        settings(&all.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
    }

    #[test]
    fn the_variables_of_the_specification_give_keys_and_are_their_sources() {
        let (settings, given) = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4318"),
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://b:4318/own"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "2500"),
            ("OTEL_METRICS_EXPORTER", "prometheus, otlp"),
        ])
        .unwrap();
        let endpoint = settings.otlp_endpoint.unwrap();
        let protocol = settings.otlp_protocol.unwrap();
        assert_eq!(endpoint.target(protocol, "metrics").unwrap(), "http://b:4318/own");
        assert_eq!(settings.otlp_interval.unwrap().as_millis(), 2_500);
        for (key, variable) in [
            ("otlp_endpoint", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"),
            ("otlp_protocol", "OTEL_EXPORTER_OTLP_PROTOCOL"),
            ("otlp_interval", "OTEL_METRIC_EXPORT_INTERVAL"),
        ] {
            assert_eq!(given[key], Source::Environment { variable: variable.to_owned() });
        }
        let (settings, given) = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]).unwrap();
        assert!(settings.otlp_endpoint.is_none() && given.is_empty());
    }

    #[test]
    fn the_specification_can_turn_its_own_endpoint_off() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4317");
        for exporter in ["none", "prometheus"] {
            let (settings, given) = read(&[endpoint, ("OTEL_METRICS_EXPORTER", exporter)]).unwrap();
            assert!(settings.otlp_endpoint.is_none(), "{exporter}");
            assert!(settings.otlp_traces_endpoint.is_some(), "{exporter}");
            assert!(!given.contains_key("otlp_endpoint"), "{exporter}");
        }
        let (settings, _) = read(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]).unwrap();
        assert!(settings.otlp_traces_endpoint.is_none() && settings.otlp_endpoint.is_some());
    }

    #[test]
    fn what_is_wrong_is_named_without_secrets() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://me:secret@a"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "1m"),
            ("OTEL_METRICS_EXPORTER", "console"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:4317"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
            ("OTEL_TRACES_EXPORTER", "prometheus"),
        ] {
            let said = read(&[(name, value)]).unwrap_err().to_string();
            assert!(said.starts_with(name) && !said.contains("secret"), "{said}");
        }
    }
}
