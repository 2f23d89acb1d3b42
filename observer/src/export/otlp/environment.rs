//! The variables of `OpenTelemetry`'s specification
//! (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>).

use std::{collections::BTreeMap, env, fmt, time::Duration};

use percent_encoding::percent_decode_str;

/// What of the environment is meant for `OpenTelemetry`. A variable that is set to nothing
/// is not set.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

/// A variable that is set. Its value may be a secret.
#[derive(Clone)]
pub struct Variable<'a> {
    /// What it is called.
    pub name: String,
    /// What it is set to.
    pub value: &'a str,
}

/// What is exported, as OTLP tells it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The instruments.
    Metrics,
    /// Spans: records of voice flows.
    Traces,
}

/// What is wrong with a variable.
#[derive(Debug, thiserror::Error)]
#[error("{variable}: {problem}")]
pub struct EnvironmentError {
    variable: String,
    problem: String,
}

impl Environment {
    /// That of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let text = |part: std::ffi::OsString| part.to_string_lossy().into_owned();
        env::vars_os().map(|(name, value)| (text(name), text(value))).collect()
    }

    /// A variable, if it is set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Variable<'_>> {
        let value = self.0.get(name)?;
        Some(Variable { name: name.to_owned(), value })
    }

    /// A setting of an exporter: that of its signal before that of every signal.
    #[must_use]
    pub fn exporter(&self, signal: Signal, setting: &str) -> Option<Variable<'_>> {
        let signal = signal.path().to_ascii_uppercase();
        self.get(&format!("OTEL_EXPORTER_OTLP_{signal}_{setting}"))
            .or_else(|| self.get(&format!("OTEL_EXPORTER_OTLP_{setting}")))
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(all: I) -> Self {
        let is_ours = |(name, value): &(String, String)| {
            name.starts_with("OTEL_") && !value.trim().is_empty()
        };
        Self(all.into_iter().filter(is_ours).collect())
    }
}

impl fmt::Debug for Environment {
    /// Names only, because values may be secrets.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.0.keys()).finish()
    }
}

impl Signal {
    /// What it is called in a path and, in capitals, in a variable.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Traces => "traces",
        }
    }

    /// What it is called in the log.
    pub(super) const fn noun(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Traces => "records of voice flows",
        }
    }
}

impl Variable<'_> {
    /// `problem` must not quote what may be a secret.
    #[must_use]
    pub fn wrong(&self, problem: impl fmt::Display) -> EnvironmentError {
        EnvironmentError { variable: self.name.clone(), problem: problem.to_string() }
    }

    /// A time in whole milliseconds, as the specification has them; more than nothing.
    ///
    /// # Errors
    /// When it is none.
    pub fn milliseconds(&self) -> Result<Duration, EnvironmentError> {
        let number = self.value.trim().parse().ok().filter(|number: &u64| *number > 0);
        number.map(Duration::from_millis).ok_or_else(|| {
            self.wrong(format_args!("`{}` is no number of milliseconds above 0", self.value))
        })
    }

    /// `key=value,key=value`, with values percent-encoded, as W3C Baggage writes them.
    pub(super) fn pairs(&self) -> Result<Vec<(String, String)>, EnvironmentError> {
        let parts = self.value.split(',').map(str::trim).enumerate();
        parts.filter(|(_, part)| !part.is_empty()).map(|(at, part)| self.pair(at, part)).collect()
    }

    fn pair(&self, at: usize, part: &str) -> Result<(String, String), EnvironmentError> {
        let at = at + 1;
        let Some((key, value)) = part.split_once('=').filter(|(key, _)| !key.trim().is_empty())
        else {
            return Err(self.wrong(format_args!(
                "part {at} of the list is no `key=value`; a comma within a value is written %2C"
            )));
        };
        let value = percent_decode_str(value.trim()).decode_utf8().map_err(|_| {
            self.wrong(format_args!("the value in part {at} of the list is not UTF-8"))
        })?;
        Ok((key.trim().to_owned(), value.into_owned()))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn environment(all: &[(&str, &str)]) -> Environment {
        all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_signal_comes_before_every_signal_and_nothing_is_not_set() {
        let all = ("OTEL_EXPORTER_OTLP_TIMEOUT", "1");
        for (signal, name, other) in [
            (Signal::Metrics, "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", Signal::Traces),
            (Signal::Traces, "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", Signal::Metrics),
        ] {
            let found = environment(&[all, (name, "2")]);
            assert_eq!(found.exporter(signal, "TIMEOUT").unwrap().name, name);
            assert_eq!(found.exporter(other, "TIMEOUT").unwrap().name, all.0);
            let found = environment(&[all, (name, "")]);
            assert_eq!(found.exporter(signal, "TIMEOUT").unwrap().value, "1");
        }
        assert!(environment(&[("OTEL_A", " "), ("PATH", "/bin")]).0.is_empty());
    }

    #[test]
    fn pairs_are_decoded_and_what_is_none_is_named_without_its_value() {
        let pairs = |value| Variable { name: "OTEL_X".to_owned(), value }.pairs();
        let found = pairs(" a = b%20c%2C ,d=e=f,,").unwrap();
        assert_eq!(found, [("a", "b c,"), ("d", "e=f")].map(|(k, v)| (k.into(), v.into())));
        for wrong in ["a=1,secret", "a=1,=secret", "a=1,b=secret%ff"] {
            let said = pairs(wrong).unwrap_err().to_string();
            assert!(said.starts_with("OTEL_X: ") && said.contains("part 2"), "{said}");
            assert!(!said.contains("secret"), "{said}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = format!("{:?}", environment(&[("OTEL_EXPORTER_OTLP_HEADERS", "a=secret")]));
        assert_eq!(shown, "{\"OTEL_EXPORTER_OTLP_HEADERS\"}");
    }
}
