//! Keys that `OpenTelemetry`'s own variables may give, where nothing else does.

use configuration::{Given, Source};

use super::{ConfigError, Settings};
use crate::export::otlp::{Endpoint, Environment, EnvironmentError, Variable};

/// The keys that the environment gives by the specification's names, and by which of them.
pub(super) fn settings(environment: &Environment) -> Result<(Settings, Given), ConfigError> {
    let mut given = Given::new();
    let mut note = |key: &str, variable: &Variable<'_>| {
        let source = Source::Environment { variable: variable.name.clone() };
        given.insert(key.to_owned(), source);
    };
    let mut settings = Settings::default();
    if let Some(variable) =
        is_wanted(environment)?.then(|| environment.exporter("ENDPOINT")).flatten()
    {
        let endpoint: Endpoint = parse(&variable)?;
        let is_of_metrics = variable.name.contains("_METRICS_");
        settings.otlp_endpoint = Some(if is_of_metrics { endpoint.exact() } else { endpoint });
        note("otlp_endpoint", &variable);
    }
    if let Some(variable) = environment.exporter("PROTOCOL") {
        settings.otlp_protocol = Some(parse(&variable)?);
        note("otlp_protocol", &variable);
    }
    if let Some(variable) = environment.get("OTEL_METRIC_EXPORT_INTERVAL") {
        settings.otlp_interval = Some(variable.milliseconds()?);
        note("otlp_interval", &variable);
    }
    Ok((settings, given))
}

/// Whether `OTEL_METRICS_EXPORTER` lets the other variables turn OTLP on.
fn is_wanted(environment: &Environment) -> Result<bool, EnvironmentError> {
    let Some(variable) = environment.get("OTEL_METRICS_EXPORTER") else { return Ok(true) };
    let mut is_wanted = false;
    for exporter in variable.value.split(',').map(str::trim) {
        match exporter {
            "otlp" => is_wanted = true,
            "none" | "prometheus" => {}
            _ => {
                let problem = format_args!(
                    "`{exporter}` is not known: give otlp, none, or prometheus, which is always served"
                );
                return Err(variable.wrong(problem));
            }
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
        for exporter in ["none", "prometheus"] {
            let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4317");
            let (settings, given) = read(&[endpoint, ("OTEL_METRICS_EXPORTER", exporter)]).unwrap();
            assert!(settings.otlp_endpoint.is_none() && given.is_empty(), "{exporter}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_without_secrets() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://me:secret@a"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "1m"),
            ("OTEL_METRICS_EXPORTER", "console"),
        ] {
            let said = read(&[(name, value)]).unwrap_err().to_string();
            assert!(said.starts_with(name) && !said.contains("secret"), "{said}");
        }
    }
}
