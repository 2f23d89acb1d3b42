//! People who talk by way of the server, in real browsers: each is heard by each other one,
//! as the browsers count it. A program of its own, so that no other test takes their time.

#![cfg(test)]

#[expect(dead_code, reason = "nobody logs in but by the page")]
#[path = "../server/peers/server.rs"]
mod server;

#[expect(dead_code, reason = "the network is the test's own, with every port free")]
#[path = "../server/peers/tool.rs"]
mod tool;

mod namespace;

mod browser;

mod room;

mod talk;
