//! The server as its clients, its collector and its operator see it: the program itself,
//! over real sockets. One program, so that what tests share is built once.

#![cfg(test)]

mod peers;

mod rest;

mod gateway;

mod calls;

mod voice;

mod hostile;

mod talk;

mod contract;

mod telemetry;

mod privacy;

mod failures;

mod command;

mod collector;

mod sentry;
