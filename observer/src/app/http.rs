//! What is served: metrics, the snapshot, health.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};

use super::host::Host;

/// The host, shared between the reader and the server.
pub(super) type Shared = Arc<Mutex<Host>>;

#[derive(Clone)]
struct Service {
    host: Shared,
    listen: SocketAddr,
    interval: Duration,
}

/// Every route.
pub(super) fn router(host: Shared, listen: SocketAddr, interval: Duration) -> Router {
    let service = Service { host, listen, interval };
    let local = Router::new()
        .route("/api/v1/snapshot", get(snapshot))
        .layer(middleware::from_fn_with_state(service.clone(), refuse_foreign_host));
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(healthz))
        .merge(local)
        .fallback(|| async {
            (StatusCode::NOT_FOUND, "try /metrics, /api/v1/snapshot, /healthz or /readyz\n")
        })
        .with_state(service)
}

async fn metrics(State(service): State<Service>) -> Response {
    let metrics = lock(&service.host).metrics().clone();
    match metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
            .into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn snapshot(State(service): State<Service>) -> Response {
    let snapshot = lock(&service.host).snapshot();
    Json(snapshot).into_response()
}

/// Alive and ready are one: the tables were read, and not long ago.
async fn healthz(State(service): State<Service>) -> Response {
    if lock(&service.host).is_alive(service.interval) {
        "ok\n".into_response()
    } else {
        let text =
            "no reading of all the kernel's tables yet, or none for three intervals and 2 s\n";
        (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
    }
}

/// A page of some other site could make a browser ask here under a name that leads to
/// loopback (DNS rebinding). The snapshot names addresses, so it answers only to ours.
async fn refuse_foreign_host(
    State(service): State<Service>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
    if is_ours(host, service.listen) {
        next.run(request).await
    } else {
        (StatusCode::FORBIDDEN, "this answers to localhost and its own address only\n")
            .into_response()
    }
}

fn is_ours(host: &str, listen: SocketAddr) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let literal = name.trim_start_matches('[').trim_end_matches(']');
    literal.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip == listen.ip())
}

fn lock(host: &Shared) -> std::sync::MutexGuard<'_, Host> {
    // A reading that panicked left whole values behind.
    host.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::is_ours;

    #[test]
    fn only_our_own_names_are_answered() {
        let listen = "10.0.0.5:9464".parse().unwrap();
        for host in ["localhost", "localhost:9464", "127.0.0.1:9464", "[::1]:9464", "10.0.0.5:9464"]
        {
            assert!(is_ours(host, listen), "{host}");
        }
        for host in ["", "example.org", "example.org:9464", "10.0.0.6", "localhost.example.org"] {
            assert!(!is_ours(host, listen), "{host}");
        }
    }
}
