//! Telemetry: traces, metrics and logs under one contract, and Sentry for what breaks.

pub mod contract;

mod outcome;

mod delivery;

mod process;

mod voice;

pub mod metrics;

pub mod tracing;

mod output;

mod logs;

mod transport;

pub(crate) mod crash;

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use opentelemetry::{
    KeyValue, global, logs::LoggerProvider as _, metrics::MeterProvider as _,
    propagation::TextMapCompositePropagator, trace::TracerProvider as _,
};
use opentelemetry_otlp::{
    LogExporter, MetricExporter, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::{
    Resource,
    logs::{BatchConfigBuilder as LogBatching, BatchLogProcessor, SdkLoggerProvider},
    metrics::{PeriodicReader, SdkMeterProvider},
    propagation::{BaggagePropagator, TraceContextPropagator},
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanLimits},
};
use tracing_subscriber::{
    Layer as _,
    filter::{LevelFilter, filter_fn},
    layer::SubscriberExt as _,
};

use crate::config::{Environment, Protocol, Telemetry};
use delivery::{Bounded, Counted, LOGS, METRICS, QUEUE, TRACES};
use logs::LogLayer;
use metrics::Metrics;
use output::Output;
use transport::Transport;

pub use outcome::Outcome;
pub use voice::{Dropped, VoiceTally};

/// `service.version`, and Sentry's release.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Name of the instrumentation scope.
const SCOPE: &str = "vc-server";

/// How long each signal's last export may take.
const FAREWELL: Duration = Duration::from_secs(5);

/// Telemetry at work.
#[must_use = "telemetry that is not shut down loses what waits"]
pub struct Observability {
    tracer: Option<SdkTracerProvider>,
    meter: Option<SdkMeterProvider>,
    logger: Option<SdkLoggerProvider>,
    metrics: Metrics,
    sentry: Option<sentry::ClientInitGuard>,
    output: Output,
}

/// Starts telemetry for this process: once, and from within a tokio runtime.
///
/// # Errors
/// When the exporters cannot be made, or telemetry was started before. That a collector
/// cannot be reached is no error.
pub fn init(config: &Telemetry, environment: Environment) -> anyhow::Result<Observability> {
    global::set_text_map_propagator(TextMapCompositePropagator::new(vec![
        Box::new(TraceContextPropagator::new()),
        Box::new(BaggagePropagator::new()),
    ]));
    let resource = resource(config, environment);
    let tracer = config.enabled.then(|| tracer(config, &resource)).transpose()?;
    let meter = (config.enabled && config.metrics).then(|| meter(config, &resource)).transpose()?;
    let logger = (config.enabled && config.logs).then(|| logger(config, resource)).transpose()?;
    let sentry = crash::start(config, environment);

    let spans = tracer.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer(SCOPE))
            .with_location(false)
            .with_threads(false)
            .with_level(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(
                filter_fn(|metadata| metadata.is_span() && metadata.target() == tracing::SPAN)
                    .with_max_level_hint(LevelFilter::INFO),
            )
    });
    let output = Output::start(&LOGS).context("cannot start a thread for log lines")?;
    let told = logger.as_ref().map(|provider| provider.logger(SCOPE));
    let lines = LogLayer::new(output.clone(), told).with_filter(logs::filter(config.log));
    let subscriber = tracing_subscriber::registry().with(spans).with(lines);
    ::tracing::subscriber::set_global_default(subscriber)
        .map_err(|error| anyhow!("telemetry was started before: {error}"))?;
    crash::log_panics();

    let nobody = SdkMeterProvider::default();
    let provider = meter.as_ref().unwrap_or(&nobody);
    let metrics = Metrics::new(&provider.meter(SCOPE), [&TRACES, &METRICS, &LOGS]);
    announce(config);
    Ok(Observability { tracer, meter, logger, metrics, sentry, output })
}

impl Observability {
    /// The instruments.
    #[must_use]
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Sends what waits, and ends. It blocks for as long as exports take.
    pub fn shutdown(self) {
        std::thread::scope(|scope| {
            scope.spawn(|| self.tracer.map(|provider| provider.shutdown_with_timeout(FAREWELL)));
            scope.spawn(|| self.logger.map(|provider| provider.shutdown_with_timeout(FAREWELL)));
        });
        // Metrics last: they count what became of the others.
        let _counted = self.meter.map(|provider| provider.shutdown_with_timeout(FAREWELL));
        drop(self.sentry);
        self.output.finish();
    }
}

/// One line that says what is told to whom.
fn announce(config: &Telemetry) {
    let all = [("traces", config.traces), ("metrics", config.metrics), ("logs", config.logs)];
    let signals: Vec<_> = all
        .into_iter()
        .filter(|(_, is_on)| config.enabled && *is_on)
        .map(|(name, _)| name)
        .collect();
    let (endpoint, protocol) = if signals.is_empty() {
        ("none".to_owned(), "none".to_owned())
    } else {
        (config.endpoint.to_string(), config.protocol.to_string())
    };
    ::tracing::info!(
        target: tracing::LOG,
        event = "server.start",
        outcome = "success",
        otlp.endpoint = endpoint,
        otlp.protocol = protocol,
        sampler = format!("parentbased_traceidratio/{}", config.sampler_ratio),
        signals = signals.join(","),
        "telemetry is ready"
    );
}

fn resource(config: &Telemetry, environment: Environment) -> Resource {
    let instance = uuid::Uuid::new_v4().to_string();
    Resource::builder()
        .with_service_name(config.service_name.clone())
        .with_attributes([
            KeyValue::new("service.version", VERSION),
            KeyValue::new("service.instance.id", instance),
            KeyValue::new("deployment.environment.name", environment.name()),
        ])
        .build()
}

fn tracer(config: &Telemetry, resource: &Resource) -> anyhow::Result<SdkTracerProvider> {
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sampler_ratio)));
    let builder = SdkTracerProvider::builder()
        .with_resource(resource.clone())
        .with_sampler(sampler)
        .with_span_limits(SpanLimits::default());
    if !config.traces {
        // Spans without an exporter: log lines keep their ids.
        return Ok(builder.build());
    }
    let exporter = match config.protocol {
        Protocol::Grpc => {
            SpanExporter::builder().with_tonic().with_endpoint(config.endpoint.to_string()).build()
        }
        Protocol::HttpProtobuf => SpanExporter::builder()
            .with_http()
            .with_http_client(Transport::new())
            .with_endpoint(target(config, "traces")?)
            .build(),
    };
    let exporter = Counted::new(exporter.context("cannot export traces")?, &TRACES);
    let batching = BatchConfigBuilder::default().with_max_queue_size(QUEUE).build();
    let batch = BatchSpanProcessor::builder(exporter).with_batch_config(batching).build();
    Ok(builder.with_span_processor(Bounded::new(batch, &TRACES)).build())
}

fn meter(config: &Telemetry, resource: &Resource) -> anyhow::Result<SdkMeterProvider> {
    let exporter = match config.protocol {
        Protocol::Grpc => MetricExporter::builder()
            .with_tonic()
            .with_endpoint(config.endpoint.to_string())
            .build(),
        Protocol::HttpProtobuf => MetricExporter::builder()
            .with_http()
            .with_http_client(Transport::new())
            .with_endpoint(target(config, "metrics")?)
            .build(),
    };
    let exporter = Counted::new(exporter.context("cannot export metrics")?, &METRICS);
    let reader = PeriodicReader::builder(exporter).build();
    Ok(SdkMeterProvider::builder().with_resource(resource.clone()).with_reader(reader).build())
}

fn logger(config: &Telemetry, resource: Resource) -> anyhow::Result<SdkLoggerProvider> {
    let exporter = match config.protocol {
        Protocol::Grpc => {
            LogExporter::builder().with_tonic().with_endpoint(config.endpoint.to_string()).build()
        }
        Protocol::HttpProtobuf => LogExporter::builder()
            .with_http()
            .with_http_client(Transport::new())
            .with_endpoint(target(config, "logs")?)
            .build(),
    };
    let exporter = Counted::new(exporter.context("cannot export logs")?, &LOGS);
    let batching = LogBatching::default().with_max_queue_size(QUEUE).build();
    let batch = BatchLogProcessor::builder(exporter).with_batch_config(batching).build();
    let processor = Bounded::new(batch, &LOGS);
    Ok(SdkLoggerProvider::builder().with_resource(resource).with_log_processor(processor).build())
}

fn target(config: &Telemetry, signal: &str) -> anyhow::Result<String> {
    Ok(config.endpoint.target(config.protocol, signal)?.to_string())
}
