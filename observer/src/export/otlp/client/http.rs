//! OTLP over HTTP, as protobuf (<https://opentelemetry.io/docs/specs/otlp/#otlphttp>).

use std::{
    io::{self, Write as _},
    time::SystemTime,
};

use flate2::{Compression, write::GzEncoder};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Request, StatusCode,
    body::{Bytes, Incoming},
    header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue},
};
use prost::Message as _;

use super::{
    super::settings::Settings, Hyper, Message, Refusal, Retry, after, hyper, quoted, retry_after,
    unreachable,
};

/// As much of an answer as is read, in bytes; it has a number and a sentence.
const ANSWER: usize = 1 << 16;

#[derive(Debug)]
pub(super) struct Wire(Hyper<Full<Bytes>>);

impl Wire {
    pub(super) fn new(settings: &Settings) -> Self {
        Self(hyper(settings))
    }

    pub(super) async fn send<M: Message>(
        &self,
        settings: &Settings,
        request: &M,
    ) -> Result<M::Response, Refusal> {
        let never = |words: String| Refusal { words, retry: Retry::Never };
        let mut body = request.encode_to_vec();
        if settings.is_compressed {
            body = gzip(&body).map_err(|error| never(error.to_string()))?;
        }
        let mut request = Request::post(settings.target.clone())
            .body(Full::from(body))
            .map_err(|error| never(error.to_string()))?;
        let headers = request.headers_mut();
        headers.clone_from(&settings.headers);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        if settings.is_compressed {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let soon = |words| Refusal { words, retry: Retry::Soon };
        let answer = self.0.request(request).await.map_err(|error| soon(unreachable(&error)))?;
        let (head, body) = answer.into_parts();
        let body = read(body).await;
        if !head.status.is_success() {
            let retry = match head.status {
                StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT => {
                    after(retry_after(&head.headers, SystemTime::now()))
                }
                _ => Retry::Never,
            };
            return Err(Refusal { words: words(head.status, &body.unwrap_or_default()), retry });
        }
        // It was taken, whatever the rest of the answer says.
        Ok(body.and_then(|body| M::Response::decode(body).ok()).unwrap_or_default())
    }
}

fn gzip(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body)?;
    encoder.finish()
}

/// A whole body, if it is short.
async fn read(body: Incoming) -> Option<Bytes> {
    Some(Limited::new(body, ANSWER).collect().await.ok()?.to_bytes())
}

/// The status, and what a body of type `google.rpc.Status` adds to it.
fn words(status: StatusCode, body: &[u8]) -> String {
    let message =
        tonic_types::Status::decode(body).map(|status| status.message).unwrap_or_default();
    if message.is_empty() { status.to_string() } else { format!("{status}: {}", quoted(&message)) }
}
