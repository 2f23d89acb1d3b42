//! `observer` with a collector, as its user meets it.

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use observer::export::otlp::Protocol;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;

use super::collector::{Collector, Received};

fn observer() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_observer"));
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    command
        .env_remove("OBSERVER_CONFIG")
        .env("OBSERVER_LISTEN", free.to_string())
        .env("OBSERVER_INTERVAL", "200ms")
        .stdin(Stdio::null());
    command
}

/// Ended with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

/// How often the kernel's maps had been read.
fn readings(received: &Received) -> u64 {
    let metrics = &received.request.resource_metrics[0].scope_metrics[0].metrics;
    let one = metrics.iter().find(|one| one.name == "observer.reading.duration").unwrap();
    match one.data.as_ref().unwrap() {
        Data::Histogram(histogram) => histogram.data_points[0].count,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_run_exports_from_its_start_to_its_end() {
    for (protocol, name) in [(Protocol::Grpc, "grpc"), (Protocol::HttpProtobuf, "http/protobuf")] {
        let collector = Collector::start(protocol);
        let mut child = observer()
            .arg("run")
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", name)
            .env("OTEL_METRIC_EXPORT_INTERVAL", "500")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut running = Running(child);
        assert!(log.any(|line| line.unwrap().contains("exporting metrics")));
        let counts = [(); 3].map(|()| readings(&collector.next()));
        assert!(counts.is_sorted() && counts[0] < counts[2], "{counts:?}");
        collector.rest();
        // SAFETY: the process is our child, and not waited for yet.
        assert_eq!(unsafe { libc::kill(running.0.id() as i32, libc::SIGTERM) }, 0);
        let begun = Instant::now();
        assert_eq!(running.0.wait().unwrap().code(), Some(0));
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert!(readings(collector.rest().last().unwrap()) > counts[2]);
    }
}

#[test]
fn the_last_export_comes_whatever_the_interval() {
    let collector = Collector::start(Protocol::Grpc);
    let mut command = observer();
    command.args(["run", "--otlp-endpoint", &collector.url(), "--otlp-interval", "1h"]);
    let running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut running = Running(running);
    collector.next();
    // SAFETY: the process is our child, and not waited for yet.
    assert_eq!(unsafe { libc::kill(running.0.id() as i32, libc::SIGTERM) }, 0);
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
    assert_eq!(collector.rest().len(), 1);
}

fn output(command: &mut Command) -> Output {
    command.output().unwrap()
}

#[test]
fn what_is_wrong_is_named_and_ends_with_2() {
    for (variable, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "zip"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1m"),
        ("OTEL_METRICS_EXPORTER", "console"),
        ("OTEL_RESOURCE_ATTRIBUTES", "nothing"),
    ] {
        let mut command = observer();
        command.args(["run"]).env("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://127.0.0.1:1");
        if variable.ends_with("ENDPOINT") {
            command.env_remove("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT");
        }
        let output = output(command.env(variable, value));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(variable) && !said.contains("secret"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    for (key, value) in [
        ("otlp-endpoint", "collector:4317"),
        ("otlp-endpoint", "http://127.0.0.1:4317/v1/metrics"),
        ("otlp-protocol", "http/json"),
        ("otlp-interval", "1ms"),
    ] {
        let output = output(observer().args(["config", &format!("--{key}"), value]));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(key) || said.contains(&key.replace('-', "_")), "{said}");
    }
}

#[test]
fn the_configuration_names_the_variable_and_no_header() {
    let mut command = observer();
    command
        .args(["config", "--otlp-protocol", "http/protobuf"])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
        .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=secret")
        .env("OTEL_METRIC_EXPORT_INTERVAL", "5000")
        .env("OBSERVER_OTLP_INTERVAL", "7s");
    let printed = String::from_utf8(output(&mut command).stdout).unwrap();
    for (value, source) in [
        ("otlp_endpoint: http://127.0.0.1:4318", "# OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("otlp_protocol: http/protobuf", "# --otlp-protocol"),
        ("otlp_interval: 7s", "# OBSERVER_OTLP_INTERVAL"),
    ] {
        let line = printed.lines().find(|line| line.starts_with(value));
        assert!(line.is_some_and(|line| line.ends_with(source)), "{value}: {printed}");
    }
    assert!(!printed.contains("secret"), "{printed}");
}
