//! What is served: metrics, the snapshot, health.

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Extension, Router,
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, spawn_blocking},
    time::{sleep, timeout},
};

use super::host::Host;

/// Connections at once; for one more, the oldest gives way. Clients that only sit there
/// then keep nobody out.
const CONNECTIONS: usize = 16;
/// How long a request may be in coming.
const REQUEST: Duration = Duration::from_secs(5);
/// How long it may take until the client has the whole answer.
const ANSWER: Duration = Duration::from_secs(30);

/// The host, shared between the reader and the server.
pub(super) type Shared = Arc<Mutex<Host>>;

#[derive(Clone)]
struct Service {
    host: Shared,
    /// The reading that was last asked for, and its snapshot as JSON.
    snapshot: Arc<Mutex<Option<(u64, Bytes)>>>,
}

/// The address at which a request came in.
#[derive(Clone, Copy)]
struct Local(SocketAddr);

/// Answers at `listener` for as long as it is polled.
pub(super) async fn serve(listener: TcpListener, host: Shared) {
    let router = router(host);
    let mut connections = VecDeque::<AbortHandle>::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "no connection");
                // Without descriptors the next attempt fails at once, too.
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        connections.retain(|connection| !connection.is_finished());
        if connections.len() == CONNECTIONS
            && let Some(oldest) = connections.pop_front()
        {
            oldest.abort();
        }
        connections.push_back(tokio::spawn(answer(stream, router.clone())).abort_handle());
    }
}

async fn answer(stream: TcpStream, router: Router) {
    let Ok(local) = stream.local_addr() else { return };
    let service = TowerToHyperService::new(router.layer(Extension(Local(local))));
    // One request a connection, so that the time is that request's own.
    let connection = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST)
        .serve_connection(TokioIo::new(stream), service);
    // A client that leaves early, or is too slow, is none of our troubles.
    let _ended = timeout(ANSWER, connection).await;
}

/// Every route.
fn router(host: Shared) -> Router {
    let service = Service { host, snapshot: Arc::default() };
    let local = Router::new()
        .route("/api/v1/snapshot", get(snapshot))
        .layer(middleware::from_fn(refuse_foreign_host));
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
        Err(error) => fail(&error),
    }
}

async fn snapshot(State(service): State<Service>) -> Response {
    match spawn_blocking(move || service.snapshot()).await {
        Ok(Ok(json)) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Ok(Err(error)) => fail(&error),
        Err(error) => fail(&error),
    }
}

fn fail(error: &dyn std::error::Error) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
}

/// Alive and ready are one: the tables were read, and not long ago.
async fn healthz(State(service): State<Service>) -> Response {
    if lock(&service.host).is_alive() {
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
    Extension(Local(local)): Extension<Local>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
    if is_ours(host, local.ip()) {
        next.run(request).await
    } else {
        (StatusCode::FORBIDDEN, "this answers to localhost and its own address only\n")
            .into_response()
    }
}

fn is_ours(host: &str, local: IpAddr) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let literal = name.trim_start_matches('[').trim_end_matches(']');
    literal
        .parse::<IpAddr>()
        .is_ok_and(|ip| ip.is_loopback() || ip.to_canonical() == local.to_canonical())
}

impl Service {
    /// The snapshot of the last reading, made once however many ask for it.
    fn snapshot(&self) -> Result<Bytes, serde_json::Error> {
        let mut known = lock(&self.snapshot);
        let (reading, moment) = {
            let host = lock(&self.host);
            if let Some((reading, json)) = known.as_ref()
                && *reading == host.readings()
            {
                return Ok(json.clone());
            }
            (host.readings(), host.moment())
        };
        let json = Bytes::from(serde_json::to_vec(&moment.snapshot())?);
        *known = Some((reading, json.clone()));
        Ok(json)
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked left whole values behind.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::is_ours;

    #[test]
    fn only_our_own_names_are_answered() {
        for (host, local) in [
            ("localhost", "127.0.0.1"),
            ("localhost:9464", "10.0.0.5"),
            ("127.0.0.1:9464", "127.0.0.1"),
            ("[::1]:9464", "::1"),
            ("10.0.0.5:9464", "10.0.0.5"),
            ("10.0.0.5:9464", "::ffff:10.0.0.5"),
            ("[2001:db8::5]:9464", "2001:db8::5"),
        ] {
            assert!(is_ours(host, local.parse().unwrap()), "{host}");
        }
        for host in ["", "example.org", "example.org:9464", "10.0.0.6", "localhost.example.org"] {
            assert!(!is_ours(host, "10.0.0.5".parse().unwrap()), "{host}");
        }
    }
}
