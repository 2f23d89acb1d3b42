//! vc-server: chat for communities, over a REST API and a WebSocket gateway, with calls
//! that ring. It tells little of itself, and that under a written contract:
//! `docs/ops/observability-contract.md`.

#![forbid(unsafe_code)]

pub mod config;

pub mod observability;

pub mod store;

pub mod problem;

pub mod events;

pub mod auth;

pub mod chat;

pub mod voice;

pub mod ws;

pub mod app;

pub mod cli;
