//! Deliveries: a few who write, and a thousand connections that hear each message.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use http_body_util::Full;
use hyper::{Method, Request, StatusCode, body::Bytes};
use serde_json::json;
use tokio::{
    sync::Semaphore,
    task::{AbortHandle, JoinSet},
    time::timeout,
};
use vc_bot::Gateway;

use super::{
    Load,
    connection::{Connection, request},
    figures::Turn,
    requests::{community, user},
    server::Server,
};

/// Members of the community, and gateway connections of each.
const USERS: usize = 50;
const SESSIONS: usize = 20;
/// Connections that hear each message.
pub(crate) const LISTENERS: usize = USERS * SESSIONS;
/// Members that write, each its next message when one has been heard by everybody: who does
/// not wait is faster than a thousand sockets, and listeners are cut off as too slow.
const SENDERS: usize = 4;
/// Characters of a message.
const LENGTH: usize = 100;
/// How long everybody may take to hear what was sent.
const PATIENCE: Duration = Duration::from_secs(20);
/// What an event that brings a message has in it, and no other.
const CREATED: &str = r#""event":"message.created""#;

/// One community, all of whose members listen.
pub(crate) struct Deliveries {
    senders: Vec<Sender>,
    heard: Arc<Heard>,
    listeners: Vec<AbortHandle>,
}

struct Sender {
    connection: Connection,
    message: Request<Full<Bytes>>,
}

struct Heard {
    deliveries: AtomicU64,
    /// A permit for each message that may be sent; none is there once a listener is gone.
    may_send: Semaphore,
}

impl Load for Deliveries {
    const TRAFFIC: &'static str = "Gateway, 1,000 connections";
    const UNIT: &'static str = "delivery";

    async fn prepare(server: &Server) -> Result<Self> {
        let mut logins = Vec::new();
        for number in 0..USERS {
            logins.push(user(server, &format!("user-{number}")).await?);
        }
        let (_, channel) = community(&logins).await?;
        let heard = Heard { deliveries: AtomicU64::new(0), may_send: Semaphore::new(SENDERS) };
        let heard = Arc::new(heard);
        let mut listeners = Vec::new();
        for login in logins.iter().flat_map(|login| std::iter::repeat_n(login, SESSIONS)) {
            let mut gateway = Gateway::connect(server.host(), &login.access_token, &[]).await?;
            gateway.identify().await?;
            let listener = tokio::spawn(listen(gateway, Arc::clone(&heard)));
            listeners.push(listener.abort_handle());
        }
        let path = format!("/api/v1/channels/{channel}/messages");
        let mut senders = Vec::new();
        for login in logins.iter().take(SENDERS) {
            let body = json!({"content": "x".repeat(LENGTH)}).to_string();
            senders.push(Sender {
                connection: Connection::open(server.host()).await?,
                message: request(login, Method::POST, &path, Some(body))?,
            });
        }
        Ok(Self { senders, heard, listeners })
    }

    async fn turn(&mut self, time: Duration) -> Result<Turn> {
        let before = self.heard.deliveries.load(Relaxed);
        let began = Instant::now();
        let until = began + time;
        let mut busy = JoinSet::new();
        for sender in self.senders.drain(..) {
            busy.spawn(sender.run(Arc::clone(&self.heard), until));
        }
        let mut sent = 0;
        while let Some(sender) = busy.join_next().await {
            let (sender, messages) = sender??;
            self.senders.push(sender);
            sent += messages;
        }
        let all = timeout(PATIENCE, self.heard.may_send.acquire_many(SENDERS as u32)).await;
        drop(all.context("messages are not heard by everybody")??);
        let deliveries = self.heard.deliveries.load(Relaxed) - before;
        let due = sent * LISTENERS as u64;
        ensure!(deliveries == due, "{deliveries} deliveries of {due}: some are lost or doubled");
        Ok(Turn::since(began, deliveries))
    }
}

impl Sender {
    async fn run(mut self, heard: Arc<Heard>, until: Instant) -> Result<(Self, u64)> {
        let mut sent = 0;
        while Instant::now() < until {
            let permit = timeout(PATIENCE, heard.may_send.acquire()).await;
            let permit = permit.context("a message is not heard by everybody")?;
            // Whoever hears it last gives it back.
            permit.context("a gateway connection ended")?.forget();
            self.connection.ask(&self.message, StatusCode::CREATED).await?;
            sent += 1;
        }
        Ok((self, sent))
    }
}

impl Drop for Deliveries {
    fn drop(&mut self) {
        for listener in &self.listeners {
            listener.abort();
        }
    }
}

async fn listen(mut gateway: Gateway, heard: Arc<Heard>) {
    while let Ok(words) = gateway.hear_words().await {
        if words.contains(CREATED) {
            let deliveries = heard.deliveries.fetch_add(1, Relaxed) + 1;
            if deliveries.is_multiple_of(LISTENERS as u64) {
                heard.may_send.add_permits(1);
            }
        }
    }
    heard.may_send.close();
}
