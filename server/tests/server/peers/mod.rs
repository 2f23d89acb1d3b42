//! Those who tests talk to.

pub(crate) mod server;

pub(crate) mod otlp;

pub(crate) mod band;

pub(crate) mod sentry;

pub(crate) mod tool;

pub(crate) mod otelcol;

pub(crate) mod bugsink;

pub(crate) mod writer;
