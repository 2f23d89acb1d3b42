//! Requests: pages of messages, and who one is, in turn.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use http_body_util::Full;
use hyper::{Method, Request, StatusCode, body::Bytes};
use serde_json::json;
use tokio::task::JoinSet;
use vc_bot::Login;

use super::{
    Load,
    connection::{Connection, request},
    figures::Turn,
    server::Server,
};

/// Connections, each with one request at a time.
const CLIENTS: usize = 8;
/// Messages of a channel, and of a page of it.
const MESSAGES: usize = 200;
const PAGE: usize = 50;
/// Characters of a message.
const LENGTH: usize = 100;

/// Of one user, who has one community.
pub(crate) struct Requests {
    clients: Vec<Client>,
}

struct Client {
    connection: Connection,
    page: Request<Full<Bytes>>,
    me: Request<Full<Bytes>>,
}

impl Load for Requests {
    const TRAFFIC: &'static str = "REST";
    const UNIT: &'static str = "request";

    async fn prepare(server: &Server) -> Result<Self> {
        let login = user(server, "alice").await?;
        let (_, channel) = community(std::slice::from_ref(&login)).await?;
        let messages = format!("/api/v1/channels/{channel}/messages");
        for _ in 0..MESSAGES {
            let body = json!({"content": "x".repeat(LENGTH)});
            let status = login.api.post(&messages, &body).await?.status;
            ensure!(status == StatusCode::CREATED, "a message is refused: {status}");
        }
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(Client {
                connection: Connection::open(server.host()).await?,
                page: request(&login, Method::GET, &format!("{messages}?limit={PAGE}"), None)?,
                me: request(&login, Method::GET, "/api/v1/users/me", None)?,
            });
        }
        Ok(Self { clients })
    }

    async fn turn(&mut self, time: Duration) -> Result<Turn> {
        let began = Instant::now();
        let until = began + time;
        let mut busy = JoinSet::new();
        for client in self.clients.drain(..) {
            busy.spawn(client.run(until));
        }
        let mut done = 0;
        while let Some(client) = busy.join_next().await {
            let (client, requests) = client??;
            self.clients.push(client);
            done += requests;
        }
        Ok(Turn::since(began, done))
    }
}

impl Client {
    async fn run(mut self, until: Instant) -> Result<(Self, u64)> {
        let mut done = 0;
        while Instant::now() < until {
            self.connection.ask(&self.page, StatusCode::OK).await?;
            self.connection.ask(&self.me, StatusCode::OK).await?;
            done += 2;
        }
        Ok((self, done))
    }
}

/// Somebody with an account, logged in.
pub(crate) async fn user(server: &Server, name: &str) -> Result<Login> {
    let api = server.api();
    api.register(name, "a password of bots").await?;
    api.log_in(name, "a password of bots").await
}

/// A community of the first of these that all are in, and its first channel.
pub(crate) async fn community(logins: &[Login]) -> Result<(i64, i64)> {
    let [first, others @ ..] = logins else { bail!("a community is somebody's") };
    let community = first.api.post("/api/v1/communities", &json!({"name": "bench"})).await?.body;
    let invitation = json!({"invite_code": community["invite_code"]});
    for login in others {
        let status = login.api.post("/api/v1/communities/join", &invitation).await?.status;
        ensure!(status.is_success(), "a member is refused: {status}");
    }
    let id = community["id"].as_i64().context("a community has an id")?;
    let channels = first.api.get(&format!("/api/v1/communities/{id}/channels")).await?.body;
    Ok((id, channels[0]["id"].as_i64().context("a community has a channel")?))
}
