//! OTLP over gRPC (<https://opentelemetry.io/docs/specs/otlp/#otlpgrpc>).

use hyper_util::client::legacy;
use tonic::{
    Code, Extensions, Request, Status, body::Body, client::Grpc, codec::CompressionEncoding,
    codegen::http::uri::PathAndQuery, metadata::MetadataMap,
};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt as _;
use tower::util::MapErr;

use super::{
    super::settings::Settings, Hyper, Message, Refusal, Retry, after, hyper, quoted, unreachable,
};

/// An HTTP client whose errors are what gRPC calls unavailable.
type Channel = MapErr<Hyper<Body>, fn(legacy::Error) -> Status>;

#[derive(Debug)]
pub(super) struct Wire(Grpc<Channel>);

impl Wire {
    pub(super) fn new(settings: &Settings) -> Self {
        let channel: Channel =
            MapErr::new(hyper(settings), |error| Status::unavailable(unreachable(&error)));
        let client = Grpc::with_origin(channel, settings.target.clone());
        Self(if settings.is_compressed {
            client.send_compressed(CompressionEncoding::Gzip)
        } else {
            client
        })
    }

    pub(super) async fn send<M: Message>(
        &mut self,
        settings: &Settings,
        request: M,
    ) -> Result<M::Response, Refusal> {
        let headers = MetadataMap::from_headers(settings.headers.clone());
        let request = Request::from_parts(headers, Extensions::default(), request);
        self.0.ready().await.map_err(|status| refusal(&status))?;
        let method = PathAndQuery::from_static(M::METHOD);
        let answer = self.0.unary(request, method, ProstCodec::<M, M::Response>::default()).await;
        Ok(answer.map_err(|status| refusal(&status))?.into_inner())
    }
}

fn refusal(status: &Status) -> Refusal {
    let asked = status.get_details_retry_info();
    let wait = asked.as_ref().and_then(|asked| asked.retry_delay);
    let retry = match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => after(wait),
        // Only a collector that says when has a hope to recover.
        Code::ResourceExhausted if asked.is_some() => after(wait),
        _ => Retry::Never,
    };
    Refusal { words: format!("{:?}: {}", status.code(), quoted(status.message())), retry }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn the_codes_of_the_specification_are_retried() {
        for (code, retry) in [
            (Code::Cancelled, Retry::Soon),
            (Code::DeadlineExceeded, Retry::Soon),
            (Code::Aborted, Retry::Soon),
            (Code::OutOfRange, Retry::Soon),
            (Code::Unavailable, Retry::Soon),
            (Code::DataLoss, Retry::Soon),
            (Code::ResourceExhausted, Retry::Never),
            (Code::Unknown, Retry::Never),
            (Code::InvalidArgument, Retry::Never),
            (Code::Unauthenticated, Retry::Never),
            (Code::Unimplemented, Retry::Never),
        ] {
            assert_eq!(refusal(&Status::new(code, "")).retry, retry, "{code:?}");
        }
    }

    #[test]
    fn a_collector_says_when() {
        let wait = Duration::from_secs(4);
        let details = ErrorDetails::with_retry_info(Some(wait));
        for code in [Code::ResourceExhausted, Code::Unavailable] {
            let status = Status::with_error_details(code, "full", details.clone());
            let expected = Refusal { words: format!("{code:?}: full"), retry: Retry::After(wait) };
            assert_eq!(refusal(&status), expected);
        }
        let status = Status::with_error_details(Code::NotFound, "", details);
        assert_eq!(refusal(&status).retry, Retry::Never);
    }
}
