//! Requests of OTLP, and what a collector says of them.

use opentelemetry_proto::tonic::collector::{
    metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse},
    trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
};

/// A request that exports something.
pub trait Message: prost::Message + Default + 'static {
    /// The answer to it.
    type Response: prost::Message + Default + 'static;

    /// The path of the method that takes it, in gRPC.
    const METHOD: &'static str;

    /// What an answer says was left out.
    fn partial(response: Self::Response) -> Option<Partial>;
}

/// What a collector left out of a request that it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partial {
    /// Points, or spans.
    pub rejected: u64,
    /// Why, or a warning.
    pub words: String,
}

impl Partial {
    fn new(rejected: i64, words: String) -> Self {
        Self { rejected: u64::try_from(rejected).unwrap_or(0), words }
    }
}

impl Message for ExportMetricsServiceRequest {
    type Response = ExportMetricsServiceResponse;

    const METHOD: &'static str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

    fn partial(response: Self::Response) -> Option<Partial> {
        let part = response.partial_success?;
        Some(Partial::new(part.rejected_data_points, part.error_message))
    }
}

impl Message for ExportTraceServiceRequest {
    type Response = ExportTraceServiceResponse;

    const METHOD: &'static str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

    fn partial(response: Self::Response) -> Option<Partial> {
        let part = response.partial_success?;
        Some(Partial::new(part.rejected_spans, part.error_message))
    }
}
