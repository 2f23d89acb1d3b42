//! A collector of the test's own, which answers as it is told.

use std::{
    collections::VecDeque,
    io::Read as _,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use hyper::server::conn::{http1, http2};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use observer::export::otlp::Protocol;
use opentelemetry_proto::tonic::collector::{
    metrics::v1::{
        ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
        metrics_service_server::{MetricsService, MetricsServiceServer},
    },
    trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::oneshot,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};
use tonic::{Code, Request, Status, codec::CompressionEncoding, service::Routes};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::tls::Identity;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// What came in.
pub(crate) struct Received<M = ExportMetricsServiceRequest> {
    pub(crate) at: Instant,
    pub(crate) headers: HeaderMap,
    pub(crate) request: M,
}

/// The same, of spans.
pub(crate) type Spans = Received<ExportTraceServiceRequest>;

/// How to answer; without one, all is taken.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Taken,
    Rejected(i64, &'static str),
    /// Come back after this.
    Busy(Duration),
    /// Never come back with this.
    Refused,
    /// None.
    Silence,
}

/// A collector on loopback, gone with this.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    received: mpsc::Receiver<Received>,
    spans: mpsc::Receiver<Spans>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone)]
struct Desk {
    metrics: mpsc::Sender<Received>,
    spans: mpsc::Sender<Spans>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
}

impl Collector {
    pub(crate) fn start(protocol: Protocol) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), protocol, None)
    }

    pub(crate) fn encrypted(protocol: Protocol, identity: &Identity) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), protocol, Some(identity))
    }

    /// Again where another was.
    pub(crate) fn at(address: SocketAddr, protocol: Protocol, tls: Option<&Identity>) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let (metrics, received) = mpsc::channel();
        let (send_spans, spans) = mpsc::channel();
        let answers = Arc::<Mutex<VecDeque<Answer>>>::default();
        let desk = Desk { metrics, spans: send_spans, answers: Arc::clone(&answers) };
        let (stop, stopped) = oneshot::channel::<()>();
        let tls = tls.map(Identity::server);
        let thread = thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            // Every connection ends with the runtime.
            runtime.block_on(async move {
                tokio::select! {
                    _ = stopped => {}
                    () = serve(listener, protocol, desk, tls) => {}
                }
            });
        });
        Self { address, received, spans, answers, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.answers.lock().unwrap().extend(answers);
    }

    /// The next request.
    #[track_caller]
    pub(crate) fn next(&self) -> Received {
        self.received.recv_timeout(PATIENCE).unwrap()
    }

    /// The next request with spans.
    #[track_caller]
    pub(crate) fn next_spans(&self) -> Spans {
        self.spans.recv_timeout(PATIENCE).unwrap()
    }

    /// Every such request that is waiting.
    pub(crate) fn rest_of_spans(&self) -> Vec<Spans> {
        self.spans.try_iter().collect()
    }

    /// Whether none comes for a while.
    pub(crate) fn is_left_alone(&self, time: Duration) -> bool {
        self.received.recv_timeout(time).is_err()
    }

    /// Every request that is waiting.
    pub(crate) fn rest(&self) -> Vec<Received> {
        self.received.try_iter().collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ended = self.thread.take().map(JoinHandle::join);
    }
}

impl Desk {
    async fn take<M>(
        &self,
        to: &mpsc::Sender<Received<M>>,
        headers: HeaderMap,
        request: M,
    ) -> Answer {
        // A test that has seen enough is gone.
        let _gone = to.send(Received { at: Instant::now(), headers, request });
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Answer::Taken);
        if matches!(answer, Answer::Silence) {
            std::future::pending::<()>().await;
        }
        answer
    }
}

async fn serve(
    listener: TcpListener,
    protocol: Protocol,
    desk: Desk,
    tls: Option<Arc<ServerConfig>>,
) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let acceptor = tls.map(TlsAcceptor::from);
    let router = match protocol {
        Protocol::Grpc => {
            let gzip = CompressionEncoding::Gzip;
            let metrics = MetricsServiceServer::new(desk.clone()).accept_compressed(gzip);
            let spans = TraceServiceServer::new(desk).accept_compressed(gzip);
            Routes::new(metrics).add_service(spans).into_axum_router()
        }
        Protocol::HttpProtobuf => Router::new()
            .route("/v1/metrics", post(http_metrics))
            .route("/v1/traces", post(http_spans))
            .with_state(desk),
    };
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (router, acceptor) = (router.clone(), acceptor.clone());
        tokio::spawn(async move {
            let Some(acceptor) = acceptor else { return converse(stream, protocol, router).await };
            // A client that does not trust us goes away.
            if let Ok(stream) = acceptor.accept(stream).await {
                converse(stream, protocol, router).await;
            }
        });
    }
}

async fn converse<S>(stream: S, protocol: Protocol, router: Router)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (stream, service) = (TokioIo::new(stream), TowerToHyperService::new(router));
    // A client may leave at any time.
    let _ended = match protocol {
        Protocol::Grpc => {
            http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await
        }
        Protocol::HttpProtobuf => http1::Builder::new().serve_connection(stream, service).await,
    };
}

fn of_metrics(answer: &Answer) -> ExportMetricsServiceResponse {
    let partial_success = rejected(answer).map(|(rejected_data_points, error_message)| {
        ExportMetricsPartialSuccess { rejected_data_points, error_message }
    });
    ExportMetricsServiceResponse { partial_success }
}

fn of_spans(answer: &Answer) -> ExportTraceServiceResponse {
    let partial_success = rejected(answer).map(|(rejected_spans, error_message)| {
        ExportTracePartialSuccess { rejected_spans, error_message }
    });
    ExportTraceServiceResponse { partial_success }
}

fn rejected(answer: &Answer) -> Option<(i64, String)> {
    match answer {
        Answer::Rejected(count, words) => Some((*count, (*words).to_owned())),
        _ => None,
    }
}

/// The status of an answer that takes nothing.
fn refusal(answer: &Answer) -> Result<(), Status> {
    match answer {
        Answer::Busy(wait) => {
            let details = ErrorDetails::with_retry_info(Some(*wait));
            Err(Status::with_error_details(Code::Unavailable, "busy", details))
        }
        Answer::Refused => Err(Status::invalid_argument("not this")),
        _ => Ok(()),
    }
}

#[tonic::async_trait]
impl MetricsService for Desk {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<ExportMetricsServiceResponse>, Status> {
        let (head, _, request) = request.into_parts();
        let answer = self.take(&self.metrics, head.into_headers(), request).await;
        refusal(&answer).map(|()| tonic::Response::new(of_metrics(&answer)))
    }
}

#[tonic::async_trait]
impl TraceService for Desk {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, Status> {
        let (head, _, request) = request.into_parts();
        let answer = self.take(&self.spans, head.into_headers(), request).await;
        refusal(&answer).map(|()| tonic::Response::new(of_spans(&answer)))
    }
}

async fn http_metrics(State(desk): State<Desk>, headers: HeaderMap, body: Bytes) -> Response {
    let request = decoded(&headers, body);
    let answer = desk.take(&desk.metrics, headers, request).await;
    answered(&answer, &of_metrics(&answer))
}

async fn http_spans(State(desk): State<Desk>, headers: HeaderMap, body: Bytes) -> Response {
    let request = decoded(&headers, body);
    let answer = desk.take(&desk.spans, headers, request).await;
    answered(&answer, &of_spans(&answer))
}

fn decoded<M: prost::Message + Default>(headers: &HeaderMap, body: Bytes) -> M {
    assert_eq!(headers[header::CONTENT_TYPE], "application/x-protobuf");
    let body = if headers.get(header::CONTENT_ENCODING).is_some() {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain).unwrap();
        plain.into()
    } else {
        body
    };
    M::decode(body).unwrap()
}

fn answered(answer: &Answer, taken: &impl prost::Message) -> Response {
    match answer {
        Answer::Busy(wait) => {
            let wait = wait.as_secs().to_string();
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, wait)]).into_response()
        }
        Answer::Refused => StatusCode::BAD_REQUEST.into_response(),
        _ => taken.encode_to_vec().into_response(),
    }
}
