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
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
    metrics_service_server::{MetricsService, MetricsServiceServer},
};
use prost::Message as _;
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
pub(crate) struct Received {
    pub(crate) at: Instant,
    pub(crate) headers: HeaderMap,
    pub(crate) request: ExportMetricsServiceRequest,
}

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
    answers: Arc<Mutex<VecDeque<Answer>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone)]
struct Desk {
    send: mpsc::Sender<Received>,
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
        let (send, received) = mpsc::channel();
        let answers = Arc::<Mutex<VecDeque<Answer>>>::default();
        let desk = Desk { send, answers: Arc::clone(&answers) };
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
        Self { address, received, answers, stop: Some(stop), thread: Some(thread) }
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
    async fn take(&self, headers: HeaderMap, request: ExportMetricsServiceRequest) -> Answer {
        // A test that has seen enough is gone.
        let _gone = self.send.send(Received { at: Instant::now(), headers, request });
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
        Protocol::Grpc => Routes::new(grpc(desk)).into_axum_router(),
        Protocol::HttpProtobuf => Router::new().route("/v1/metrics", post(http)).with_state(desk),
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

fn grpc(desk: Desk) -> MetricsServiceServer<Desk> {
    MetricsServiceServer::new(desk).accept_compressed(CompressionEncoding::Gzip)
}

fn response(answer: &Answer) -> ExportMetricsServiceResponse {
    let partial_success = match answer {
        Answer::Rejected(count, words) => Some(ExportMetricsPartialSuccess {
            rejected_data_points: *count,
            error_message: (*words).to_owned(),
        }),
        _ => None,
    };
    ExportMetricsServiceResponse { partial_success }
}

#[tonic::async_trait]
impl MetricsService for Desk {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<ExportMetricsServiceResponse>, Status> {
        let (head, _, request) = request.into_parts();
        match self.take(head.into_headers(), request).await {
            Answer::Busy(wait) => {
                let details = ErrorDetails::with_retry_info(Some(wait));
                Err(Status::with_error_details(Code::Unavailable, "busy", details))
            }
            Answer::Refused => Err(Status::invalid_argument("not this")),
            answer => Ok(tonic::Response::new(response(&answer))),
        }
    }
}

async fn http(State(desk): State<Desk>, headers: HeaderMap, body: Bytes) -> Response {
    assert_eq!(headers[header::CONTENT_TYPE], "application/x-protobuf");
    let body = if headers.get(header::CONTENT_ENCODING).is_some() {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain).unwrap();
        plain.into()
    } else {
        body
    };
    let request = ExportMetricsServiceRequest::decode(body).unwrap();
    match desk.take(headers, request).await {
        Answer::Busy(wait) => {
            let wait = wait.as_secs().to_string();
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, wait)]).into_response()
        }
        Answer::Refused => StatusCode::BAD_REQUEST.into_response(),
        answer => response(&answer).encode_to_vec().into_response(),
    }
}
