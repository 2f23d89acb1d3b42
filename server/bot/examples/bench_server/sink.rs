//! A collector that takes everything and keeps next to nothing: how many spans and log
//! records came, and the newest metrics.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use anyhow::{Result, ensure};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{KeyValue, any_value},
    metrics::v1::{metric, number_data_point},
};
use prost::Message as _;
use tokio::{net::TcpListener, task::JoinHandle};

/// The metric by which a server tells what it did not deliver.
const DROPPED: &str = "vc.telemetry.items_dropped";

/// A collector for one server.
pub(crate) struct Sink {
    address: SocketAddr,
    kept: Arc<Kept>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Kept {
    spans: AtomicU64,
    records: AtomicU64,
    metrics: Mutex<Bytes>,
}

/// What a server told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    pub(crate) spans: u64,
    pub(crate) records: u64,
    /// Spans that it could not keep until they were taken.
    pub(crate) dropped_spans: u64,
    /// Log records, likewise.
    pub(crate) dropped_records: u64,
}

impl Told {
    /// What another server of the kind told.
    pub(crate) const fn add(&mut self, other: &Self) {
        self.spans += other.spans;
        self.records += other.records;
        self.dropped_spans += other.dropped_spans;
        self.dropped_records += other.dropped_records;
    }
}

/// An export of traces or logs, whose items are counted and not looked into.
#[derive(Clone, PartialEq, prost::Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<OfResource>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OfResource {
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<OfScope>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OfScope {
    #[prost(bytes = "bytes", repeated, tag = "2")]
    items: Vec<Bytes>,
}

impl Sink {
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let kept = Arc::new(Kept::default());
        let task = tokio::spawn(serve(listener, Arc::clone(&kept)));
        Ok(Self { address, kept, task })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What came so far.
    pub(crate) fn told(&self) -> Result<Told> {
        let kept = &self.kept;
        let (spans, records) = (kept.spans.load(Relaxed), kept.records.load(Relaxed));
        let newest = kept.metrics.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let metrics = ExportMetricsServiceRequest::decode(newest)?;
        let (dropped_spans, dropped_records) =
            (dropped(&metrics, "traces")?, dropped(&metrics, "logs")?);
        Ok(Told { spans, records, dropped_spans, dropped_records })
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, kept: Arc<Kept>) {
    while let Ok((stream, _)) = listener.accept().await {
        let kept = Arc::clone(&kept);
        tokio::spawn(async move {
            let service = service_fn(|request| take(request, &kept));
            // A server that ends cuts it off.
            let _ended = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            let _ended = _ended.await;
        });
    }
}

async fn take(
    request: Request<Incoming>,
    kept: &Kept,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    if let Ok(body) = request.into_body().collect().await {
        let body = body.to_bytes();
        match path.as_str() {
            "/v1/traces" => kept.spans.fetch_add(items(body), Relaxed),
            "/v1/logs" => kept.records.fetch_add(items(body), Relaxed),
            _ => {
                *kept.metrics.lock().unwrap_or_else(PoisonError::into_inner) = body;
                0
            }
        };
    }
    Ok(Response::new(Empty::new()))
}

fn items(body: Bytes) -> u64 {
    let scopes = Export::decode(body).unwrap_or_default().resources;
    let scopes = scopes.into_iter().flat_map(|resource| resource.scopes);
    scopes.map(|scope| scope.items.len() as u64).sum()
}

/// Items of a signal, for whatever reason.
fn dropped(metrics: &ExportMetricsServiceRequest, signal: &str) -> Result<u64> {
    let scopes = metrics.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    let metrics = scopes.flat_map(|scope| &scope.metrics).filter(|one| one.name == DROPPED);
    let points = metrics.flat_map(|metric| match &metric.data {
        Some(metric::Data::Sum(sum)) => sum.data_points.as_slice(),
        _ => &[],
    });
    let points = points.filter(|point| point.attributes.iter().any(|one| is(one, signal)));
    let counts: Vec<u64> = points
        .map(|point| match point.value {
            Some(number_data_point::Value::AsInt(count)) => count.unsigned_abs(),
            _ => 0,
        })
        .collect();
    ensure!(!counts.is_empty(), "metrics did not arrive: nothing was measured");
    Ok(counts.iter().sum())
}

fn is(attribute: &KeyValue, signal: &str) -> bool {
    let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
    attribute.key == "vc.signal"
        && matches!(value, Some(any_value::Value::StringValue(text)) if text == signal)
}
