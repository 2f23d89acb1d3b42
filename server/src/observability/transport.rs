//! How telemetry is sent over HTTP.

use std::time::Duration;

use async_trait::async_trait;
use axum::http::{Request, Response};
use bytes::Bytes;
use opentelemetry_http::{HttpClient, HttpError};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// How long an export may take, unless the environment says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);

/// An answer to an export is small.
const ANSWER: u64 = 1 << 20;

/// A client that blocks, for exporters have threads of their own.
#[derive(Clone, Debug)]
pub(super) struct Transport(ureq::Agent);

impl Transport {
    /// With the time limit of `OTEL_EXPORTER_OTLP_TIMEOUT`, in milliseconds.
    pub(super) fn new() -> Self {
        let timeout = std::env::var("OTEL_EXPORTER_OTLP_TIMEOUT").ok();
        let timeout = timeout.and_then(|text| text.trim().parse().ok()).map(Duration::from_millis);
        // The authorities that this host believes, as over gRPC.
        let native = rustls_native_certs::load_native_certs().certs;
        let native = native.iter().map(|one| Certificate::from_der(one).to_owned());
        let tls =
            TlsConfig::builder().root_certs(RootCerts::new_with_certs(&native.collect::<Vec<_>>()));
        let config = ureq::Agent::config_builder()
            .tls_config(tls.build())
            .timeout_global(Some(timeout.unwrap_or(TIMEOUT)))
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
