//! Each request, as telemetry has it: a span, a point, a line.

use std::{
    any::Any,
    time::{Duration, Instant},
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tokio::time::timeout;
use tracing::{Instrument as _, Span};
use uuid::Uuid;

use crate::{
    observability::{
        Outcome, crash,
        metrics::{self, Metrics, Present},
        tracing::{self as spans, LOG},
    },
    problem::{ErrorType, Problem},
};

/// What a client may name when it asks for help.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How long an answer may take. The work goes on after that, and its answer is nobody's.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request in progress.
struct Exchange {
    metrics: Metrics,
    request: metrics::Request,
    id: String,
    span: Span,
    began: Instant,
    _present: Present,
}

/// Observes a request from its head to the end of its handler. A handler runs to its end
/// even if its client goes away: what it keeps, it also tells of.
pub(super) async fn observe(
    State(metrics): State<Metrics>,
    request: Request,
    next: Next,
) -> Response {
    let described = metrics::Request {
        method: method(request.method()),
        route: request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned()),
    };
    let id = Uuid::new_v4().to_string();
    let header = HeaderValue::from_str(&id);
    let span = spans::request(&described, request.headers(), &id);
    let _present = metrics.request_began(&described);
    let exchange = Exchange {
        metrics,
        request: described,
        id,
        span: span.clone(),
        began: Instant::now(),
        _present,
    };
    let work = async move {
        let response = next.run(request).await;
        exchange.end(&response);
        response
    };
    let work = tokio::spawn(work.instrument(span));
    let mut response = match timeout(PATIENCE, work).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => Problem::Internal("panic").into_response(),
        Err(_) => Problem::Busy.into_response(),
    };
    if let Ok(id) = header {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// What a client gets where code panicked; what the panic said stays here.
pub(super) fn panicked(_: Box<dyn Any + Send>) -> Response {
    Problem::Internal("panic").into_response()
}

impl Exchange {
    fn end(self, response: &Response) {
        // To report an error takes time that the handler did not.
        let took = self.began.elapsed();
        let status = response.status();
        let outcome = match status {
            status if status.is_server_error() => Outcome::Error,
            status if status.is_client_error() => Outcome::Refused,
            _ => Outcome::Success,
        };
        let kind = response.extensions().get::<ErrorType>().map(|kind| kind.0);
        let kind = kind.or_else(|| error_code(status.as_u16()));
        if let Some(kind) = kind.filter(|_| outcome == Outcome::Error) {
            // A panic has been told of where it was.
            if kind != "panic" {
                self.report(kind, status.as_u16());
            }
        }
        self.tell(status.as_u16(), kind, outcome, took);
    }

    fn report(&self, kind: &'static str, status: u16) {
        let metrics::Request { method, route } = &self.request;
        let tags = [
            ("http.request.method", (*method).to_owned()),
            ("http.response.status_code", status.to_string()),
            ("request_id", self.id.clone()),
        ];
        let route = route.clone().map(|route| ("http.route", route));
        crash::report(kind, tags.into_iter().chain(route));
    }

    fn tell(&self, status: u16, error: Option<&'static str>, outcome: Outcome, took: Duration) {
        self.metrics.request_ended(&self.request, status, error, took);
        // As a number: the layer makes text of what has no sign.
        self.span.record("http.response.status_code", i64::from(status));
        if let Some(error) = error {
            self.span.record("error.type", error);
        }
        spans::finish(&self.span, outcome);
        self.log(status, outcome, took);
    }

    fn log(&self, status: u16, outcome: Outcome, took: Duration) {
        let duration_ms = took.as_micros() as f64 / 1_000.0;
        let metrics::Request { method, route } = &self.request;
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: LOG,
                    event = "http.request",
                    outcome = outcome.name(),
                    http.request.method = method,
                    http.route = route,
                    http.response.status_code = status,
                    duration_ms,
                    "a request ended"
                )
            };
        }
        if outcome == Outcome::Error {
            line!(warn);
        } else {
            line!(info);
        }
    }
}

/// One of the methods of RFC 9110 and RFC 5789, else `_OTHER`.
fn method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "CONNECT" => "CONNECT",
        "OPTIONS" => "OPTIONS",
        "TRACE" => "TRACE",
        "PATCH" => "PATCH",
        _ => "_OTHER",
    }
}

/// `error.type` of a status, where nothing better is known.
fn error_code(status: u16) -> Option<&'static str> {
    Some(match status {
        400 => "400",
        401 => "401",
        403 => "403",
        404 => "404",
        405 => "405",
        408 => "408",
        409 => "409",
        413 => "413",
        415 => "415",
        422 => "422",
        429 => "429",
        500 => "500",
        503 => "503",
        507 => "507",
        other if other / 100 == 4 => "4xx",
        other if other / 100 == 5 => "5xx",
        _ => return None,
    })
}
