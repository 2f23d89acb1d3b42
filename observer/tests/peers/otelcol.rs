//! The OpenTelemetry Collector itself, and the spans that it got.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{cache, folder::Folder, process::Process};

/// How long it may take to be ready, on a slow and busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A collector at work. It is killed when this goes.
pub(crate) struct Otelcol {
    _process: Process,
    folder: Folder,
    grpc: SocketAddr,
    http: SocketAddr,
}

/// A span, as OTLP has it in JSON.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) service: String,
    pub(crate) attributes: BTreeMap<String, Value>,
    pub(crate) value: Value,
}

impl Otelcol {
    /// One that is ready, or none where the set-up has not brought it.
    pub(crate) fn start(test: &str) -> Option<Self> {
        let program = cache::found(test, "collector/otelcol", "collector")?;
        // Somebody else may take one of its ports.
        let ready = (0..5).find_map(|_| Self::attempt(&program));
        Some(ready.expect("the collector starts"))
    }

    fn attempt(program: &Path) -> Option<Self> {
        let folder = Folder::new();
        // All are held before one is let go, or two could be the same.
        let held = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [grpc, http, prometheus, health] = held.map(|one| one.local_addr().unwrap());
        let mut command = Command::new(program);
        command
            .arg("--config")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/collector/test.yaml"))
            .env("VC_TEST_OTLP_GRPC", grpc.to_string())
            .env("VC_TEST_OTLP_HTTP", http.to_string())
            .env("VC_TEST_PROMETHEUS", prometheus.to_string())
            .env("VC_TEST_HEALTH", health.to_string())
            .env("VC_TEST_OUT", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.path().join("log")).unwrap());
        let process = Process::start(&mut command);
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if [grpc, http, health].iter().all(|address| TcpStream::connect(address).is_ok()) {
                return Some(Self { _process: process, folder, grpc, http });
            }
            thread::sleep(Duration::from_millis(50));
        }
        println!("{}", fs::read_to_string(folder.path().join("log")).unwrap_or_default());
        None
    }

    /// Where it takes that protocol.
    pub(crate) fn endpoint(&self, protocol: &str) -> String {
        let address = if protocol == "grpc" { self.grpc } else { self.http };
        format!("http://{address}")
    }

    /// Everything that it wrote of spans, as it is.
    pub(crate) fn text(&self) -> String {
        fs::read_to_string(self.folder.path().join("traces.jsonl")).unwrap_or_default()
    }

    /// The spans that were written so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let text = self.text();
        // A line without its end is still being written.
        let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let mut all = Vec::new();
        for line in lines {
            let request: Value = serde_json::from_str(line).expect("each line is JSON");
            for one in list(&request["resourceSpans"]) {
                let resource = attributes(&one["resource"]);
                let service = resource["service.name"]["stringValue"].as_str().unwrap();
                for value in list(&one["scopeSpans"]).iter().flat_map(|scope| list(&scope["spans"]))
                {
                    let (service, value) = (service.to_owned(), value.clone());
                    all.push(Span { service, attributes: attributes(&value), value });
                }
            }
        }
        all
    }
}

impl Span {
    /// An attribute that is a number; none where there is none.
    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        let value = self.attributes.get(name)?;
        let whole = value["intValue"].as_str().map(|text| text.parse().unwrap());
        Some(whole.unwrap_or_else(|| value["doubleValue"].as_f64().unwrap()))
    }

    /// One that is a text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        Some(self.attributes.get(name)?["stringValue"].as_str().unwrap())
    }

    /// A time in ns since 1970.
    pub(crate) fn time(&self, name: &str) -> u64 {
        self.value[name].as_str().unwrap().parse().unwrap()
    }
}

fn attributes(of: &Value) -> BTreeMap<String, Value> {
    let one = |it: &Value| (it["key"].as_str().unwrap().to_owned(), it["value"].clone());
    list(&of["attributes"]).iter().map(one).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
