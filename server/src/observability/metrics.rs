//! The instruments, each with its call for whoever counts.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, Meter, UpDownCounter},
};

use super::{
    contract::{self, Kind, Metric},
    delivery::Tally,
    outcome::Outcome,
    process,
    voice::{self, VoiceTally},
};

/// Every instrument.
#[derive(Clone, Debug)]
pub struct Metrics {
    http_duration: Histogram<f64>,
    http_active: UpDownCounter<i64>,
    db_duration: Histogram<f64>,
    registrations: Counter<u64>,
    logins: Counter<u64>,
    token_refreshes: Counter<u64>,
    connections: UpDownCounter<i64>,
    connects: Counter<u64>,
    resumes: Counter<u64>,
    closes: Counter<u64>,
    connection_duration: Histogram<f64>,
    message_sends: Counter<u64>,
    delivery_duration: Histogram<f64>,
    calls: UpDownCounter<i64>,
    call_joins: Counter<u64>,
    call_join_duration: Histogram<f64>,
    voice_sessions: UpDownCounter<i64>,
    voice_joins: Counter<u64>,
    voice_join_duration: Histogram<f64>,
    voice_packets: Arc<VoiceTally>,
}

/// A request, as its metrics tell it from others.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method, one of the known or `_OTHER`.
    pub method: &'static str,
    /// The route's template, if one serves it.
    pub route: Option<String>,
}

/// Something that is there while this is.
#[derive(Debug)]
pub struct Present {
    gauge: UpDownCounter<i64>,
    attributes: Vec<KeyValue>,
}

impl Present {
    fn new(gauge: &UpDownCounter<i64>, attributes: Vec<KeyValue>) -> Self {
        gauge.add(1, &attributes);
        Self { gauge: gauge.clone(), attributes }
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.gauge.add(-1, &self.attributes);
    }
}

impl Metrics {
    /// Makes the instruments, and those that are asked for their value.
    pub(super) fn new(meter: &Meter, tallies: [&'static Tally; 3]) -> Self {
        process::observe(meter);
        observe_deliveries(meter, tallies);
        Self {
            http_duration: histogram(meter, &contract::HTTP_DURATION),
            http_active: up_down(meter, &contract::HTTP_ACTIVE),
            db_duration: histogram(meter, &contract::DB_DURATION),
            registrations: counter(meter, &contract::REGISTRATIONS),
            logins: counter(meter, &contract::LOGINS),
            token_refreshes: counter(meter, &contract::TOKEN_REFRESHES),
            connections: up_down(meter, &contract::CONNECTIONS),
            connects: counter(meter, &contract::CONNECTS),
            resumes: counter(meter, &contract::RESUMES),
            closes: counter(meter, &contract::CLOSES),
            connection_duration: histogram(meter, &contract::CONNECTION_DURATION),
            message_sends: counter(meter, &contract::MESSAGE_SENDS),
            delivery_duration: histogram(meter, &contract::DELIVERY_DURATION),
            calls: up_down(meter, &contract::CALLS),
            call_joins: counter(meter, &contract::CALL_JOINS),
            call_join_duration: histogram(meter, &contract::CALL_JOIN_DURATION),
            voice_sessions: up_down(meter, &contract::VOICE_SESSIONS),
            voice_joins: counter(meter, &contract::VOICE_JOINS),
            voice_join_duration: histogram(meter, &contract::VOICE_JOIN_DURATION),
            voice_packets: voice::observe(meter),
        }
    }

    /// A request began.
    #[must_use]
    pub fn request_began(&self, request: &Request) -> Present {
        let attributes = vec![
            KeyValue::new("http.request.method", request.method),
            KeyValue::new("url.scheme", "http"),
        ];
        Present::new(&self.http_active, attributes)
    }

    /// A request ended. One with a method that its route does not have is of no route:
    /// anybody could make up as many series as there are.
    pub fn request_ended(
        &self,
        request: &Request,
        status: u16,
        error: Option<&'static str>,
        took: Duration,
    ) {
        let mut attributes = vec![
            KeyValue::new("http.request.method", request.method),
            KeyValue::new("url.scheme", "http"),
            KeyValue::new("http.response.status_code", i64::from(status)),
        ];
        if let Some(route) = request.route.as_ref().filter(|_| status != 405) {
            attributes.push(KeyValue::new("http.route", route.clone()));
        }
        if let Some(error) = error {
            attributes.push(KeyValue::new("error.type", error));
        }
        self.http_duration.record(took.as_secs_f64(), &attributes);
    }

    /// An operation on the database ended.
    pub fn query(
        &self,
        operation: &'static str,
        collection: &'static str,
        error: Option<&'static str>,
        took: Duration,
    ) {
        let mut attributes = vec![
            KeyValue::new("db.system.name", "sqlite"),
            KeyValue::new("db.operation.name", operation),
            KeyValue::new("db.collection.name", collection),
        ];
        if let Some(error) = error {
            attributes.push(KeyValue::new("error.type", error));
        }
        self.db_duration.record(took.as_secs_f64(), &attributes);
    }

    /// Somebody asked for an account.
    pub fn registration(&self, outcome: Outcome) {
        self.registrations.add(1, &[outcome.attribute()]);
    }

    /// Somebody tried to log in.
    pub fn login(&self, outcome: Outcome) {
        self.logins.add(1, &[outcome.attribute()]);
    }

    /// Somebody tried to refresh a token.
    pub fn token_refresh(&self, outcome: Outcome) {
        self.token_refreshes.add(1, &[outcome.attribute()]);
    }

    /// A gateway connection is open while this is.
    #[must_use]
    pub fn connection(&self) -> Present {
        Present::new(&self.connections, Vec::new())
    }

    /// A gateway connection asked for a session: `first` or `reconnect`.
    pub fn connect(&self, kind: &'static str) {
        self.connects.add(1, &[KeyValue::new("vc.connect.kind", kind)]);
    }

    /// Somebody wanted to go on with a session.
    pub fn resume(&self, outcome: Outcome) {
        self.resumes.add(1, &[outcome.attribute()]);
    }

    /// A gateway connection ended.
    pub fn close(&self, code: &'static str, initiator: &'static str, lasted: Duration) {
        let attributes = [
            KeyValue::new("websocket.close.code", code),
            KeyValue::new("websocket.initiator", initiator),
        ];
        self.closes.add(1, &attributes);
        self.connection_duration.record(lasted.as_secs_f64(), &[]);
    }

    /// Somebody sent a message, by `rest` or `gateway`.
    pub fn message_send(&self, via: &'static str, outcome: Outcome) {
        self.message_sends.add(1, &[KeyValue::new("vc.message.via", via), outcome.attribute()]);
    }

    /// A message that was received then is handed over.
    pub fn delivery(&self, received: Instant) {
        self.delivery_duration.record(received.elapsed().as_secs_f64(), &[]);
    }

    /// A call rings or is under way while this is.
    #[must_use]
    pub fn call(&self) -> Present {
        Present::new(&self.calls, Vec::new())
    }

    /// An invitation ended, that long after the call's start.
    pub fn call_join(&self, outcome: Outcome, took: Duration) {
        self.call_joins.add(1, &[outcome.attribute()]);
        self.call_join_duration.record(took.as_secs_f64(), &[outcome.attribute()]);
    }

    /// The media of a voice session is connected while this is.
    #[must_use]
    pub fn voice_session(&self) -> Present {
        Present::new(&self.voice_sessions, Vec::new())
    }

    /// An attempt to join a voice room ended.
    pub fn voice_join(&self, outcome: Outcome, took: Duration) {
        self.voice_joins.add(1, &[outcome.attribute()]);
        self.voice_join_duration.record(took.as_secs_f64(), &[outcome.attribute()]);
    }

    /// Where voice packets are counted.
    #[must_use]
    pub fn voice_packets(&self) -> Arc<VoiceTally> {
        Arc::clone(&self.voice_packets)
    }
}

fn counter(meter: &Meter, metric: &Metric) -> Counter<u64> {
    let builder = meter.u64_counter(metric.name).with_unit(metric.unit);
    builder.with_description(metric.meaning).build()
}

fn up_down(meter: &Meter, metric: &Metric) -> UpDownCounter<i64> {
    let builder = meter.i64_up_down_counter(metric.name).with_unit(metric.unit);
    builder.with_description(metric.meaning).build()
}

fn histogram(meter: &Meter, metric: &Metric) -> Histogram<f64> {
    let boundaries = match metric.kind {
        Kind::Histogram(boundaries) => boundaries.to_vec(),
        _ => Vec::new(),
    };
    let builder = meter.f64_histogram(metric.name).with_unit(metric.unit);
    builder.with_description(metric.meaning).with_boundaries(boundaries).build()
}

fn observe_deliveries(meter: &Meter, tallies: [&'static Tally; 3]) {
    let metric = &contract::EXPORTS_FAILED;
    let builder = meter.u64_observable_counter(metric.name).with_unit(metric.unit);
    let failed = builder.with_description(metric.meaning).with_callback(move |observer| {
        for tally in tallies {
            observer.observe(tally.failed(), &[KeyValue::new("vc.signal", tally.signal())]);
        }
    });
    failed.build();
    let metric = &contract::ITEMS_DROPPED;
    let builder = meter.u64_observable_counter(metric.name).with_unit(metric.unit);
    let dropped = builder.with_description(metric.meaning).with_callback(move |observer| {
        for tally in tallies {
            for (reason, count) in tally.dropped() {
                let attributes =
                    [KeyValue::new("vc.signal", tally.signal()), KeyValue::new("reason", reason)];
                observer.observe(count, &attributes);
            }
        }
    });
    dropped.build();
}
