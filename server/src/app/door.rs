//! Where connections come in, and how many of them there may be.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo};
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tower::ServiceExt as _;

use crate::auth::Peer;

/// How long the head of a request may take, from the connection or the last answer on.
const HEAD: Duration = Duration::from_secs(30);

/// How long nobody is let in after the system had no descriptor for one.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves connections until `ends` is there, and then those that have a request in
/// progress. At most `most` are open at once; others wait in the listener's queue.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    most: usize,
    ends: impl Future<Output = ()>,
) {
    let room = Arc::new(Semaphore::new(most));
    let graceful = GracefulShutdown::new();
    let mut http = Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
    let mut ends = std::pin::pin!(ends);
    loop {
        let permit = tokio::select! {
            permit = Arc::clone(&room).acquire_owned() => permit,
            () = &mut ends => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut ends => break,
        };
        let Ok((stream, address)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let peer = Peer { address, cookie: cookie(&stream) };
        // What is told is small, and is not to wait for more.
        let _slower = stream.set_nodelay(true);
        let router = router.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            let router = router.clone();
            async move { Ok::<_, Infallible>(router.oneshot(request).await.unwrap_or_default()) }
        });
        let connection = http.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let connection = graceful.watch(connection.into_owned());
        tokio::spawn(async move {
            // A client that breaks off is no news.
            let _broken = connection.await;
            drop(permit);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

fn cookie(stream: &TcpStream) -> Option<u64> {
    rustix::net::sockopt::socket_cookie(stream).ok()
}
