//! Collectors that are away, busy, picky or silent.

use std::{
    net::{SocketAddr, TcpListener},
    time::{Duration, Instant},
};

use observer::{export::metrics::Metrics, model::ProcessUsage};
use opentelemetry_proto::tonic::metrics::v1::{metric::Data, number_data_point::Value};

use super::{
    collector::{Answer, Collector, Received},
    exporting::{Exporting, PROTOCOLS, Sample},
};

const SHORT: Duration = Duration::from_millis(200);
const HOUR: Duration = Duration::from_secs(3_600);

/// A free port. Somebody else may take it in between.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn count(lines: &[String], words: &str) -> usize {
    lines.iter().filter(|line| line.contains(words)).count()
}

#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_collector_may_come_late_and_go_and_return() {
    for protocol in PROTOCOLS {
        let address = free();
        let sample = Sample::empty();
        let url = format!("http://{address}");
        let exporting = Exporting::start(&url, protocol, SHORT, &[], &sample);
        until("exports fail", || sample.losses()[0] >= 3);
        let collector = Collector::at(address, protocol, None);
        exporting.wait_for("takes metrics again");
        let before = sample.losses()[0];
        (0..3).for_each(|_| drop(collector.next()));
        assert_eq!(sample.losses()[0], before, "what arrives is not lost");
        drop(collector);
        until("exports fail again", || sample.losses()[0] >= before + 3);
        let collector = Collector::at(address, protocol, None);
        collector.next();
        collector.next();
        collector.next();
        let log = exporting.stop();
        assert_eq!(count(&log, "WARN"), 2, "{log:#?}");
        assert_eq!(count(&log, "does not take metrics"), 2, "{log:#?}");
        assert!(count(&log, "refused") > 0, "it is said why: {log:#?}");
        assert_eq!(count(&log, "takes metrics again"), 2, "{log:#?}");
        assert_eq!(count(&log, "INFO"), 2, "{log:#?}");
    }
}

#[test]
fn a_busy_collector_is_left_alone_for_as_long_as_it_asks() {
    let wait = Duration::from_secs(1);
    for protocol in PROTOCOLS {
        let collector = Collector::start(protocol);
        collector.answer([Answer::Busy(wait), Answer::Busy(wait)]);
        let sample = Sample::empty();
        let exporting = Exporting::start(&collector.url(), protocol, HOUR, &[], &sample);
        let times = [(); 3].map(|()| collector.next().at);
        for pair in times.windows(2) {
            let waited = pair[1] - pair[0];
            assert!((wait..wait * 5).contains(&waited), "{waited:?}");
        }
        assert!(collector.is_left_alone(SHORT));
        exporting.stop();
        assert_eq!(sample.losses(), [0, 0], "it arrived within its interval");
    }
}

#[test]
fn a_wait_that_outlasts_the_interval_is_kept_and_counted() {
    for protocol in PROTOCOLS {
        let collector = Collector::start(protocol);
        collector.answer([Answer::Busy(Duration::from_secs(2))]);
        let sample = Sample::empty();
        let exporting = Exporting::start(&collector.url(), protocol, SHORT, &[], &sample);
        let (first, second) = (collector.next().at, collector.next().at);
        assert!(second - first >= Duration::from_secs(2), "{:?}", second - first);
        exporting.stop();
        assert!(sample.losses()[0] >= 5, "{:?}", sample.losses());
    }
}

#[test]
fn what_is_refused_for_good_is_not_sent_again() {
    for protocol in PROTOCOLS {
        let collector = Collector::start(protocol);
        collector.answer([Answer::Refused]);
        let sample = Sample::empty();
        let exporting = Exporting::start(&collector.url(), protocol, HOUR, &[], &sample);
        collector.next();
        assert!(collector.is_left_alone(Duration::from_millis(1_500)));
        assert_eq!(sample.losses(), [1, 0]);
        exporting.stop();
        collector.next();
        assert_eq!(sample.losses(), [1, 0], "the last one was taken");
    }
}

#[test]
fn points_that_are_rejected_are_counted_and_said_once() {
    for protocol in PROTOCOLS {
        let collector = Collector::start(protocol);
        collector.answer([3, 4].map(|count| Answer::Rejected(count, "too\nold")));
        let sample = Sample::empty();
        let exporting = Exporting::start(&collector.url(), protocol, SHORT, &[], &sample);
        exporting.wait_for("takes metrics again");
        let log = exporting.stop();
        assert_eq!(sample.losses(), [0, 7]);
        assert_eq!(count(&log, "WARN"), 1, "{log:#?}");
        assert_eq!(count(&log, "too"), 1, "{log:#?}");
        assert_eq!(count(&log, "rejected=3"), 1, "{log:#?}");
        assert_eq!(count(&log, "takes metrics again"), 1, "{log:#?}");
    }
}

#[test]
fn a_silent_collector_costs_no_more_than_the_time_limit() {
    for protocol in PROTOCOLS {
        let collector = Collector::start(protocol);
        collector.answer([Answer::Silence]);
        let sample = Sample::empty();
        let limit = [("OTEL_EXPORTER_OTLP_TIMEOUT", "300")];
        let exporting = Exporting::start(&collector.url(), protocol, HOUR, &limit, &sample);
        let (first, second) = (collector.next().at, collector.next().at);
        let least = Duration::from_millis(500);
        assert!(second - first >= least, "it backs off: {:?}", second - first);
        exporting.wait_for("takes metrics again");
        collector.answer([Answer::Silence]);
        let begun = Instant::now();
        let log = exporting.stop();
        assert!(begun.elapsed() < Duration::from_secs(3));
        assert_eq!(count(&log, "no answer within 300ms"), 2, "{log:#?}");
        assert_eq!(count(&log, "the last metrics were not exported"), 1, "{log:#?}");
    }
}

#[test]
fn the_end_waits_five_seconds_for_the_last_export() {
    for protocol in PROTOCOLS {
        let collector = Collector::start(protocol);
        collector.answer([Answer::Silence, Answer::Silence]);
        let exporting = Exporting::start(&collector.url(), protocol, HOUR, &[], &Sample::empty());
        collector.next();
        let begun = Instant::now();
        exporting.stop();
        let took = begun.elapsed();
        assert!((Duration::from_secs(5)..Duration::from_secs(8)).contains(&took), "{took:?}");
    }
}

/// What was said of memory.
fn memory(received: &Received) -> i64 {
    let metrics = received.request.resource_metrics.iter().flat_map(|one| &one.scope_metrics);
    let mut metrics = metrics.flat_map(|scope| &scope.metrics);
    match metrics.find(|one| one.name == "process.memory.usage").map(|one| &one.data) {
        Some(Some(Data::Sum(sum))) => match sum.data_points[0].value {
            Some(Value::AsInt(number)) => number,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_export_and_the_last_has_the_newest_figures_and_the_headers() {
    let figures = |memory_bytes| {
        let metrics = Metrics::new().unwrap();
        let time = Duration::ZERO;
        metrics.process(&ProcessUsage { user: time, system: time, memory_bytes, descriptors: 1 });
        metrics.gather()
    };
    for protocol in PROTOCOLS {
        let collector = Collector::start(protocol);
        let sample = Sample::new(figures(1));
        let headers = [("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20t,x-scope=a")];
        let exporting = Exporting::start(&collector.url(), protocol, HOUR, &headers, &sample);
        let first = collector.next();
        assert_eq!(memory(&first), 1);
        assert_eq!(first.headers["authorization"], "Bearer t");
        assert_eq!(first.headers["x-scope"], "a");
        let agent = first.headers["user-agent"].to_str().unwrap();
        assert!(agent.starts_with("observer/"), "{agent}");
        sample.set(figures(2));
        let log = exporting.stop();
        assert!(!log.concat().contains("Bearer"), "{log:#?}");
        assert_eq!(memory(&collector.next()), 2);
        assert!(collector.rest().is_empty());
    }
}
