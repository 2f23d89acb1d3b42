//! Socket, WebSocket and voice latency of a Linux host, measured in the kernel.
pub mod source;
