//! Whether telemetry arrives: what exporters lose is counted, and what waits is bounded.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use opentelemetry::{
    Context, InstrumentationScope,
    logs::Severity,
    trace::{SpanContext, Status, TraceState},
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    logs::{BatchLogProcessor, LogBatch, LogExporter, LogProcessor, SdkLogRecord},
    metrics::{
        Temporality,
        data::{AggregatedMetrics, Metric, MetricData, ResourceMetrics},
        exporter::PushMetricExporter,
    },
    trace::{BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor},
};

use super::{
    contract::{self, Carrier},
    tracing::LOG,
};

/// Spans, or log records, that may wait for their export: the SDK's own default.
pub(super) const QUEUE: usize = 2_048;

/// What became of a signal's items.
#[derive(Debug)]
pub(super) struct Tally {
    signal: &'static str,
    waiting: AtomicUsize,
    failed: AtomicU64,
    dropped_from_queue: AtomicU64,
    dropped_by_export: AtomicU64,
    dropped_from_output: AtomicU64,
    is_failing: AtomicBool,
}

/// Of spans.
pub(super) static TRACES: Tally = Tally::new("traces");
/// Of points.
pub(super) static METRICS: Tally = Tally::new("metrics");
/// Of log records.
pub(super) static LOGS: Tally = Tally::new("logs");

impl Tally {
    const fn new(signal: &'static str) -> Self {
        Self {
            signal,
            waiting: AtomicUsize::new(0),
            failed: AtomicU64::new(0),
            dropped_from_queue: AtomicU64::new(0),
            dropped_by_export: AtomicU64::new(0),
            dropped_from_output: AtomicU64::new(0),
            is_failing: AtomicBool::new(false),
        }
    }

    /// `traces`, `metrics` or `logs`.
    pub(super) const fn signal(&self) -> &'static str {
        self.signal
    }

    /// Exports that failed.
    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }

    /// Items that are gone, by reason.
    pub(super) fn dropped(&self) -> [(&'static str, u64); 3] {
        [
            ("queue_full", self.dropped_from_queue.load(Relaxed)),
            ("export_failed", self.dropped_by_export.load(Relaxed)),
            ("output_full", self.dropped_from_output.load(Relaxed)),
        ]
    }

    /// A line found no room on its way to standard output.
    pub(super) fn drop_line(&self) {
        self.dropped_from_output.fetch_add(1, Relaxed);
    }

    /// Whether one more may wait.
    fn admit(&self) -> bool {
        let admitted = self.waiting.fetch_add(1, Relaxed) < QUEUE;
        if !admitted {
            self.waiting.fetch_sub(1, Relaxed);
            self.dropped_from_queue.fetch_add(1, Relaxed);
        }
        admitted
    }

    /// An export of so many items ended.
    fn exported(&self, items: usize, outcome: &OTelSdkResult) {
        let is_failing = outcome.is_err();
        if is_failing {
            self.failed.fetch_add(1, Relaxed);
            self.dropped_by_export.fetch_add(items as u64, Relaxed);
        }
        if self.is_failing.swap(is_failing, Relaxed) == is_failing {
            return;
        }
        if is_failing {
            tracing::warn!(target: LOG, event = "telemetry.export", outcome = "error", vc.signal = self.signal, "a collector does not take telemetry");
        } else {
            tracing::info!(target: LOG, event = "telemetry.export", outcome = "success", vc.signal = self.signal, "a collector takes telemetry again");
        }
    }
}

/// An exporter that counts, and passes on what the contract names.
#[derive(Debug)]
pub(super) struct Counted<E> {
    inner: E,
    tally: &'static Tally,
}

impl<E> Counted<E> {
    pub(super) const fn new(inner: E, tally: &'static Tally) -> Self {
        Self { inner, tally }
    }
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        let items = batch.len();
        self.tally.waiting.fetch_sub(items, Relaxed);
        batch.retain_mut(clean);
        let outcome = self.inner.export(batch).await;
        self.tally.exported(items, &outcome);
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Removes what the contract does not name; false when it does not name the span.
fn clean(span: &mut SpanData) -> bool {
    let Some(known) = contract::SPANS.iter().find(|one| match one.name {
        contract::REQUEST => {
            span.attributes.iter().any(|it| it.key.as_str() == "http.request.method")
        }
        name => name == span.name,
    }) else {
        return false;
    };
    span.attributes.retain(|attribute| {
        let name = attribute.key.as_str();
        known.attributes.contains(&name) && Carrier::Spans.allows(name)
    });
    span.events.events.clear();
    for link in &mut span.links.links {
        link.attributes.clear();
        link.span_context = without_state(&link.span_context);
    }
    span.span_context = without_state(&span.span_context);
    if let Status::Error { description } = &mut span.status {
        *description = "".into();
    }
    true
}

/// `tracestate` is a caller's text.
fn without_state(context: &SpanContext) -> SpanContext {
    SpanContext::new(
        context.trace_id(),
        context.span_id(),
        context.trace_flags(),
        context.is_remote(),
        TraceState::default(),
    )
}

impl<E: LogExporter> LogExporter for Counted<E> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let items = batch.iter().count();
        self.tally.waiting.fetch_sub(items, Relaxed);
        let outcome = self.inner.export(batch).await;
        self.tally.exported(items, &outcome);
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl<E: PushMetricExporter> PushMetricExporter for Counted<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let outcome = self.inner.export(metrics).await;
        let all = metrics.scope_metrics().flat_map(|scope| scope.metrics());
        self.tally.exported(all.map(points).sum(), &outcome);
        outcome
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.inner.temporality()
    }
}

fn points(metric: &Metric) -> usize {
    fn of<T>(data: &MetricData<T>) -> usize {
        match data {
            MetricData::Gauge(all) => all.data_points().count(),
            MetricData::Sum(all) => all.data_points().count(),
            MetricData::Histogram(all) => all.data_points().count(),
            MetricData::ExponentialHistogram(all) => all.data_points().count(),
        }
    }
    match metric.data() {
        AggregatedMetrics::F64(data) => of(data),
        AggregatedMetrics::U64(data) => of(data),
        AggregatedMetrics::I64(data) => of(data),
    }
}

/// A queue that says what it does not take.
#[derive(Debug)]
pub(super) struct Bounded<P> {
    inner: P,
    tally: &'static Tally,
}

impl<P> Bounded<P> {
    pub(super) const fn new(inner: P, tally: &'static Tally) -> Self {
        Self { inner, tally }
    }
}

impl SpanProcessor for Bounded<BatchSpanProcessor> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.tally.admit() {
            self.inner.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl LogProcessor for Bounded<BatchLogProcessor> {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        if self.tally.admit() {
            self.inner.emit(record, scope);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn event_enabled(&self, level: Severity, target: &str, name: Option<&str>) -> bool {
        self.inner.event_enabled(level, target, name)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
