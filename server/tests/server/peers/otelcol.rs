//! The OpenTelemetry Collector itself, and what it makes of what it gets.

use std::{
    collections::BTreeMap,
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::sleep;
use vc_bot::Api;

use super::{
    server::PATIENCE,
    tool::{free, of_cache},
};

/// How often it is asked again.
const LOOK: std::time::Duration = std::time::Duration::from_millis(50);

/// A collector at work. It is killed when this goes.
pub(crate) struct Otelcol {
    child: Child,
    folder: TempDir,
    grpc: SocketAddr,
    http: SocketAddr,
    prometheus: SocketAddr,
}

/// What a collector writes, a file for each.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signal {
    Traces,
    Metrics,
    Logs,
}

/// A span, a metric or a log record, as OTLP has it in JSON.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) resource: BTreeMap<String, Value>,
    pub(crate) value: Value,
}

/// A line that Prometheus reads.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

impl Otelcol {
    /// One that is ready, or none where the set-up has not brought it.
    pub(crate) async fn start(test: &str) -> Option<Self> {
        let program = of_cache(test, "collector/otelcol", "collector")?;
        for _ in 0..5 {
            if let Some(ready) = Self::attempt(&program).await {
                return Some(ready);
            }
        }
        panic!("the collector does not start");
    }

    /// None where somebody else took one of its ports.
    async fn attempt(program: &Path) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let [grpc, http, prometheus, health] = free();
        let log = folder.path().join("log");
        let child = Command::new(program)
            .arg("--config")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/collector/test.yaml"))
            .env("VC_TEST_OTLP_GRPC", grpc.to_string())
            .env("VC_TEST_OTLP_HTTP", http.to_string())
            .env("VC_TEST_PROMETHEUS", prometheus.to_string())
            .env("VC_TEST_HEALTH", health.to_string())
            .env("VC_TEST_OUT", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .expect("the collector is a program");
        let mut this = Self { child, folder, grpc, http, prometheus };
        let (begun, api) = (Instant::now(), Api::new(&health.to_string()));
        loop {
            if this.child.try_wait().expect("it is ours").is_some() {
                println!("{}", std::fs::read_to_string(log).unwrap_or_default());
                return None;
            }
            if api.get("/").await.is_ok_and(|answer| answer.status.is_success()) {
                return Some(this);
            }
            assert!(begun.elapsed() < PATIENCE, "the collector is never ready");
            sleep(LOOK).await;
        }
    }

    /// Where it takes that protocol.
    pub(crate) fn endpoint(&self, protocol: &str) -> String {
        let address = if protocol == "grpc" { self.grpc } else { self.http };
        format!("http://{address}")
    }

    /// Everything of a signal that was written so far.
    pub(crate) fn items(&self, signal: Signal) -> Vec<Item> {
        let [resources, scopes, items] = signal.keys();
        let text = self.text(signal);
        // A line without its end is still being written.
        let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let mut all = Vec::new();
        for line in lines {
            let request: Value = serde_json::from_str(line).expect("each line is JSON");
            for one in list(&request[resources]) {
                let resource = attributes(&one["resource"]);
                for scope in list(&one[scopes]) {
                    let found = list(&scope[items]).iter().cloned();
                    all.extend(found.map(|value| Item { resource: resource.clone(), value }));
                }
            }
        }
        all
    }

    /// Everything of a signal, once it has this.
    pub(crate) async fn until(
        &self,
        what: &str,
        signal: Signal,
        is_there: impl Fn(&[Item]) -> bool,
    ) -> Vec<Item> {
        let begun = Instant::now();
        loop {
            let items = self.items(signal);
            if is_there(&items) {
                return items;
            }
            assert!(begun.elapsed() < PATIENCE, "waited for {what} in vain: {items:#?}");
            sleep(LOOK).await;
        }
    }

    /// A signal's file as it is.
    pub(crate) fn text(&self, signal: Signal) -> String {
        std::fs::read_to_string(self.file(signal)).unwrap_or_default()
    }

    fn file(&self, signal: Signal) -> PathBuf {
        let name = format!("{signal:?}.jsonl").to_lowercase();
        self.folder.path().join(name)
    }

    /// What Prometheus gets, once it has this.
    pub(crate) async fn scrape_until(
        &self,
        what: &str,
        is_there: impl Fn(&[Sample]) -> bool,
    ) -> Vec<Sample> {
        let (begun, api) = (Instant::now(), Api::new(&self.prometheus.to_string()));
        loop {
            let answer = api.get("/metrics").await.expect("Prometheus is served");
            // Nothing at all is an empty body, which is no text.
            let text = answer.body.as_str().unwrap_or_default();
            let samples: Vec<_> =
                text.lines().filter(|line| !line.starts_with('#')).map(sample).collect();
            if is_there(&samples) {
                return samples;
            }
            assert!(begun.elapsed() < PATIENCE, "waited for {what} in vain: {text}");
            sleep(LOOK).await;
        }
    }
}

impl Drop for Otelcol {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _gone_already = self.child.wait();
    }
}

impl Signal {
    pub(crate) const ALL: [Self; 3] = [Self::Traces, Self::Metrics, Self::Logs];

    /// Of resources, scopes and items, in OTLP's JSON.
    const fn keys(self) -> [&'static str; 3] {
        match self {
            Self::Traces => ["resourceSpans", "scopeSpans", "spans"],
            Self::Metrics => ["resourceMetrics", "scopeMetrics", "metrics"],
            Self::Logs => ["resourceLogs", "scopeLogs", "logRecords"],
        }
    }
}

impl Item {
    /// One of its fields that are text; empty where there is none, as in OTLP.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.value[name].as_str().unwrap_or_default()
    }

    pub(crate) fn attributes(&self) -> BTreeMap<String, Value> {
        attributes(&self.value)
    }
}

impl Sample {
    pub(crate) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// With their types, such as `{"intValue": "1"}`.
fn attributes(of: &Value) -> BTreeMap<String, Value> {
    let one = |it: &Value| (it["key"].as_str().unwrap().to_owned(), it["value"].clone());
    list(&of["attributes"]).iter().map(one).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// `name{label="value",label="value"} value`, where no value of ours has a quote.
fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').expect("a line has a value");
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let labels = labels.trim_end_matches('}').split_terminator("\",").filter_map(|label| {
        let (name, value) = label.split_once("=\"")?;
        Some((name.to_owned(), value.trim_end_matches('"').to_owned()))
    });
    Sample { name: name.to_owned(), labels: labels.collect(), value: value.parse().unwrap() }
}
