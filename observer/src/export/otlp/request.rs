//! The registry's figures as one request (opentelemetry/proto/metrics/v1/metrics.proto).

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::KeyValue,
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
        ResourceMetrics, ScopeMetrics, Sum, metric::Data, number_data_point::Value,
    },
};
use prometheus::proto::{self, MetricFamily};

use super::{
    super::instruments::{ALL, Instrument, Kind},
    resource::{Resource, attribute, scope},
};

/// The label that says which service a series is about.
const SERVICE: &str = "service_name";
const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;

/// What `Registry::gather` gives, with the names, units and attributes of the instruments;
/// what is of no instrument is left out. Sums count from `start` to `now`. Series with a
/// label `service_name` go under a resource of that service.
#[must_use]
pub fn request(
    families: &[MetricFamily],
    resource: &Resource,
    start: SystemTime,
    now: SystemTime,
) -> ExportMetricsServiceRequest {
    let times = Times { start: nanoseconds(start), now: nanoseconds(now) };
    let mut services = BTreeMap::<Option<&str>, Vec<Metric>>::new();
    for family in families {
        let Some(instrument) = ALL.iter().find(|one| one.prometheus_name() == family.name()) else {
            continue;
        };
        let mut series = BTreeMap::<Option<&str>, Vec<&proto::Metric>>::new();
        for one in family.get_metric() {
            series.entry(service(one)).or_default().push(one);
        }
        for (service, series) in series {
            services.entry(service).or_default().push(metric(instrument, &series, &times));
        }
    }
    let of = |(service, metrics)| ResourceMetrics {
        resource: Some(resource.of(service)),
        scope_metrics: vec![ScopeMetrics {
            scope: Some(scope()),
            metrics,
            ..ScopeMetrics::default()
        }],
        ..ResourceMetrics::default()
    };
    ExportMetricsServiceRequest { resource_metrics: services.into_iter().map(of).collect() }
}

/// In ns since 1970.
struct Times {
    start: u64,
    now: u64,
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn service(series: &proto::Metric) -> Option<&str> {
    let label = series.get_label().iter().find(|label| label.name() == SERVICE)?;
    Some(label.value()).filter(|name| !name.is_empty())
}

fn metric(of: &Instrument, series: &[&proto::Metric], times: &Times) -> Metric {
    let numbers = |value: fn(&proto::Metric) -> f64| {
        let point = |one: &&proto::Metric| number(of, one, value(one), times);
        series.iter().map(point).collect::<Vec<_>>()
    };
    let sum = |data_points, is_monotonic| {
        Data::Sum(Sum { data_points, aggregation_temporality: CUMULATIVE, is_monotonic })
    };
    let data = match of.kind {
        Kind::Counter => sum(numbers(|one| one.get_counter().get_value()), true),
        Kind::UpDownCounter => sum(numbers(|one| one.get_gauge().get_value()), false),
        Kind::Gauge => {
            Data::Gauge(Gauge { data_points: numbers(|one| one.get_gauge().get_value()) })
        }
        Kind::Histogram(_) => Data::Histogram(Histogram {
            data_points: series.iter().map(|one| histogram(of, one, times)).collect(),
            aggregation_temporality: CUMULATIVE,
        }),
    };
    Metric {
        name: of.name.to_owned(),
        description: of.meaning.to_owned(),
        unit: of.unit.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

/// What is measured in seconds or shares is a fraction, and all else is counted.
fn number(of: &Instrument, one: &proto::Metric, value: f64, times: &Times) -> NumberDataPoint {
    let is_fraction = matches!(of.unit, "s" | "1");
    NumberDataPoint {
        attributes: attributes(of, one),
        // A gauge is of a moment, and has no beginning.
        start_time_unix_nano: if of.kind == Kind::Gauge { 0 } else { times.start },
        time_unix_nano: times.now,
        value: Some(if is_fraction { Value::AsDouble(value) } else { Value::AsInt(value as i64) }),
        ..NumberDataPoint::default()
    }
}

/// Prometheus counts what is up to a bound, OTLP what is between two.
fn histogram(of: &Instrument, one: &proto::Metric, times: &Times) -> HistogramDataPoint {
    let histogram = one.get_histogram();
    let count = histogram.get_sample_count();
    let buckets = histogram.get_bucket();
    let mut below = 0;
    let upto = buckets.iter().map(proto::Bucket::cumulative_count).chain([count]);
    let between = upto.map(|upto| upto.saturating_sub(std::mem::replace(&mut below, upto)));
    HistogramDataPoint {
        attributes: attributes(of, one),
        start_time_unix_nano: times.start,
        time_unix_nano: times.now,
        count,
        sum: Some(histogram.get_sample_sum()),
        bucket_counts: between.collect(),
        explicit_bounds: buckets.iter().map(proto::Bucket::upper_bound).collect(),
        ..HistogramDataPoint::default()
    }
}

/// Its labels, under the names of the attributes that they were made from.
fn attributes(of: &Instrument, one: &proto::Metric) -> Vec<KeyValue> {
    let named = |label: &proto::LabelPair| {
        let known = of.attributes.iter().find(|known| known.label() == label.name())?;
        Some(attribute(known.name, label.value()))
    };
    one.get_label().iter().filter(|label| label.name() != SERVICE).filter_map(named).collect()
}

#[cfg(test)]
mod tests;
