//! Where connections come in, and how many of them there may be.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
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
    most: u32,
    ends: impl Future<Output = ()>,
) {
    let room = Arc::new(Semaphore::new(most as usize));
    let (end, ended) = watch::channel(());
    // HTTP/1 alone: who finds out which version is spoken waits for the first bytes without end.
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let mut ends = pin!(ends);
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
        let connection = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
        let mut ended = ended.clone();
        tokio::spawn(async move {
            let mut connection = pin!(connection);
            // A client that breaks off is no news.
            tokio::select! {
                _broken = &mut connection => {}
                _sent_or_gone = ended.changed() => {
                    connection.as_mut().graceful_shutdown();
                    let _broken = connection.await;
                }
            }
            drop(permit);
        });
    }
    drop(listener);
    let _nobody_is_there = end.send(());
    // Every permit means no connection.
    let _all = room.acquire_many(most).await;
}

fn cookie(stream: &TcpStream) -> Option<u64> {
    rustix::net::sockopt::socket_cookie(stream).ok()
}
