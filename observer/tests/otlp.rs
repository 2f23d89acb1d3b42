//! Metrics and records on their way to collectors that are real servers, of gRPC and of HTTP.

#[cfg(test)]
mod otlp {
    mod collector;

    mod exporting;

    mod equality;

    mod delivery;

    mod records;

    mod tls;

    mod command;
}
