//! A client of vc-server: its REST API, its gateway, and bots that use both. It knows the
//! wire and none of the server's code.

#![forbid(unsafe_code)]

mod api;

mod gateway;

mod party;

mod line;

pub mod call;

pub use api::{Answer, Api, Login};
pub use gateway::{Gateway, GatewayError, Heard};
pub use line::{Line, LineError, Sent};
pub use party::{Party, Plan, Report};
