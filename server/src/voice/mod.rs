//! Calls between two people: who rings, who is in, and how it ended. What they say to each
//! other goes another way.

mod call;

pub mod call_handlers;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use serde::Serialize;
use tracing::Span;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    events::{Event, Hub, Room},
    observability::{
        Outcome,
        metrics::{Metrics, Present},
        tracing::{self as spans, LOG},
    },
    problem::Problem,
    store::{Access, Kind, Store},
};
use call::{Call, End, Refusal};

pub use call_handlers::CallView;

/// Calls between two people.
#[derive(Clone)]
pub struct Voice(Arc<Inner>);

struct Inner {
    store: Store,
    hub: Arc<Hub>,
    metrics: Metrics,
    patience: Duration,
    /// By channel.
    calls: Mutex<HashMap<i64, Live>>,
}

/// A call that has not ended.
struct Live {
    call: Call,
    began: Instant,
    /// Of each who is in.
    sessions: HashMap<i64, Span>,
    _present: Present,
}

/// What others are told of a call.
#[derive(Serialize)]
struct News {
    channel_id: i64,
    user_id: Option<i64>,
    reason: Option<&'static str>,
}

impl Voice {
    /// With calls that ring for so long.
    #[must_use]
    pub fn new(store: Store, hub: Arc<Hub>, metrics: Metrics, patience: Duration) -> Self {
        Self(Arc::new(Inner { store, hub, metrics, patience, calls: Mutex::default() }))
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

    /// A user's clients are gone, so the user is in no call.
    pub fn vanish(&self, user: i64) {
        let now = Instant::now();
        let channels: Vec<_> = {
            let calls = self.0.calls();
            let is_in = |live: &Live| live.sessions.contains_key(&user);
            calls.iter().filter(|(_, live)| is_in(live)).map(|(channel, _)| *channel).collect()
        };
        for channel in channels {
            let _not_in_it_any_more = self.0.leave(channel, user, now);
        }
    }

    /// Ends every call, for the server does.
    pub fn shut_down(&self) {
        let all = std::mem::take(&mut *self.0.calls());
        for (channel, live) in all {
            self.0.ended(channel, Some(live), End::Cancelled, Instant::now());
        }
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
}

impl Inner {
    fn calls(&self) -> std::sync::MutexGuard<'_, HashMap<i64, Live>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(self: &Arc<Self>, channel: i64, user: i64, other: i64) -> Result<Call, Problem> {
        let now = Instant::now();
        let call = {
            let mut calls = self.calls();
            if calls.contains_key(&channel) {
                return Err(Problem::Conflict("there is a call already: join it"));
            }
            let call = Call::start(user, other, now, self.patience);
            let live = Live {
                call: call.clone(),
                began: now,
                sessions: HashMap::from([(user, spans::voice_session())]),
                _present: self.metrics.call(),
            };
            calls.insert(channel, live);
            call
        };
        self.tell(channel, "call.ringing", Some(user), None);
        self.watch(channel, call.deadline());
        Ok(call)
    }

    fn join(self: &Arc<Self>, channel: i64, user: i64) -> Result<Call, Problem> {
        let now = Instant::now();
        let (call, answered) = {
            let mut calls = self.calls();
            let live = calls.get_mut(&channel).ok_or(Problem::NotFound)?;
            let was_ringing = live.call.is_ringing();
            live.call.join(user).map_err(refused)?;
            live.sessions.insert(user, spans::voice_session());
            (live.call.clone(), was_ringing.then(|| now.saturating_duration_since(live.began)))
        };
        if let Some(took) = answered {
            self.metrics.call_join(Outcome::Joined, took);
        }
        self.tell(channel, "call.joined", Some(user), None);
        Ok(call)
    }

    fn decline(&self, channel: i64, user: i64) -> Result<(), Problem> {
        let now = Instant::now();
        let live = {
            let mut calls = self.calls();
            calls.get(&channel).ok_or(Problem::NotFound)?.call.decline(user).map_err(refused)?;
            calls.remove(&channel)
        };
        self.ended(channel, live, End::Declined, now);
        Ok(())
    }

    fn leave(self: &Arc<Self>, channel: i64, user: i64, now: Instant) -> Result<(), Problem> {
        let (end, live, deadline) = {
            let mut calls = self.calls();
            let live = calls.get_mut(&channel).ok_or(Problem::NotFound)?;
            let end = live.call.leave(user, now, self.patience).map_err(refused)?;
            if let Some(span) = live.sessions.remove(&user) {
                spans::finish(&span, Outcome::Left);
            }
            let deadline = live.call.deadline();
            (end, end.and_then(|_| calls.remove(&channel)), deadline)
        };
        self.tell(channel, "call.left", Some(user), None);
        match end {
            Some(end) => self.ended(channel, live, end, now),
            None => self.watch(channel, deadline),
        }
        Ok(())
    }

    fn view(&self, channel: i64) -> Result<Call, Problem> {
        self.calls().get(&channel).map(|live| live.call.clone()).ok_or(Problem::NotFound)
    }

    /// What there is to do for a call that was removed, under the lock that decided it.
    fn ended(&self, channel: i64, live: Option<Live>, end: End, now: Instant) {
        let Some(live) = live else { return };
        let lasted = now.saturating_duration_since(live.began);
        let outcome = match end {
            End::Declined => Outcome::Declined,
            End::TimedOut => Outcome::TimedOut,
            End::Cancelled => Outcome::Cancelled,
            End::Left | End::Alone => Outcome::Left,
        };
        if live.call.is_ringing() {
            self.metrics.call_join(outcome, lasted);
        }
        for span in live.sessions.values() {
            spans::finish(span, outcome);
        }
        ::tracing::info!(
            target: LOG,
            event = "call.end",
            outcome = outcome.name(),
            duration_ms = u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX),
            "a call ended"
        );
        self.tell(channel, "call.ended", None, Some(end.reason()));
    }

    /// Looks again when something may have waited too long.
    fn watch(self: &Arc<Self>, channel: i64, deadline: Option<Instant>) {
        let Some(deadline) = deadline else { return };
        let inner: Weak<Self> = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep_until(deadline.into()).await;
            let Some(inner) = inner.upgrade() else { return };
            let now = Instant::now();
            let overdue = {
                let mut calls = inner.calls();
                let end = calls.get(&channel).and_then(|live| live.call.overdue(now));
                end.map(|end| (end, calls.remove(&channel)))
            };
            if let Some((end, live)) = overdue {
                inner.ended(channel, live, end, now);
            }
        });
    }

    fn tell(
        &self,
        channel: i64,
        name: &'static str,
        user: Option<i64>,
        reason: Option<&'static str>,
    ) {
        let news = News { channel_id: channel, user_id: user, reason };
        self.hub.tell(Room::Dm(channel), Event::new(name, &news));
    }
}

fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::NotInvited => Problem::Forbidden,
        Refusal::NotIn => Problem::Conflict("not in the call"),
        Refusal::AlreadyIn => Problem::Conflict("in the call already"),
        Refusal::NotRinging => Problem::Conflict("the call does not ring any more"),
    }
}
