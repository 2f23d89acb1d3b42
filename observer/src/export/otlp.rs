//! The instruments, and records of voice flows, as OTLP carries them to a collector
//! (<https://opentelemetry.io/docs/specs/otlp/>).

mod environment;

mod resource;

mod request;

mod record;

mod queue;

mod settings;

mod tls;

mod client;

mod backoff;

mod health;

mod exporter;

mod delivery;

pub use configuration::otlp::{Endpoint, EndpointError, Protocol, ProtocolError};

pub use client::{Client, Message, Partial, Refusal, Retry};
pub use delivery::Delivery;
pub use environment::{Environment, EnvironmentError, Signal, Variable};
pub use exporter::{Exporter, Figures};
pub use queue::{QUEUE_FULL, Queue};
pub use record::{ATTRIBUTES, Attribute, Record, SPAN, spans};
pub use request::request;
pub use resource::Resource;
pub use settings::{Settings, SettingsError};

/// What can be lost on the way to a collector, by stage and reason.
pub const LOSSES: [(&str, &str); 5] =
    [exporter::FAILED, exporter::REJECTED, QUEUE_FULL, delivery::FAILED, delivery::REJECTED];
