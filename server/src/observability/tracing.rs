//! The spans, each made in one place. Only these reach the exporter: the layer listens to
//! [`SPAN`] alone, and what libraries trace stays inside.

use axum::http::HeaderMap;
use opentelemetry::{
    Array, Context, StringValue, Value, global,
    propagation::{Extractor, Injector},
    trace::TraceContextExt as _,
};
use opentelemetry_http::HeaderExtractor;
use tracing::{Span, field::Empty, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{metrics::Request, outcome::Outcome};

/// Target of spans that are exported.
pub const SPAN: &str = "vc.span";

/// Target of log lines.
pub const LOG: &str = "vc.log";

/// A request's root span, which goes on with the caller's trace.
pub(crate) fn request(request: &Request, headers: &HeaderMap, request_id: &str) -> Span {
    let name = match &request.route {
        Some(route) => format!("{} {route}", request.method),
        None => request.method.to_owned(),
    };
    let span = info_span!(
        target: SPAN,
        "http.request",
        otel.name = name,
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = request.method,
        http.route = request.route,
        http.response.status_code = Empty,
        url.scheme = "http",
        error.type = Empty,
        outcome = Empty,
        request_id,
    );
    continue_from(&span, &HeaderExtractor(headers));
    span
}

/// `auth.login`
pub(crate) fn login() -> Span {
    info_span!(target: SPAN, "auth.login", otel.status_code = Empty, outcome = Empty)
}

/// `auth.token_refresh`
pub(crate) fn token_refresh() -> Span {
    info_span!(target: SPAN, "auth.token_refresh", otel.status_code = Empty, outcome = Empty)
}

/// `chat.message_send`, by a request.
pub(crate) fn message_send_by_rest() -> Span {
    info_span!(
        target: SPAN,
        "chat.message_send",
        otel.status_code = Empty,
        outcome = Empty,
        vc.message.via = "rest",
    )
}

/// `chat.message_send`, by a message of the gateway that may bring its own context.
pub(crate) fn message_send_by_gateway(
    session: &Span,
    cookie: Option<u64>,
    context: &impl Extractor,
) -> Span {
    let span = info_span!(
        target: SPAN,
        parent: None,
        "chat.message_send",
        otel.status_code = Empty,
        outcome = Empty,
        vc.message.via = "gateway",
        socket.cookie = cookie.map(attribute),
    );
    if !continue_from(&span, context) {
        // A session is too long a trace for its messages.
        span.add_link(session.context().span().span_context().clone());
    }
    span
}

/// `ws.connection_open`
pub(crate) fn connection_open(parent: &Context, cookie: Option<u64>) -> Span {
    let span = info_span!(
        target: SPAN,
        parent: None,
        "ws.connection_open",
        otel.status_code = Empty,
        outcome = Empty,
        vc.connect.kind = Empty,
        socket.cookie = cookie.map(attribute),
    );
    below(span, parent.clone())
}

/// `ws.session`
pub(crate) fn session(parent: &Context, cookie: Option<u64>) -> Span {
    let span = info_span!(
        target: SPAN,
        parent: None,
        "ws.session",
        otel.status_code = Empty,
        outcome = Empty,
        websocket.close.code = Empty,
        websocket.initiator = Empty,
        socket.cookie = cookie.map(attribute),
    );
    below(span, parent.clone())
}

/// A span that outlives its parent: it knows the parent's context, and does not hold it.
fn below(span: Span, parent: Context) -> Span {
    let _cannot_be_late = span.set_parent(parent);
    span
}

/// `voice.call_join`
pub(crate) fn call_join() -> Span {
    info_span!(target: SPAN, "voice.call_join", otel.status_code = Empty, outcome = Empty)
}

/// `voice.session_join`, by a message of the gateway that may bring its own context.
pub(crate) fn voice_join(gateway: &Span, context: &impl Extractor) -> Span {
    let span = info_span!(
        target: SPAN,
        parent: None,
        "voice.session_join",
        otel.status_code = Empty,
        outcome = Empty,
        socket.cookie = Empty,
    );
    if !continue_from(&span, context) {
        span.add_link(gateway.context().span().span_context().clone());
    }
    span
}

/// `voice.session`
pub(crate) fn voice_session(join: &Span, key: &VoiceKey) -> Span {
    let span = info_span!(
        target: SPAN,
        parent: None,
        "voice.session",
        otel.status_code = Empty,
        outcome = Empty,
        socket.cookie = Empty,
    );
    let span = below(span, join.context());
    key.record(&span);
    span
}

/// By what the kernel's figures of a voice session are found.
#[derive(Clone, Debug, Default)]
pub(crate) struct VoiceKey {
    /// `SO_COOKIE` of the voice port, which many sessions share.
    pub(crate) cookie: Option<u64>,
    /// `USERNAME` of the client's connectivity checks (RFC 8445, 7.2.2): our fragment, a
    /// colon, the client's. One more after each restart of ICE.
    pub(crate) ufrags: Vec<String>,
}

impl VoiceKey {
    /// Puts it onto a span, in place of what was there.
    pub(crate) fn record(&self, span: &Span) {
        if let Some(cookie) = self.cookie {
            span.record("socket.cookie", attribute(cookie));
        }
        match &self.ufrags[..] {
            [] => {}
            [one] => span.set_attribute("voice.ice_ufrag", one.clone()),
            all => {
                let all = all.iter().cloned().map(StringValue::from).collect();
                span.set_attribute("voice.ice_ufrag", Value::Array(Array::String(all)));
            }
        }
    }
}

/// `db.query`
pub(crate) fn query(operation: &'static str, collection: &'static str) -> Span {
    info_span!(
        target: SPAN,
        "db.query",
        otel.kind = "client",
        otel.status_code = Empty,
        db.system.name = "sqlite",
        db.operation.name = operation,
        db.collection.name = collection,
        error.type = Empty,
        outcome = Empty,
    )
}

/// Says how what a span is about ended.
pub(crate) fn finish(span: &Span, outcome: Outcome) {
    span.record("outcome", outcome.name());
    if outcome == Outcome::Error {
        span.record("otel.status_code", "ERROR");
    }
}

/// A cookie has 64 bits and an attribute 63; the kernel counts from 1.
#[expect(clippy::cast_possible_wrap, reason = "the kernel will not count that far")]
const fn attribute(cookie: u64) -> i64 {
    cookie as i64
}

/// Whether there was a context to go on with.
fn continue_from(span: &Span, context: &impl Extractor) -> bool {
    let parent = global::get_text_map_propagator(|propagator| {
        // An empty context to begin with: the one at hand is of some other request.
        propagator.extract_with_context(&Context::new(), context)
    });
    let is_one = parent.span().span_context().is_valid();
    // Baggage goes along even where there is no trace yet.
    let _cannot_be_late = span.set_parent(parent);
    is_one
}

/// `traceparent` of a span, for whoever gets what it made.
#[must_use]
pub(crate) fn traceparent(span: &Span) -> Option<String> {
    #[derive(Default)]
    struct Header(Option<String>);
    impl Injector for Header {
        fn set(&mut self, key: &str, value: String) {
            // What else travels is between the sender and the server.
            if key == "traceparent" {
                self.0 = Some(value);
            }
        }
    }
    let mut header = Header::default();
    let context = span.context();
    global::get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut header));
    header.0
}
