//! Log lines: one record, written to standard output and handed to OTLP.

use std::{fmt, time::SystemTime};

use opentelemetry::{
    Context,
    logs::{AnyValue, LogRecord as _, Logger as _, Severity as Level},
    trace::TraceContextExt as _,
};
use opentelemetry_sdk::logs::SdkLogger;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};
use tracing_subscriber::{
    Layer,
    filter::{FilterFn, LevelFilter, filter_fn},
    layer,
    registry::LookupSpan,
};

use super::{
    contract::{self, Carrier},
    output::Output,
    tracing::{LOG, SPAN},
};
use crate::config::Severity;

/// Writes log lines.
pub(super) struct LogLayer {
    output: Output,
    logger: Option<SdkLogger>,
}

/// Of the request that a span is in.
struct RequestId(String);

/// What is said.
struct Line {
    severity: (&'static str, Level),
    event: String,
    outcome: String,
    message: String,
    /// In the order of the call.
    attributes: Vec<(&'static str, Value)>,
}

impl LogLayer {
    pub(super) const fn new(output: Output, logger: Option<SdkLogger>) -> Self {
        Self { output, logger }
    }
}

/// Of what is traced, what lines are made from: everything else costs nothing, for nobody
/// asks it for its words.
pub(super) fn filter(least: Severity) -> FilterFn<impl Fn(&Metadata<'_>) -> bool> {
    let least = match least {
        Severity::Debug => Level::Debug,
        Severity::Info => Level::Info,
        Severity::Warn => Level::Warn,
        Severity::Error => Level::Error,
    };
    let wants = move |metadata: &Metadata<'_>| {
        let target = metadata.target();
        if metadata.is_span() {
            return target == SPAN;
        }
        let (_, level) = severity(metadata.level());
        level >= least && (target == LOG || (level >= Level::Warn && !is_silent(target)))
    };
    let most = if least == Level::Debug { LevelFilter::DEBUG } else { LevelFilter::INFO };
    filter_fn(wants).with_max_level_hint(most)
}

/// Libraries whose lines are not passed on: what the SDK says of exports is counted, and
/// would be exported in turn; and what those of media say is up to whoever sends a packet.
fn is_silent(target: &str) -> bool {
    let library = target.split("::").next().unwrap_or(target);
    library.starts_with("opentelemetry")
        || ["str0m", "str0m_proto", "is", "dimpl", "sctp_proto"].contains(&library)
}

impl<S> Layer<S> for LogLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(
        &self,
        attributes: &span::Attributes<'_>,
        id: &span::Id,
        context: layer::Context<'_, S>,
    ) {
        let mut found = Fields::default();
        attributes.record(&mut found);
        let id_field = found.0.into_iter().find(|(name, _)| *name == "request_id");
        if let (Some((_, Value::String(request))), Some(span)) = (id_field, context.span(id)) {
            span.extensions_mut().insert(RequestId(request));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: layer::Context<'_, S>) {
        let request = context.event_scope(event).and_then(|mut scope| {
            scope.find_map(|span| span.extensions().get::<RequestId>().map(|id| id.0.clone()))
        });
        let line = Line::of(event);
        let now = SystemTime::now();
        self.output.line(line.text(now, request.as_deref()));
        if let Some(logger) = &self.logger {
            line.emit(logger, now, request);
        }
    }
}

impl Line {
    fn of(event: &Event<'_>) -> Self {
        let metadata = event.metadata();
        let severity = severity(metadata.level());
        if metadata.target() != LOG {
            // The words of a library may repeat what it was given.
            let library = metadata.module_path().unwrap_or(metadata.target()).to_owned();
            return Self {
                severity,
                event: contract::DEPENDENCY.to_owned(),
                outcome: "error".to_owned(),
                message: "a library has something to say".to_owned(),
                attributes: vec![("code.namespace", library.into())],
            };
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut line = Self {
            severity,
            event: String::new(),
            outcome: String::new(),
            message: String::new(),
            attributes: Vec::new(),
        };
        for (name, value) in fields.0 {
            match (name, value) {
                ("event", Value::String(text)) => line.event = text,
                ("outcome", Value::String(text)) => line.outcome = text,
                ("message", Value::String(text)) => line.message = text,
                (name, value) => line.attributes.push((name, value)),
            }
        }
        let known = contract::EVENTS.iter().find(|one| one.name == line.event);
        line.attributes.retain(|(name, _)| {
            Carrier::Logs.allows(name) && known.is_some_and(|event| event.fields.contains(name))
        });
        line
    }

    /// It as standard output has it.
    fn text(&self, now: SystemTime, request: Option<&str>) -> String {
        let mut fields = InOrder(Vec::new());
        let mut set = |name: &'static str, value: Value| fields.0.push((name, value));
        set("timestamp", humantime::format_rfc3339_micros(now).to_string().into());
        set("severity", self.severity.0.into());
        set("event", self.event.as_str().into());
        set("outcome", self.outcome.as_str().into());
        set("message", self.message.as_str().into());
        let context = Context::current();
        let span = context.span().span_context().clone();
        if span.is_valid() {
            set("trace_id", span.trace_id().to_string().into());
            set("span_id", span.span_id().to_string().into());
        }
        if let Some(request) = request {
            set("request_id", request.into());
        }
        for (name, value) in &self.attributes {
            set(name, value.clone());
        }
        // Fields are strings, numbers and truths, which all have their JSON.
        serde_json::to_string(&fields).unwrap_or_default() + "\n"
    }

    fn emit(self, logger: &SdkLogger, now: SystemTime, request: Option<String>) {
        let mut record = logger.create_log_record();
        record.set_timestamp(now);
        record.set_observed_timestamp(now);
        record.set_severity_text(self.severity.0);
        record.set_severity_number(self.severity.1);
        record.set_body(self.message.into());
        let known = contract::EVENTS.iter().find(|one| one.name == self.event);
        if let Some(event) = known {
            record.set_event_name(event.name);
        }
        let context = Context::current();
        let span = context.span().span_context().clone();
        if span.is_valid() {
            record.set_trace_context(span.trace_id(), span.span_id(), Some(span.trace_flags()));
        }
        record.add_attribute("outcome", self.outcome);
        if let Some(request) = request {
            record.add_attribute("request_id", request);
        }
        for (name, value) in self.attributes {
            record.add_attribute(name, any(value));
        }
        logger.emit(record);
    }
}

/// Fields, in the order in which people read them.
struct InOrder(Vec<(&'static str, Value)>);

impl Serialize for InOrder {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

fn any(value: Value) -> AnyValue {
    match value {
        Value::Bool(value) => value.into(),
        Value::Number(number) if number.is_f64() => number.as_f64().unwrap_or(f64::NAN).into(),
        Value::Number(number) => number.as_i64().unwrap_or(i64::MAX).into(),
        Value::String(text) => text.into(),
        other => other.to_string().into(),
    }
}

fn severity(level: &tracing::Level) -> (&'static str, Level) {
    match *level {
        tracing::Level::ERROR => ("ERROR", Level::Error),
        tracing::Level::WARN => ("WARN", Level::Warn),
        tracing::Level::INFO => ("INFO", Level::Info),
        _ => ("DEBUG", Level::Debug),
    }
}

/// Fields, as values of JSON.
#[derive(Default)]
struct Fields(Vec<(&'static str, Value)>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push((field.name(), format!("{value:?}").into()));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.name(), value.into()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.push((field.name(), value.into()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.push((field.name(), value.into()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.push((field.name(), json!(value)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.push((field.name(), value.into()));
    }
}
