//! Who hears of what: sessions, the rooms they are in, and what each has yet to be told.

mod session;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::sync::broadcast;

pub use session::{Attached, Backlog, Ended, Resumed, Session};

/// Those who hear the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Room {
    /// Members of a community.
    Community(i64),
    /// Two people, by their channel.
    Dm(i64),
}

impl Room {
    /// Where a channel is heard.
    #[must_use]
    pub fn of(access: &crate::store::Access) -> Self {
        access.community.map_or(Self::Dm(access.channel), Self::Community)
    }
}

/// Somebody or something is not where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// A user is in a room no more.
    Member(i64, Room),
    /// A room is no more.
    Room(Room),
    /// A channel is no more.
    Channel(i64),
}

/// Departures that whoever watches them may be behind.
const BEHIND: usize = 1_024;

/// Something that sessions are told, put into words once for all of them.
#[derive(Debug)]
pub struct Event {
    /// What it is, such as `message.created`.
    pub name: &'static str,
    /// Its words, in JSON.
    pub body: String,
    /// When a message that it brings was received.
    pub received: Option<Instant>,
    /// `traceparent` of what made it.
    pub traceparent: Option<String>,
}

impl Event {
    /// With these words.
    #[must_use]
    pub fn new(name: &'static str, words: &impl Serialize) -> Self {
        // What is told has no map with keys that are no strings.
        let body = serde_json::to_string(words).unwrap_or_else(|_| "null".to_owned());
        Self { name, body, received: None, traceparent: None }
    }
}

/// All sessions. Its locks are held for moments, never across a wait.
#[derive(Debug)]
pub struct Hub {
    buffer: usize,
    window: Duration,
    users: Mutex<HashMap<i64, Presence>>,
    rooms: RwLock<HashMap<Room, HashMap<String, Arc<Session>>>>,
    sessions: Mutex<HashMap<String, Arc<Session>>>,
    gone: broadcast::Sender<Gone>,
}

/// What is known of a user with a session.
#[derive(Debug, Default)]
struct Presence {
    sessions: HashSet<String>,
    rooms: HashSet<Room>,
    /// Counts departures, so that a room that is left while memberships are read stays left.
    departures: u64,
    status: Status,
    /// Whether others were told that the user is there.
    is_announced: bool,
}

/// What came of putting a session into its rooms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    /// It is in, and its user was there already.
    Again,
    /// It is in, and with it its user.
    First,
    /// A room was left meanwhile: the rooms have to be found again.
    NotYet,
}

/// What a user says of being there.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// There.
    #[default]
    Online,
    /// There, but not looking.
    Idle,
    /// There, but not to be disturbed.
    Busy,
    /// Not there.
    Offline,
}

impl Hub {
    /// One without sessions, each of which keeps `buffer` events and waits for its client
    /// for `window`.
    #[must_use]
    pub fn new(buffer: usize, window: Duration) -> Self {
        Self {
            buffer,
            window,
            users: Mutex::default(),
            rooms: RwLock::default(),
            sessions: Mutex::default(),
            gone: broadcast::Sender::new(BEHIND),
        }
    }

    /// All departures from here on.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<Gone> {
        self.gone.subscribe()
    }

    /// A channel is no more.
    pub fn channel_gone(&self, channel: i64) {
        let _nobody_watches = self.gone.send(Gone::Channel(channel));
    }

    /// Begins a session, in no room yet, unless its user has `most`. Says how many
    /// departures there were.
    #[must_use]
    pub fn begin(
        &self,
        id: String,
        user: i64,
        family: String,
        most: usize,
    ) -> Option<(Attached, u64)> {
        let mut users = lock(&self.users);
        let presence = users.entry(user).or_default();
        if presence.sessions.len() >= most {
            return None;
        }
        let session = Arc::new(Session::new(id.clone(), user, family, self.buffer));
        lock(&self.sessions).insert(id.clone(), Arc::clone(&session));
        presence.sessions.insert(id);
        Some((session.first(), presence.departures))
    }

    /// Puts a session into the rooms that its user was found to be in.
    #[must_use]
    pub fn enter(&self, attached: &Attached, rooms: &[Room], departures: u64) -> Entered {
        let session = attached.session();
        let mut users = lock(&self.users);
        let Some(presence) = users.get_mut(&session.user) else { return Entered::Again };
        if presence.departures != departures {
            return Entered::NotYet;
        }
        presence.rooms.extend(rooms);
        let mut all = self.rooms.write().unwrap_or_else(PoisonError::into_inner);
        for room in &presence.rooms {
            all.entry(*room).or_default().insert(session.id.clone(), Arc::clone(session));
        }
        if std::mem::replace(&mut presence.is_announced, true) {
            Entered::Again
        } else {
            Entered::First
        }
    }

    /// How often a user has left a room.
    #[must_use]
    pub fn departures(&self, user: i64) -> u64 {
        lock(&self.users).get(&user).map_or(0, |presence| presence.departures)
    }

    /// Has all sessions of a user hear a room.
    pub fn join(&self, user: i64, room: Room) {
        let mut users = lock(&self.users);
        let Some(presence) = users.get_mut(&user) else { return };
        presence.rooms.insert(room);
        let sessions = lock(&self.sessions);
        let mut rooms = self.rooms.write().unwrap_or_else(PoisonError::into_inner);
        let members = rooms.entry(room).or_default();
        for id in &presence.sessions {
            if let Some(session) = sessions.get(id) {
                members.insert(id.clone(), Arc::clone(session));
            }
        }
    }

    /// Has no session of a user hear a room.
    pub fn leave(&self, user: i64, room: Room) {
        let _nobody_watches = self.gone.send(Gone::Member(user, room));
        let mut users = lock(&self.users);
        let Some(presence) = users.get_mut(&user) else { return };
        presence.departures += 1;
        presence.rooms.remove(&room);
        let mut rooms = self.rooms.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(members) = rooms.get_mut(&room) {
            members.retain(|_, session| session.user != user);
            if members.is_empty() {
                rooms.remove(&room);
            }
        }
    }

    /// Ends a room, for everybody.
    pub fn close(&self, room: Room) {
        let _nobody_watches = self.gone.send(Gone::Room(room));
        let mut users = lock(&self.users);
        for presence in users.values_mut().filter(|presence| presence.rooms.contains(&room)) {
            presence.departures += 1;
            presence.rooms.remove(&room);
        }
        self.rooms.write().unwrap_or_else(PoisonError::into_inner).remove(&room);
    }

    /// Tells everybody in a room.
    pub fn tell(&self, room: Room, event: Event) {
        let event = Arc::new(event);
        let rooms = self.rooms.read().unwrap_or_else(PoisonError::into_inner);
        for session in rooms.get(&room).into_iter().flat_map(HashMap::values) {
            session.tell(&event);
        }
    }

    /// Tells everybody in any of these rooms, once.
    pub fn tell_all(&self, rooms: &[Room], event: Event) {
        let event = Arc::new(event);
        let all = self.rooms.read().unwrap_or_else(PoisonError::into_inner);
        let sessions: HashMap<_, _> =
            rooms.iter().filter_map(|room| all.get(room)).flatten().collect();
        for session in sessions.values() {
            session.tell(&event);
        }
    }

    /// Tells all sessions of a user.
    pub fn tell_user(&self, user: i64, event: Event) {
        let event = Arc::new(event);
        let users = lock(&self.users);
        let Some(presence) = users.get(&user) else { return };
        let sessions = lock(&self.sessions);
        for session in presence.sessions.iter().filter_map(|id| sessions.get(id)) {
            session.tell(&event);
        }
    }

    /// A session that a client wants to go on with; that of another login is none.
    #[must_use]
    pub fn session(&self, id: &str, family: &str) -> Option<Arc<Session>> {
        lock(&self.sessions).get(id).filter(|session| session.family == family).cloned()
    }

    /// Ends a session with its connection, unless another has it. Says in which rooms its
    /// user was, if it was the last one.
    pub fn end(&self, attached: &Attached) -> Option<Vec<Room>> {
        attached.finish().then(|| self.forget(attached.session())).flatten()
    }

    /// Forgets a session that nobody can go on with.
    fn forget(&self, session: &Session) -> Option<Vec<Room>> {
        let mut users = lock(&self.users);
        lock(&self.sessions).remove(&session.id)?;
        let presence = users.get_mut(&session.user)?;
        presence.sessions.remove(&session.id);
        let mut rooms = self.rooms.write().unwrap_or_else(PoisonError::into_inner);
        for room in &presence.rooms {
            if let Some(members) = rooms.get_mut(room) {
                members.remove(&session.id);
                if members.is_empty() {
                    rooms.remove(room);
                }
            }
        }
        if !presence.sessions.is_empty() {
            return None;
        }
        users.remove(&session.user).map(|one| one.rooms.into_iter().collect())
    }

    /// Ends the sessions whose clients did not come back, and says whose they were.
    #[must_use]
    pub fn expire(&self, now: Instant) -> Vec<(i64, Vec<Room>)> {
        let all: Vec<_> = lock(&self.sessions).values().cloned().collect();
        let expired = all.into_iter().filter(|session| session.expire(now, self.window));
        expired.filter_map(|session| Some((session.user, self.forget(&session)?))).collect()
    }

    /// Ends the sessions of a login. Those that no connection has wait out their window,
    /// and nobody can go on with them.
    pub fn revoke(&self, family: &str) {
        for session in lock(&self.sessions).values().filter(|one| one.family == family) {
            session.revoke();
        }
    }

    /// What a user says of being there; `None` when that is no news.
    #[must_use]
    pub fn set_status(&self, user: i64, status: Status) -> Option<Vec<Room>> {
        let mut users = lock(&self.users);
        let presence = users.get_mut(&user)?;
        let is_news = std::mem::replace(&mut presence.status, status) != status;
        is_news.then(|| presence.rooms.iter().copied().collect())
    }

    /// Of each of these users.
    #[must_use]
    pub fn statuses(&self, users: &[i64]) -> Vec<Status> {
        let known = lock(&self.users);
        let status = |user| known.get(user).map_or(Status::Offline, |presence| presence.status);
        users.iter().map(status).collect()
    }
}

/// What a panic left is whole: every change is one call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
