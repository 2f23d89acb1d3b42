//! The configuration, read again while the observer runs.

use tracing::Level;

use super::{
    config::{Config, Inputs},
    failure::sentence,
    logging::Filter,
};

/// What it takes to read it again.
pub(super) struct Reload {
    inputs: Inputs,
    filter: Filter,
}

impl Reload {
    pub(super) const fn new(inputs: Inputs, filter: Filter) -> Self {
        Self { inputs, filter }
    }

    /// Reads it again, sets the log filter, says what came of it, and gives what is in
    /// force after `running`. What is wrong changes nothing.
    pub(super) fn next(&self, running: &Config) -> Config {
        self.try_next(running).unwrap_or_else(|error| {
            let error = sentence(error.chain());
            tracing::error!("the configuration stays as it was: {error}");
            running.clone()
        })
    }

    fn try_next(&self, running: &Config) -> anyhow::Result<Config> {
        let read = self.inputs.load_again()?;
        let filter = self.filter.parse(read.log.as_deref())?;
        let next = merge(running, &read);
        let changes = changes(running, &next);
        let say = || {
            if changes.is_empty() {
                tracing::info!("configuration read again: nothing changes");
            } else {
                tracing::info!("configuration read again: {}", changes.join(", "));
            }
        };
        // Of the two filters either may keep it back.
        let said = tracing::enabled!(Level::INFO);
        if said {
            say();
        }
        self.filter.set(filter)?;
        if !said {
            say();
        }
        let waiting = self::changes(&next, &read);
        if !waiting.is_empty() {
            tracing::warn!("needs a restart to take effect: {}", waiting.join(", "));
        }
        Ok(next)
    }
}

/// `running` with what can change of `read`.
fn merge(running: &Config, read: &Config) -> Config {
    Config {
        interval: read.interval,
        flow_idle_timeout: read.flow_idle_timeout,
        connection_idle_timeout: read.connection_idle_timeout,
        targets: read.targets.clone(),
        voice: read.voice.clone(),
        patience: read.patience,
        log: read.log.clone(),
        ..running.clone()
    }
}

/// Each key that differs, with both values.
fn changes(before: &Config, after: &Config) -> Vec<String> {
    let shown = |value: &serde_json::Value| match value {
        serde_json::Value::Null => "unset".to_owned(),
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    before
        .entries()
        .iter()
        .zip(after.entries())
        .filter(|((_, old), (_, new))| old != new)
        .map(|((key, old), (_, new))| format!("{key} from {} to {}", shown(old), shown(&new)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::config::tests::from_text;

    #[test]
    fn what_can_change_changes_and_the_rest_is_named() {
        let running = from_text("interval: 1s\nmax_flows: 10\n");
        let read = from_text("interval: 200ms\nmax_flows: 20\nlog: debug\n");
        let next = merge(&running, &read);
        assert_eq!(
            changes(&running, &next),
            ["interval from 1s to 200ms", "log from unset to debug"]
        );
        assert_eq!(changes(&next, &read), ["max_flows from 10 to 20"]);
        assert!(changes(&read, &read).is_empty());
    }

    #[test]
    fn an_interval_brings_its_idle_times() {
        let running = from_text("interval: 1s\n");
        let read = from_text(
            "interval: 40s\ntargets: {exclude: [{port: 22}]}\nvoice_codecs: {111: opus}\n",
        );
        let next = merge(&running, &read);
        assert_eq!(next, read);
        assert_eq!(
            changes(&running, &next),
            [
                "interval from 1s to 40s",
                "flow_idle_timeout from 1m to 1m 20s",
                r#"targets from {} to {"exclude":[{"port":22}]}"#,
                r#"voice_codecs from {} to {"111":"opus"}"#,
                "voice_one_way_after from 15s to 1m 20s"
            ]
        );
    }
}
