//! The gateway: WebSockets over which clients are told what happens, and say what need not
//! be a request.

mod close;

mod protocol;

mod connection;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use axum::{
    extract::{ConnectInfo, State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    http::{HeaderMap, header::SEC_WEBSOCKET_PROTOCOL},
    response::Response,
};
use tokio::sync::{Semaphore, TryAcquireError, watch};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    auth::{Claims, Peer, Tokens},
    chat::Chat,
    events::{Event, Hub, Room, Status},
    observability::metrics::Metrics,
    problem::{Problem, ProblemBody},
    store::Store,
    voice::Voice,
};
use connection::Connection;

/// Sessions that a user may have at once.
const MOST_SESSIONS: usize = 50;

/// Bytes of a message, from a client.
const MOST_MESSAGE: usize = 64 << 10;

/// Bytes that are read at once. Each connection keeps so many, and before each attempt to
/// read they are set to zero: with the 128 KiB that are usual, that is a quarter of what it
/// takes to tell a client of a message.
const READ_BUFFER: usize = 4 << 10;

/// Bytes that may wait for a socket to take them, beside what the kernel holds.
const MOST_UNSENT: usize = 4 << 20;

/// The gateway.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

struct Inner {
    store: Store,
    hub: Arc<Hub>,
    chat: Chat,
    voice: Voice,
    tokens: Tokens,
    metrics: Metrics,
    heartbeat: Duration,
    /// One permit a connection.
    room: Arc<Semaphore>,
    most: u32,
    /// True once the server ends.
    ends: watch::Sender<bool>,
}

impl Gateway {
    /// For so many connections at once.
    #[must_use]
    pub fn new(
        store: Store,
        hub: Arc<Hub>,
        (chat, voice): (Chat, Voice),
        tokens: Tokens,
        metrics: Metrics,
        heartbeat: Duration,
        most: NonZeroU32,
    ) -> Self {
        let room = Arc::new(Semaphore::new(most.get() as usize));
        let most = most.get();
        let (ends, _) = watch::channel(false);
        let all = Inner { store, hub, chat, voice, tokens, metrics, heartbeat, room, most, ends };
        Self(Arc::new(all))
    }

    /// The last session of a user has ended, who was in these rooms.
    pub fn gone(&self, user: i64, rooms: &[Room]) {
        self.0.gone(user, rooms);
    }

    /// Ends every connection, and waits until they are gone.
    pub async fn shut_down(&self) {
        self.0.ends.send_replace(true);
        // Every permit means no connection.
        let _all = self.0.room.acquire_many(self.0.most).await;
    }
}

/// Its route.
#[must_use]
pub fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(open))
}

/// Open a gateway connection
///
/// A WebSocket with the subprotocols `vc.v1` and `bearer.ACCESS_TOKEN`, of which the server
/// chooses the first. What is said there: docs/server/gateway.md.
#[utoipa::path(get, path = "/api/v1/gateway", tag = "gateway",
    responses((status = 101), (status = 401, body = ProblemBody), (status = 422, body = ProblemBody), (status = 503, body = ProblemBody)))]
async fn open(
    State(gateway): State<Gateway>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|_| Problem::Invalid("this is for WebSockets"))?;
    let claims = gateway.claims(&headers)?;
    if gateway.0.store.is_ended(&claims.sid).await? {
        return Err(Problem::Unauthenticated);
    }
    let permit = match Arc::clone(&gateway.0.room).try_acquire_owned() {
        Ok(permit) => permit,
        Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => return Err(Problem::NoRoom),
    };
    let connection = Connection::new(Arc::clone(&gateway.0), claims, peer.cookie, permit);
    let upgrade = upgrade
        .protocols([protocol::PROTOCOL])
        .max_message_size(MOST_MESSAGE)
        .max_frame_size(MOST_MESSAGE)
        .read_buffer_size(READ_BUFFER)
        .max_write_buffer_size(MOST_UNSENT);
    Ok(upgrade.on_upgrade(move |socket| connection.run(socket)))
}

impl Inner {
    /// Tells everybody who shares a room with a user whether they are there.
    fn announce(&self, user: i64, status: Status, rooms: &[Room]) {
        #[derive(serde::Serialize)]
        struct News {
            user_id: i64,
            status: Status,
        }
        self.hub.tell_all(rooms, Event::new("presence", &News { user_id: user, status }));
    }

    fn gone(&self, user: i64, rooms: &[Room]) {
        self.announce(user, Status::Offline, rooms);
        self.voice.vanish(user);
    }
}

impl Gateway {
    /// Whose token came in a subprotocol: browsers let no other header be set.
    fn claims(&self, headers: &HeaderMap) -> Result<Claims, Problem> {
        let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
        let mut offered =
            offered.filter_map(|value| value.to_str().ok()).flat_map(|all| all.split(','));
        let token = offered.find_map(|one| one.trim().strip_prefix(protocol::TOKEN));
        let claims = token.and_then(|token| self.0.tokens.verify(token).ok());
        claims.ok_or(Problem::Unauthenticated)
    }
}
