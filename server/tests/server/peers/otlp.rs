//! A collector that keeps what it gets, over HTTP.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{KeyValue, any_value},
    logs::v1::LogRecord,
    metrics::v1::{Metric, metric, number_data_point},
    trace::v1::Span,
};

/// A collector on a free port.
pub(crate) struct Collector {
    address: SocketAddr,
    desk: Arc<Desk>,
}

#[derive(Default)]
pub(crate) struct Desk {
    kept: Mutex<Kept>,
    /// What is answered; 200 when nothing is said.
    status: Mutex<Option<StatusCode>>,
}

/// What came.
#[derive(Clone, Default)]
pub(crate) struct Kept {
    pub(crate) spans: Vec<Span>,
    pub(crate) logs: Vec<LogRecord>,
    /// Of the newest export.
    pub(crate) metrics: Vec<Metric>,
    /// Of every export: each distinct one.
    pub(crate) resources: Vec<Vec<KeyValue>>,
    /// Everything as text, to be searched.
    pub(crate) text: String,
}

/// A point of a metric: its attributes, and its sum or count.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) value: f64,
    pub(crate) bounds: Vec<f64>,
}

impl Collector {
    /// Within a runtime, which it lives as long as.
    pub(crate) async fn start() -> Self {
        let desk = Arc::new(Desk::default());
        let router = Router::new()
            .route("/v1/traces", post(traces))
            .route("/v1/metrics", post(metrics))
            .route("/v1/logs", post(logs))
            .with_state(Arc::clone(&desk));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, desk }
    }

    /// Variables that have a server export here, often.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        exporting(&format!("http://{}", self.address), "http/protobuf")
    }

    pub(crate) fn kept(&self) -> Kept {
        self.desk.kept().clone()
    }

    /// What to answer from here on.
    pub(crate) fn answer(&self, status: Option<StatusCode>) {
        *self.desk.status.lock().unwrap() = status;
    }

    /// What came, once it has this.
    pub(crate) async fn until(&self, what: &str, is_there: impl Fn(&Kept) -> bool) -> Kept {
        let begun = Instant::now();
        loop {
            let kept = self.kept();
            if is_there(&kept) {
                return kept;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "waited for {what} in vain");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Variables that have a server export there, often.
pub(crate) fn exporting(endpoint: &str, protocol: &str) -> Vec<(&'static str, String)> {
    [
        ("OBSERVABILITY_ENABLED", "true"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_METRIC_EXPORT_INTERVAL", "200"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "100"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into()
}

impl Desk {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn status(&self) -> StatusCode {
        self.status.lock().unwrap().unwrap_or(StatusCode::OK)
    }

    fn take<T: prost::Message + Default + std::fmt::Debug>(
        &self,
        body: &Bytes,
        keep: impl FnOnce(&mut Kept, T),
    ) -> StatusCode {
        let status = self.status();
        if status == StatusCode::OK {
            let request = T::decode(&**body).expect("it is what the path says");
            let mut kept = self.kept();
            kept.text.push_str(&format!("{request:?}\n"));
            keep(&mut kept, request);
        }
        status
    }
}

impl Kept {
    fn resource(&mut self, attributes: Vec<KeyValue>) {
        if !self.resources.contains(&attributes) {
            self.resources.push(attributes);
        }
    }

    pub(crate) fn metric(&self, name: &str) -> Option<&Metric> {
        self.metrics.iter().find(|metric| metric.name == name)
    }

    /// The points of a metric, none if there is no such.
    pub(crate) fn points(&self, name: &str) -> Vec<Point> {
        self.metric(name).map(points).unwrap_or_default()
    }

    /// The sum over all points of a metric that have this attribute.
    pub(crate) fn sum(&self, name: &str, attribute: (&str, &str)) -> f64 {
        let has = |point: &Point| {
            point.attributes.iter().any(|(key, value)| (key.as_str(), value.as_str()) == attribute)
        };
        self.points(name).iter().filter(|point| has(point)).map(|point| point.value).sum()
    }
}

async fn traces(State(desk): State<Arc<Desk>>, body: Bytes) -> StatusCode {
    desk.take(&body, |kept, request: ExportTraceServiceRequest| {
        for one in request.resource_spans {
            kept.resource(one.resource.unwrap_or_default().attributes);
            kept.spans.extend(one.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
    })
}

async fn metrics(State(desk): State<Arc<Desk>>, body: Bytes) -> StatusCode {
    desk.take(&body, |kept, request: ExportMetricsServiceRequest| {
        kept.metrics.clear();
        for one in request.resource_metrics {
            kept.resource(one.resource.unwrap_or_default().attributes);
            kept.metrics.extend(one.scope_metrics.into_iter().flat_map(|scope| scope.metrics));
        }
    })
}

async fn logs(State(desk): State<Arc<Desk>>, body: Bytes) -> StatusCode {
    desk.take(&body, |kept, request: ExportLogsServiceRequest| {
        for one in request.resource_logs {
            kept.resource(one.resource.unwrap_or_default().attributes);
            kept.logs.extend(one.scope_logs.into_iter().flat_map(|scope| scope.log_records));
        }
    })
}

/// Attributes, as names and printed values.
pub(crate) fn attributes(all: &[KeyValue]) -> Vec<(String, String)> {
    let value = |one: &KeyValue| match one.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        Some(any_value::Value::DoubleValue(number)) => number.to_string(),
        Some(any_value::Value::BoolValue(truth)) => truth.to_string(),
        other => format!("{other:?}"),
    };
    all.iter().map(|one| (one.key.clone(), value(one))).collect()
}

/// One of them.
pub(crate) fn attribute(all: &[KeyValue], name: &str) -> Option<String> {
    attributes(all).into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn points(of: &Metric) -> Vec<Point> {
    let number = |value: &Option<number_data_point::Value>| match value {
        Some(number_data_point::Value::AsDouble(value)) => *value,
        Some(number_data_point::Value::AsInt(value)) => *value as f64,
        None => f64::NAN,
    };
    let numbers = match &of.data {
        Some(metric::Data::Sum(sum)) => &sum.data_points,
        Some(metric::Data::Gauge(gauge)) => &gauge.data_points,
        Some(metric::Data::Histogram(histogram)) => {
            let point = histogram.data_points.iter().map(|one| Point {
                attributes: attributes(&one.attributes),
                value: one.count as f64,
                bounds: one.explicit_bounds.clone(),
            });
            return point.collect();
        }
        _ => return Vec::new(),
    };
    let point = numbers.iter().map(|one| Point {
        attributes: attributes(&one.attributes),
        value: number(&one.value),
        bounds: Vec::new(),
    });
    point.collect()
}
