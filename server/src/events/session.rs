//! A session: what one client has yet to be told, across its connections.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{Event, lock};

/// Events are numbered from 1, so that a client can say how far it got.
#[derive(Debug)]
pub struct Session {
    /// Only its client knows it.
    pub(super) id: String,
    pub(super) user: i64,
    pub(super) family: String,
    queue: Mutex<Queue>,
    wake: Notify,
}

#[derive(Debug)]
struct Queue {
    /// What may have to be told again, in ascending order.
    events: VecDeque<(u64, Arc<Event>)>,
    capacity: usize,
    /// Number of the last event that there was.
    last: u64,
    /// Number of the last event that the connection at hand was given.
    given: u64,
    /// Number of the last event that there was when that connection came: what it missed
    /// before is no fault of it.
    missed_to: u64,
    /// The connection at hand, counted from 1.
    connection: u64,
    away_since: Option<Instant>,
    ended: Option<Ended>,
    /// Nobody can go on with it.
    is_over: bool,
}

/// A connection that has a session; when it goes, the session waits for another.
#[derive(Debug)]
pub struct Attached {
    session: Arc<Session>,
    connection: u64,
}

/// Why a connection is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Its client does not take what it is told. It may come back.
    Slow,
    /// Another connection has the session.
    Replaced,
    /// Its login was ended.
    Revoked,
}

/// What a connection has to tell.
pub type Backlog = Vec<(u64, Arc<Event>)>;

/// Whether a client can go on where it was.
#[derive(Debug)]
pub enum Resumed {
    /// It can; so many events were missed.
    Done(Attached, u64),
    /// Some of what it missed is gone.
    Gap,
    /// It claims to have seen what never was.
    Unknown,
}

impl Session {
    pub(super) fn new(id: String, user: i64, family: String, capacity: usize) -> Self {
        let queue = Queue {
            events: VecDeque::new(),
            capacity,
            last: 0,
            given: 0,
            missed_to: 0,
            connection: 1,
            away_since: None,
            ended: None,
            is_over: false,
        };
        Self { id, user, family, queue: Mutex::new(queue), wake: Notify::new() }
    }

    /// What its client shows to come back.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The connection that began it.
    pub(super) fn first(self: &Arc<Self>) -> Attached {
        Attached { session: Arc::clone(self), connection: 1 }
    }

    /// Goes on after event `seen`, with a new connection in the place of the old.
    #[must_use]
    pub fn resume(self: &Arc<Self>, seen: u64) -> Resumed {
        let mut queue = lock(&self.queue);
        let is_revoked = queue.ended == Some(Ended::Revoked);
        if queue.is_over || is_revoked || seen > queue.last {
            return Resumed::Unknown;
        }
        let oldest = queue.events.front().map_or(queue.last + 1, |(number, _)| *number);
        if oldest > seen + 1 {
            return Resumed::Gap;
        }
        queue.acknowledge(seen);
        queue.given = seen;
        queue.missed_to = queue.last;
        queue.connection += 1;
        queue.away_since = None;
        queue.ended = None;
        let attached = Attached { session: Arc::clone(self), connection: queue.connection };
        let missed = queue.last - seen;
        drop(queue);
        // The old connection finds out that it is one.
        self.wake.notify_waiters();
        Resumed::Done(attached, missed)
    }

    pub(super) fn tell(&self, event: &Arc<Event>) {
        let mut queue = lock(&self.queue);
        queue.last += 1;
        let number = queue.last;
        queue.events.push_back((number, Arc::clone(event)));
        let is_full = queue.events.len() > queue.capacity;
        let dropped = if is_full { queue.events.pop_front() } else { None };
        let is_lost = dropped.is_some_and(|(number, _)| number > queue.given);
        let behind = queue.last - queue.given.max(queue.missed_to);
        // Half of the room is left for what comes until the client is back.
        let is_slow = is_lost || behind > queue.capacity as u64 / 2;
        if queue.away_since.is_none() && is_slow {
            queue.ended.get_or_insert(Ended::Slow);
        }
        drop(queue);
        self.wake.notify_one();
    }

    pub(super) fn revoke(&self) {
        lock(&self.queue).ended = Some(Ended::Revoked);
        self.wake.notify_one();
    }

    /// Whether nobody can go on with it from here on: its client was away for `window`.
    pub(super) fn expire(&self, now: Instant, window: Duration) -> bool {
        let mut queue = lock(&self.queue);
        let is_late = |since| now.saturating_duration_since(since) >= window;
        queue.is_over |= queue.away_since.is_some_and(is_late);
        queue.is_over
    }
}

impl Queue {
    fn acknowledge(&mut self, seen: u64) {
        while self.events.front().is_some_and(|(number, _)| *number <= seen) {
            self.events.pop_front();
        }
    }
}

impl Attached {
    /// The session.
    #[must_use]
    pub const fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// What there is to tell, at most so much at once; waits until there is something. It
    /// may be dropped while it waits.
    ///
    /// # Errors
    /// Why this connection is to end.
    pub async fn backlog(&self, most: usize) -> Result<Backlog, Ended> {
        loop {
            let woken = self.session.wake.notified();
            tokio::pin!(woken);
            // From here on no wake is missed.
            woken.as_mut().enable();
            {
                let mut queue = lock(&self.session.queue);
                if queue.connection != self.connection {
                    return Err(Ended::Replaced);
                }
                if let Some(why) = queue.ended {
                    return Err(why);
                }
                let given = queue.given;
                let from = queue.events.partition_point(|(number, _)| *number <= given);
                let backlog: Backlog = queue.events.range(from..).take(most).cloned().collect();
                if let Some((number, _)) = backlog.last() {
                    queue.given = *number;
                    return Ok(backlog);
                }
            }
            woken.await;
        }
    }

    /// The client has everything up to this.
    pub fn acknowledge(&self, seen: u64) {
        let mut queue = lock(&self.session.queue);
        if queue.connection == self.connection {
            let seen = seen.min(queue.given);
            queue.acknowledge(seen);
        }
    }

    /// Nobody can go on with the session from here on; false when another connection has
    /// it, whose it stays.
    pub(super) fn finish(&self) -> bool {
        let mut queue = lock(&self.session.queue);
        let is_ours = queue.connection == self.connection;
        queue.is_over |= is_ours;
        is_ours
    }
}

impl Drop for Attached {
    /// The connection is gone, and the session waits for another. Events that the client
    /// was given and did not acknowledge are kept.
    fn drop(&mut self) {
        let mut queue = lock(&self.session.queue);
        if queue.connection == self.connection {
            queue.away_since = Some(Instant::now());
            if queue.ended == Some(Ended::Slow) {
                queue.ended = None;
            }
        }
    }
}
