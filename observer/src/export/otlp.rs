//! The instruments, as OTLP carries them to a collector
//! (<https://opentelemetry.io/docs/specs/otlp/>).

mod environment;

mod endpoint;

mod resource;

mod request;

mod settings;

mod tls;

mod client;

mod exporter;

pub use client::{Client, Refusal, Retry};
pub use endpoint::{Endpoint, EndpointError, Protocol, ProtocolError, without_secrets};
pub use environment::{Environment, EnvironmentError, Variable};
pub use exporter::{Exporter, Figures, LOSSES};
pub use request::request;
pub use resource::Resource;
pub use settings::{Settings, SettingsError};
