//! Who rings whom, who is in, and how it ended.

use std::{
    collections::HashMap,
    sync::{Arc, MutexGuard, PoisonError, Weak},
    time::Instant,
};

use serde::Serialize;

use super::{
    Inner,
    call::{Call, End, Refusal},
};
use crate::{
    events::{Event, Room},
    observability::{Outcome, metrics::Present, tracing::LOG},
    problem::Problem,
};

/// A call that has not ended.
pub(super) struct Live {
    pub(super) call: Call,
    began: Instant,
    _present: Present,
}

/// What others are told of a call.
#[derive(Serialize)]
struct News {
    channel_id: i64,
    user_id: Option<i64>,
    reason: Option<&'static str>,
}

impl Inner {
    pub(super) fn calls(&self) -> MutexGuard<'_, HashMap<i64, Live>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a user is in the call of a channel.
    pub(super) fn is_in_call(&self, channel: i64, user: i64) -> bool {
        let calls = self.calls();
        calls.get(&channel).is_some_and(|live| live.call.participants().contains(&user))
    }

    pub(super) fn start(
        self: &Arc<Self>,
        channel: i64,
        user: i64,
        other: i64,
    ) -> Result<Call, Problem> {
        let now = Instant::now();
        let call = {
            let mut calls = self.calls();
            if calls.contains_key(&channel) {
                return Err(Problem::Conflict("there is a call already: join it"));
            }
            let call = Call::start(user, other, now, self.patience);
            let live = Live { call: call.clone(), began: now, _present: self.metrics.call() };
            calls.insert(channel, live);
            call
        };
        self.tell(channel, "call.ringing", Some(user), None);
        self.watch(channel, call.deadline());
        Ok(call)
    }

    pub(super) fn join(self: &Arc<Self>, channel: i64, user: i64) -> Result<Call, Problem> {
        let now = Instant::now();
        let (call, answered) = {
            let mut calls = self.calls();
            let live = calls.get_mut(&channel).ok_or(Problem::NotFound)?;
            let was_ringing = live.call.is_ringing();
            live.call.join(user).map_err(refused)?;
            (live.call.clone(), was_ringing.then(|| now.saturating_duration_since(live.began)))
        };
        if let Some(took) = answered {
            self.metrics.call_join(Outcome::Joined, took);
        }
        self.tell(channel, "call.joined", Some(user), None);
        Ok(call)
    }

    pub(super) fn decline(&self, channel: i64, user: i64) -> Result<(), Problem> {
        let now = Instant::now();
        let live = {
            let mut calls = self.calls();
            calls.get(&channel).ok_or(Problem::NotFound)?.call.decline(user).map_err(refused)?;
            calls.remove(&channel)
        };
        self.ended(channel, live, End::Declined, now);
        Ok(())
    }

    pub(super) fn leave(
        self: &Arc<Self>,
        channel: i64,
        user: i64,
        now: Instant,
    ) -> Result<(), Problem> {
        let (end, live, deadline) = {
            let mut calls = self.calls();
            let live = calls.get_mut(&channel).ok_or(Problem::NotFound)?;
            let end = live.call.leave(user, now, self.patience).map_err(refused)?;
            let deadline = live.call.deadline();
            (end, end.and_then(|_| calls.remove(&channel)), deadline)
        };
        self.rooms.part(user, channel);
        self.tell(channel, "call.left", Some(user), None);
        match end {
            Some(end) => self.ended(channel, live, end, now),
            None => self.watch(channel, deadline),
        }
        Ok(())
    }

    pub(super) fn view(&self, channel: i64) -> Result<Call, Problem> {
        self.calls().get(&channel).map(|live| live.call.clone()).ok_or(Problem::NotFound)
    }

    /// What there is to do for a call that was removed, under the lock that decided it.
    pub(super) fn ended(&self, channel: i64, live: Option<Live>, end: End, now: Instant) {
        let Some(live) = live else { return };
        self.rooms.close(channel);
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
