//! A connection that stays open, with one request at a time. Answers are taken and not
//! looked into: the machine is the server's.

use anyhow::{Context as _, Result, ensure};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    client::conn::http1::{self, SendRequest},
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use vc_bot::Login;

pub(crate) struct Connection(SendRequest<Full<Bytes>>);

impl Connection {
    pub(crate) async fn open(host: &str) -> Result<Self> {
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        let (requests, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // How it ends is heard by whoever waits for an answer.
        tokio::spawn(connection);
        Ok(Self(requests))
    }

    /// Sends a request, and takes the answer, which has to be this.
    pub(crate) async fn ask(
        &mut self,
        request: &Request<Full<Bytes>>,
        expected: StatusCode,
    ) -> Result<()> {
        self.0.ready().await?;
        let answer = self.0.send_request(request.clone()).await?;
        let status = answer.status();
        ensure!(status == expected, "{}: the server answers {status}", request.uri());
        let mut body = answer.into_body();
        while let Some(frame) = body.frame().await {
            frame?;
        }
        Ok(())
    }
}

/// A request by somebody, with JSON or without a body.
pub(crate) fn request(
    login: &Login,
    method: Method,
    path: &str,
    json: Option<String>,
) -> Result<Request<Full<Bytes>>> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, login.api.host())
        .header(AUTHORIZATION, format!("Bearer {}", login.access_token));
    if json.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let body = json.map(Bytes::from).unwrap_or_default();
    request.body(Full::new(body)).context("a request is put together wrongly")
}
