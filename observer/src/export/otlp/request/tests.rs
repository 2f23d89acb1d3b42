use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::any_value;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use super::*;
use crate::{
    export::{
        instruments::{TCP_CONNECT, VOICE_PACKETS},
        metrics::Metrics,
        otlp::Environment,
    },
    model::MapFill,
};

const START: SystemTime = UNIX_EPOCH;

fn encoded(families: &[MetricFamily]) -> Vec<ResourceMetrics> {
    let resource = Resource::new(&Environment::default(), None).unwrap();
    request(families, &resource, START, START + Duration::from_secs(9)).resource_metrics
}

fn texts(attributes: &[KeyValue]) -> Vec<(&str, &str)> {
    attributes.iter().map(|one| (one.key.as_str(), text(one))).collect()
}

fn text(attribute: &KeyValue) -> &str {
    match attribute.value.as_ref().unwrap().value.as_ref().unwrap() {
        any_value::Value::StringValue(text) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_instrument_has_its_name_kind_unit_and_meaning() {
    let metrics = Metrics::new().unwrap();
    metrics.probe("ingress", true);
    metrics.map("flows", MapFill { entries: 1, limit: 2 });
    let all = encoded(&metrics.gather());
    assert_eq!(all.len(), 1, "no series has a service");
    let [scope] = &all[0].scope_metrics[..] else { panic!("{all:?}") };
    assert_eq!(scope.scope.as_ref().unwrap().name, "observer");
    for (name, unit, is_monotonic) in [
        ("observer.host.softnet.drops", "{packet}", Some(true)),
        ("observer.map.entries", "{entry}", Some(false)),
        ("observer.completeness", "1", None),
        ("observer.probe.up", "{probe}", None),
    ] {
        let metric = scope.metrics.iter().find(|one| one.name == name).unwrap();
        assert_eq!(metric.unit, unit);
        assert!(!metric.description.is_empty());
        let found = match metric.data.as_ref().unwrap() {
            Data::Sum(sum) => {
                assert_eq!(sum.aggregation_temporality, CUMULATIVE);
                Some(sum.is_monotonic)
            }
            Data::Gauge(_) => None,
            other => panic!("{other:?}"),
        };
        assert_eq!(found, is_monotonic, "{name}");
    }
}

#[test]
fn buckets_are_counted_between_two_bounds() {
    let registry = Registry::new();
    let options = HistogramOpts::new(TCP_CONNECT.prometheus_name(), "help").buckets(vec![1.0, 2.0]);
    let histogram = HistogramVec::new(options, &["outcome"]).unwrap();
    registry.register(Box::new(histogram.clone())).unwrap();
    // A bound belongs to the bucket below it, in Prometheus and in OTLP.
    for value in [0.5, 1.0, 1.5, 2.5, 9.0, 9.5] {
        histogram.with_label_values(&["success"]).observe(value);
    }
    let all = encoded(&registry.gather());
    let Some(Data::Histogram(histogram)) = &all[0].scope_metrics[0].metrics[0].data else {
        panic!("{all:?}")
    };
    let point = &histogram.data_points[0];
    assert_eq!(point.bucket_counts, [2, 1, 3]);
    assert_eq!(point.explicit_bounds, [1.0, 2.0]);
    assert_eq!((point.count, point.sum), (6, Some(24.0)));
    assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (0, 9_000_000_000));
    assert_eq!(texts(&point.attributes), [("outcome", "success")]);
}

#[test]
fn a_service_is_a_resource_and_no_attribute() {
    let registry = Registry::new();
    let options = Opts::new(VOICE_PACKETS.prometheus_name(), "help");
    let counter = IntCounterVec::new(options, &["service_name", "voice_media"]).unwrap();
    registry.register(Box::new(counter.clone())).unwrap();
    for (service, count) in [("sfu", 7), ("", 1), ("bot", 3)] {
        counter.with_label_values(&[service, "audio"]).inc_by(count);
    }
    let all = encoded(&registry.gather());
    let found = all.iter().map(|one| {
        let resource = &one.resource.as_ref().unwrap().attributes;
        let Some(Data::Sum(sum)) = &one.scope_metrics[0].metrics[0].data else { panic!("{one:?}") };
        let [point] = &sum.data_points[..] else { panic!("{sum:?}") };
        assert_eq!(texts(&point.attributes), [("voice.media", "audio")]);
        let (key, service) = texts(resource)[0];
        assert_eq!(key, "service.name");
        (service, point.value.unwrap())
    });
    let expected = [("observer", 1), ("bot", 3), ("sfu", 7)];
    let expected = expected.map(|(service, count)| (service, Value::AsInt(count)));
    assert_eq!(found.collect::<Vec<_>>(), expected);
}
