//! Talking: calls between two people that ring, and rooms whose media a relay passes on.
//!
//! What a client wants comes in as an order and goes on as one; media never meets any of
//! that. `leg`, `relay` and what they are made of know packets and no users, `rooms` knows
//! users and no packets.

mod call;

mod calls;

pub mod call_handlers;

mod numbering;

mod speech;

mod seats;

mod demux;

mod source;

mod port;

mod leg;

mod relay;

mod relays;

mod rooms;

mod room_handlers;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tracing::Span;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    config,
    events::{Hub, Room},
    observability::metrics::Metrics,
    problem::Problem,
    store::{Access, Kind, Store},
};
use call::End;
use calls::Live;
use rooms::Rooms;

pub use call_handlers::CallView;
pub use relays::RelayError;
pub use room_handlers::RoomView;
pub use rooms::{Participant, Welcome};

/// Calls and rooms.
#[derive(Clone)]
pub struct Voice(Arc<Inner>);

struct Inner {
    store: Store,
    hub: Arc<Hub>,
    metrics: Metrics,
    patience: Duration,
    /// By channel.
    calls: Mutex<HashMap<i64, Live>>,
    rooms: Arc<Rooms>,
}

impl Voice {
    /// With calls that ring for so long. Begins to hear its ports.
    ///
    /// # Errors
    /// When it cannot.
    pub fn start(
        store: Store,
        hub: Arc<Hub>,
        metrics: Metrics,
        patience: Duration,
        config: &config::Voice,
    ) -> Result<Self, RelayError> {
        let rooms = Rooms::start(config, Arc::clone(&hub), metrics.clone())?;
        Ok(Self(Arc::new(Inner { store, hub, metrics, patience, calls: Mutex::default(), rooms })))
    }

    /// The channel between a user and one other, and who that is.
    async fn between(&self, user: i64, channel: i64) -> Result<i64, Problem> {
        match self.0.store.access(user, channel).await? {
            Some(Access { kind: Kind::Dm, recipient: Some(other), .. }) => Ok(other),
            _ => Err(Problem::NotFound),
        }
    }

    /// The calls of these channels.
    #[must_use]
    pub fn calls(&self, rooms: &[Room]) -> Vec<CallView> {
        let calls = self.0.calls();
        let view = |room: &Room| match room {
            Room::Dm(channel) => Some(CallView::new(*channel, &calls.get(channel)?.call)),
            Room::Community(_) => None,
        };
        rooms.iter().filter_map(view).collect()
    }

    /// Where a user may talk: a voice channel, or one between two people whose call the user
    /// is in.
    async fn room(&self, user: i64, channel: i64) -> Result<Room, Problem> {
        let access = self.0.store.access(user, channel).await?.ok_or(Problem::NotFound)?;
        match access.kind {
            Kind::Voice => {}
            Kind::Text => return Err(Problem::Conflict("that channel is for writing")),
            Kind::Dm if self.0.is_in_call(channel, user) => {}
            Kind::Dm => return Err(Problem::Conflict("not in a call: start or join it first")),
        }
        Ok(Room::of(&access))
    }

    /// Takes a user into a room, as soon as the media is connected.
    ///
    /// # Errors
    /// [`Problem`].
    pub(crate) async fn enter(
        &self,
        user: i64,
        channel: i64,
        offer: &str,
        is_muted: bool,
        span: &Span,
    ) -> Result<Welcome, Problem> {
        let began = Instant::now();
        let outcome = async {
            let room = self.room(user, channel).await?;
            self.0.rooms.enter(user, channel, room, (offer, is_muted), (span, began))
        };
        let outcome = outcome.await;
        if let Err(problem) = &outcome {
            self.0.rooms.refused(span, problem, began);
        }
        outcome
    }

    /// Answers another offer of a user's who is in a room, or about to be.
    ///
    /// # Errors
    /// [`Problem`].
    pub(crate) async fn renegotiate(&self, user: i64, offer: String) -> Result<String, Problem> {
        self.0.rooms.renegotiate(user, offer).await
    }

    /// Takes note of an address of a user's.
    ///
    /// # Errors
    /// [`Problem`].
    pub(crate) fn candidate(&self, user: i64, candidate: String) -> Result<(), Problem> {
        self.0.rooms.candidate(user, candidate)
    }

    /// Has nothing of a user passed on, or has it.
    ///
    /// # Errors
    /// [`Problem`].
    pub(crate) fn mute(&self, user: i64, is_muted: bool) -> Result<(), Problem> {
        self.0.rooms.mute(user, is_muted)
    }

    /// Lets a user go from a room.
    ///
    /// # Errors
    /// [`Problem`].
    pub(crate) fn exit(&self, user: i64) -> Result<(), Problem> {
        self.0.rooms.exit(user)
    }

    /// A user's clients are gone, so the user is in no call.
    pub fn vanish(&self, user: i64) {
        let now = Instant::now();
        let channels: Vec<_> = {
            let calls = self.0.calls();
            let is_in = |live: &Live| live.call.participants().contains(&user);
            calls.iter().filter(|(_, live)| is_in(live)).map(|(channel, _)| *channel).collect()
        };
        for channel in channels {
            let _not_in_it_any_more = self.0.leave(channel, user, now);
        }
        let _was_in_none = self.0.rooms.exit(user);
    }

    /// When it cannot go on.
    pub async fn ended(&self) {
        self.0.rooms.ended().await;
    }

    /// Ends everything, for the server does.
    pub async fn shut_down(&self) {
        let all = std::mem::take(&mut *self.0.calls());
        for (channel, live) in all {
            self.0.ended(channel, Some(live), End::Cancelled, Instant::now());
        }
        self.0.rooms.shut_down().await;
    }
}

/// Its routes.
#[must_use]
pub fn routes() -> OpenApiRouter<Voice> {
    OpenApiRouter::new()
        .routes(routes!(call_handlers::get, call_handlers::start))
        .routes(routes!(call_handlers::join))
        .routes(routes!(call_handlers::decline))
        .routes(routes!(call_handlers::leave))
        .routes(routes!(room_handlers::get))
}
