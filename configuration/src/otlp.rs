//! Where a collector of OTLP listens, and what it is spoken to.

use std::{fmt, str::FromStr};

use http::Uri;
use serde::{Deserialize, Serialize};

/// The URL of a collector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint {
    url: Uri,
    /// Whether it is of one signal alone, and has its path.
    is_exact: bool,
}

/// What is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Protocol {
    /// gRPC, on HTTP/2.
    #[default]
    Grpc,
    /// Protobuf in requests of HTTP/1.1.
    HttpProtobuf,
}

/// Why something is no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Neither scheme was given.
    #[error("no URL of a collector: give http://HOST:PORT or https://HOST:PORT")]
    NoUrl,
    /// It would be printed.
    #[error("a URL with a user or password in it: give them by OTEL_EXPORTER_OTLP_HEADERS")]
    Credentials,
    /// It would be lost.
    #[error("a URL with a query, which an endpoint has none of")]
    Query,
    /// The service is all that there is in gRPC.
    #[error("has a path, and gRPC knows none: leave it out, or set `otlp_protocol: http/protobuf`")]
    PathOfGrpc,
}

/// A protocol that is not spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no protocol that is spoken here: give grpc or http/protobuf")]
pub struct ProtocolError;

impl Endpoint {
    /// The standard port of a protocol, on loopback.
    #[must_use]
    pub fn on_this_host(protocol: Protocol) -> Self {
        let url = Uri::from_static(match protocol {
            Protocol::Grpc => "http://127.0.0.1:4317",
            Protocol::HttpProtobuf => "http://127.0.0.1:4318",
        });
        Self { url, is_exact: false }
    }

    /// The same, as it is: OTLP's path is not added.
    #[must_use]
    pub fn exact(self) -> Self {
        Self { is_exact: true, ..self }
    }

    /// Where to send a signal by `protocol`, and nothing else.
    ///
    /// # Errors
    /// As [`Endpoint::target`].
    pub fn of(&self, protocol: Protocol, signal: &str) -> Result<Self, EndpointError> {
        Ok(Self { url: self.target(protocol, signal)?, is_exact: true })
    }

    /// Whether it is reached by TLS.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.url.scheme_str() == Some("https")
    }

    /// Where to send a signal, which is `traces`, `metrics` or `logs`, by `protocol`.
    ///
    /// # Errors
    /// When it has a path and the protocol is gRPC.
    pub fn target(&self, protocol: Protocol, signal: &str) -> Result<Uri, EndpointError> {
        match protocol {
            Protocol::Grpc if self.url.path() != "/" => Err(EndpointError::PathOfGrpc),
            Protocol::HttpProtobuf if !self.is_exact => {
                let url = format!("{}/v1/{signal}", self.to_string().trim_end_matches('/'));
                url.parse().map_err(|_| EndpointError::NoUrl)
            }
            _ => Ok(self.url.clone()),
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let url: Uri = text.trim().parse().map_err(|_| EndpointError::NoUrl)?;
        let authority = url.authority().ok_or(EndpointError::NoUrl)?;
        if authority.as_str().contains('@') {
            return Err(EndpointError::Credentials);
        }
        if !matches!(url.scheme_str(), Some("http" | "https")) || authority.host().is_empty() {
            return Err(EndpointError::NoUrl);
        }
        if url.query().is_some() {
            return Err(EndpointError::Query);
        }
        Ok(Self { url, is_exact: false })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.url.to_string();
        out.write_str(if self.url.path() == "/" { text.trim_end_matches('/') } else { &text })
    }
}

impl TryFrom<String> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: String) -> Result<Self, EndpointError> {
        text.parse()
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.to_string()
    }
}

impl FromStr for Protocol {
    type Err = ProtocolError;

    fn from_str(text: &str) -> Result<Self, ProtocolError> {
        match text.trim() {
            "grpc" => Ok(Self::Grpc),
            "http/protobuf" => Ok(Self::HttpProtobuf),
            _ => Err(ProtocolError),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Grpc => "grpc",
            Self::HttpProtobuf => "http/protobuf",
        })
    }
}

impl TryFrom<String> for Protocol {
    type Error = ProtocolError;

    fn try_from(text: String) -> Result<Self, ProtocolError> {
        text.parse()
    }
}

impl From<Protocol> for String {
    fn from(protocol: Protocol) -> Self {
        protocol.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_metrics_is_added_to_a_general_endpoint_only() {
        let endpoint = |text: &str| text.parse::<Endpoint>().unwrap();
        let target =
            |endpoint: Endpoint| endpoint.target(Protocol::HttpProtobuf, "metrics").unwrap();
        for (text, general) in [
            ("http://a:4318", "http://a:4318/v1/metrics"),
            ("http://a:4318/", "http://a:4318/v1/metrics"),
            ("https://a/otlp", "https://a/otlp/v1/metrics"),
            ("http://[::1]:4318/x/", "http://[::1]:4318/x/v1/metrics"),
        ] {
            assert_eq!(target(endpoint(text)), general);
            let of_traces = endpoint(text).of(Protocol::HttpProtobuf, "traces").unwrap();
            assert_eq!(target(of_traces), *general.replace("metrics", "traces"));
            assert_eq!(target(endpoint(text).exact()), text);
        }
        assert_eq!(
            endpoint("http://a:4317").target(Protocol::Grpc, "metrics").unwrap(),
            "http://a:4317"
        );
        let refused = endpoint("http://a/x").target(Protocol::Grpc, "metrics");
        assert_eq!(refused, Err(EndpointError::PathOfGrpc));
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for (text, error) in [
            ("collector:4317", EndpointError::NoUrl),
            ("collector", EndpointError::NoUrl),
            ("ftp://a", EndpointError::NoUrl),
            ("http://", EndpointError::NoUrl),
            ("http://:4317", EndpointError::NoUrl),
            ("/v1/metrics", EndpointError::NoUrl),
            ("http://me:secret@a", EndpointError::Credentials),
            ("http://a/?token=1", EndpointError::Query),
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(error), "{text}");
        }
        assert_eq!("http/json".parse::<Protocol>(), Err(ProtocolError));
    }

    #[test]
    fn what_is_printed_can_be_read_back() {
        for text in ["http://a:4317", "https://b/otlp"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
            assert_eq!(protocol.to_string().parse(), Ok(protocol));
        }
    }
}
