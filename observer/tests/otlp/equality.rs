//! A collector and a scraper get the same figures.

use std::{collections::BTreeMap, time::Duration};

use observer::export::{
    instruments::{ALL, Instrument, Kind},
    otlp::Protocol,
};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{KeyValue, any_value},
    metrics::v1::{HistogramDataPoint, metric::Data, number_data_point::Value},
};
use prometheus::{
    CounterVec, Encoder as _, GaugeVec, HistogramOpts, HistogramVec, Opts, Registry, TextEncoder,
    proto::MetricFamily,
};

use super::{
    collector::Collector,
    exporting::{Exporting, PROTOCOLS, Sample},
};

/// Series by their Prometheus names, with labels in order, and their values.
type Series = BTreeMap<String, f64>;

/// Every instrument with several series, of which no two have one value; those whose
/// name begins with `service` also by service.
fn filled() -> Vec<MetricFamily> {
    let registry = Registry::new();
    let mut value = 0_u32;
    for one in ALL {
        let mut labels = one.labels();
        labels.push("service_name".to_owned());
        labels.dedup();
        let labels: Vec<_> = labels.iter().map(String::as_str).collect();
        let options = Opts::new(one.prometheus_name(), one.meaning);
        let sets = ["", "sfu"].into_iter().flat_map(|service| {
            ["a", "b\"\\"].map(|text| {
                let mut set = vec![text; labels.len()];
                *set.last_mut().unwrap() = service;
                set
            })
        });
        // Of an instrument without attributes there is one series a service.
        let sets: std::collections::BTreeSet<_> = sets.collect();
        let mut next = || {
            value += 3;
            f64::from(value) / if matches!(one.unit, "s" | "1") { 7.0 } else { 1.0 }
        };
        match one.kind {
            Kind::Counter => {
                let counter = CounterVec::new(options, &labels).unwrap();
                sets.iter().for_each(|set| counter.with_label_values(set).inc_by(next()));
                registry.register(Box::new(counter)).unwrap();
            }
            Kind::UpDownCounter | Kind::Gauge => {
                let gauge = GaugeVec::new(options, &labels).unwrap();
                sets.iter().for_each(|set| gauge.with_label_values(set).set(next()));
                registry.register(Box::new(gauge)).unwrap();
            }
            Kind::Histogram(bounds) => {
                let options = HistogramOpts::from(options).buckets(bounds.to_vec());
                let histogram = HistogramVec::new(options, &labels).unwrap();
                for set in &sets {
                    let histogram = histogram.with_label_values(set);
                    for (at, bound) in bounds.iter().enumerate() {
                        (0..=at % 4).for_each(|_| histogram.observe(*bound));
                    }
                    histogram.observe(next() + 1e6);
                }
                registry.register(Box::new(histogram)).unwrap();
            }
        }
    }
    registry.gather()
}

/// What a scraper reads.
fn scraped(families: &[MetricFamily]) -> Series {
    let mut text = Vec::new();
    TextEncoder::new().encode(families, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let line = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    text.lines().filter(|line| !line.starts_with('#')).map(line).collect()
}

/// What a collector was sent, put into the same form.
fn collected(request: &ExportMetricsServiceRequest) -> Series {
    let mut all = Series::new();
    let mut add = |name: String, value| assert_eq!(all.insert(name.clone(), value), None, "{name}");
    for resource in &request.resource_metrics {
        let service = text(&resource.resource.as_ref().unwrap().attributes, "service.name");
        let service = if service == "observer" { "" } else { service };
        for metric in resource.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
            let one = ALL.iter().find(|one| one.name == metric.name).unwrap();
            assert_eq!((&*metric.unit, &*metric.description), (one.unit, one.meaning));
            let name = one.prometheus_name();
            let labelled = |end: &str, attributes: &[KeyValue], bound: Option<String>| {
                format!("{name}{end}{{{}}}", labels(attributes, service, bound))
            };
            match metric.data.as_ref().unwrap() {
                Data::Sum(sum) => {
                    assert_eq!(sum.is_monotonic, one.kind == Kind::Counter);
                    for point in &sum.data_points {
                        add(
                            labelled("", &point.attributes, None),
                            number(point.value.unwrap(), one),
                        );
                    }
                }
                Data::Gauge(gauge) => {
                    for point in &gauge.data_points {
                        add(
                            labelled("", &point.attributes, None),
                            number(point.value.unwrap(), one),
                        );
                    }
                }
                Data::Histogram(histogram) => {
                    for point in &histogram.data_points {
                        for (bound, count) in buckets(point) {
                            add(labelled("_bucket", &point.attributes, Some(bound)), count);
                        }
                        add(labelled("_sum", &point.attributes, None), point.sum.unwrap());
                        add(labelled("_count", &point.attributes, None), point.count as f64);
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }
    all
}

/// Counts up to each bound, and to the last, which is none.
fn buckets(point: &HistogramDataPoint) -> Vec<(String, f64)> {
    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
    let bounds = point.explicit_bounds.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
    let mut upto = 0;
    let counts = point.bucket_counts.iter().map(|count| {
        upto += count;
        upto as f64
    });
    bounds.zip(counts).collect()
}

fn number(value: Value, of: &Instrument) -> f64 {
    let is_fraction = matches!(of.unit, "s" | "1");
    match value {
        Value::AsInt(number) if !is_fraction => number as f64,
        Value::AsDouble(number) if is_fraction => number,
        other => panic!("{}: {other:?}", of.name),
    }
}

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> &'a str {
    let value = attributes.iter().find(|one| one.key == key).unwrap().value.as_ref().unwrap();
    match value.value.as_ref().unwrap() {
        any_value::Value::StringValue(text) => text,
        other => panic!("{other:?}"),
    }
}

fn labels(attributes: &[KeyValue], service: &str, bound: Option<String>) -> String {
    let mut labels: Vec<_> = attributes
        .iter()
        .map(|one| (one.key.replace('.', "_"), text(attributes, &one.key).to_owned()))
        .collect();
    labels.push(("service_name".to_owned(), service.to_owned()));
    labels.sort();
    // The text format has a bucket's bound behind all else.
    labels.extend(bound.map(|bound| ("le".to_owned(), bound)));
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let label = |(key, value): &(String, String)| format!("{key}=\"{}\"", quoted(value));
    labels.iter().map(label).collect::<Vec<_>>().join(",")
}

#[test]
fn a_collector_and_a_scraper_get_the_same_figures() {
    let families = filled();
    let scraped = scraped(&families);
    assert!(scraped.len() > 4 * ALL.len(), "{scraped:?}");
    for protocol in PROTOCOLS {
        for compression in ["none", "gzip"] {
            let collector = Collector::start(protocol);
            let variables = [("OTEL_EXPORTER_OTLP_COMPRESSION", compression)];
            let sample = Sample::new(families.clone());
            let hour = Duration::from_secs(3_600);
            let exporting = Exporting::start(&collector.url(), protocol, hour, &variables, &sample);
            let received = collector.next();
            let encoding =
                if protocol == Protocol::Grpc { "grpc-encoding" } else { "content-encoding" };
            let is_gzip = received.headers.get(encoding).is_some_and(|one| one == "gzip");
            assert_eq!(is_gzip, compression == "gzip", "{:?}", received.headers);
            let collected = collected(&received.request);
            for (name, value) in &scraped {
                assert_eq!(collected.get(name), Some(value), "{name}");
            }
            assert_eq!(collected, scraped);
            exporting.stop();
        }
    }
}
