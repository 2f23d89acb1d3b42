//! How telemetry is sent over HTTP.

use std::time::Duration;

use async_trait::async_trait;
use axum::http::{Request, Response};
use bytes::Bytes;
use opentelemetry_http::{HttpClient, HttpError};

/// How long an export may take, unless `OTEL_EXPORTER_OTLP_TIMEOUT` says otherwise.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// An answer to an export is small.
const ANSWER: u64 = 1 << 20;

/// A client that blocks, for exporters have threads of their own.
#[derive(Clone, Debug)]
pub(super) struct Transport(ureq::Agent);

impl Transport {
    pub(super) fn new(timeout: Duration) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            // A collector that sends elsewhere is not the one that was configured.
            .max_redirects(0)
            .build();
        Self(config.into())
    }
}

#[async_trait]
impl HttpClient for Transport {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let response = self.0.run(request.map(|body| body.to_vec()))?;
        let (head, mut body) = response.into_parts();
        let body = body.with_config().limit(ANSWER).read_to_vec()?;
        Ok(Response::from_parts(head, body.into()))
    }
}
