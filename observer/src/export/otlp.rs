//! The instruments, as OTLP carries them to a collector
//! (<https://opentelemetry.io/docs/specs/otlp/>).

mod environment;

mod resource;

mod request;

mod settings;

mod tls;

mod client;

mod exporter;

pub use configuration::otlp::{Endpoint, EndpointError, Protocol, ProtocolError};

pub use client::{Client, Refusal, Retry};
pub use environment::{Environment, EnvironmentError, Variable};
pub use exporter::{Exporter, Figures, LOSSES};
pub use request::request;
pub use resource::Resource;
pub use settings::{Settings, SettingsError};
