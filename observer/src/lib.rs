//! Socket, WebSocket and voice latency of a Linux host, measured in the kernel.
//!
//! Modules stand in the order in which to read them, and each imports only what
//! stands before it.

pub mod model;

pub mod ledger;

pub mod quality;

pub mod track;

pub mod source;

pub mod export;

pub mod view;

pub mod app;
