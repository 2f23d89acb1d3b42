//! Who is in which room, and what others are told of it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    time::timeout,
};
use tracing::Span;
use utoipa::ToSchema;

use super::{
    RelayError,
    relay::{Gone, News, Order, SessionId},
    relays::Relays,
};
use crate::{
    config,
    events::{self, Event, Hub, Room},
    observability::{
        Outcome,
        metrics::{Metrics, Present},
        tracing::{self as spans, LOG, VoiceKey},
    },
    problem::Problem,
};

/// How long a relay may take to answer. It does at once, unless it ends.
const PATIENCE: Duration = Duration::from_secs(5);

/// All rooms.
pub(super) struct Rooms {
    relays: Relays,
    hub: Arc<Hub>,
    metrics: Metrics,
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By user, who is in one room at a time.
    members: HashMap<i64, Member>,
    users: HashMap<SessionId, i64>,
    last: SessionId,
}

/// Somebody in a room, or about to be.
struct Member {
    session: SessionId,
    channel: i64,
    /// Who hears of it.
    room: Room,
    is_muted: bool,
    talks: bool,
    began: Instant,
    key: VoiceKey,
    join: Span,
    connected: Option<Connected>,
}

struct Connected {
    at: Instant,
    span: Span,
    _present: Present,
}

/// Somebody in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Participant {
    user_id: i64,
    muted: bool,
    speaking: bool,
}

/// A room that a user is about to be in.
#[derive(Debug)]
pub struct Welcome {
    /// The answer to the client's offer.
    pub sdp: String,
    /// Who is there.
    pub participants: Vec<Participant>,
}

/// Why somebody is in a room no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Left,
    TimedOut,
    Replaced,
    Removed,
    Closed,
}

impl Reason {
    /// For clients.
    const fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::TimedOut => "timed_out",
            Self::Replaced => "replaced",
            Self::Removed => "removed",
            Self::Closed => "closed",
        }
    }

    const fn outcome(self, was_connected: bool) -> Outcome {
        match self {
            Self::TimedOut => Outcome::TimedOut,
            Self::Left | Self::Closed if was_connected => Outcome::Left,
            _ => Outcome::Cancelled,
        }
    }
}

impl Rooms {
    /// Begins to hear voice, and to follow what happens there.
    pub(super) fn start(
        config: &config::Voice,
        hub: Arc<Hub>,
        metrics: Metrics,
    ) -> Result<Arc<Self>, RelayError> {
        let (tell, news) = mpsc::unbounded_channel();
        let relays = Relays::start(config, &metrics.voice_packets(), &tell)?;
        let departures = hub.watch();
        let most = config.sessions.get() as usize;
        let rooms = Arc::new(Self { relays, hub, metrics, most, state: Mutex::default() });
        tokio::spawn(follow(Arc::downgrade(&rooms), news, departures));
        Ok(rooms)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a user into a room, as soon as the media is connected.
    pub(super) fn enter(
        &self,
        user: i64,
        channel: i64,
        room: Room,
        (offer, is_muted): (&str, bool),
        (join, began): (&Span, Instant),
    ) -> Result<Welcome, Problem> {
        let (leg, sdp) = self.relays.answer(channel, offer).map_err(|error| error.problem())?;
        let ufrags = vec![leg.names().username()];
        let key = VoiceKey { cookie: self.relays.cookie(channel), ufrags };
        key.record(join);
        let mut state = self.state();
        if state.members.len() >= self.most && !state.members.contains_key(&user) {
            return Err(Problem::NoRoom);
        }
        self.remove(&mut state, user, Reason::Replaced);
        state.last += 1;
        let session = state.last;
        let member = Member {
            session,
            channel,
            room,
            is_muted,
            talks: false,
            began,
            key,
            join: join.clone(),
            connected: None,
        };
        state.members.insert(user, member);
        state.users.insert(session, user);
        let leg = Box::new(leg);
        self.relays.order(channel, Order::Join { session, room: channel, leg, is_muted });
        Ok(Welcome { sdp, participants: state.participants(channel) })
    }

    /// An attempt that came to nothing.
    pub(super) fn refused(&self, join: &Span, problem: &Problem, began: Instant) {
        let outcome = if problem.is_ours() { Outcome::Error } else { Outcome::Refused };
        self.metrics.voice_join(outcome, began.elapsed());
        spans::finish(join, outcome);
    }

    /// Answers another offer.
    pub(super) async fn renegotiate(&self, user: i64, sdp: String) -> Result<String, Problem> {
        let (answer, answered) = oneshot::channel();
        self.tell_relay(user, |session| Order::Offer { session, sdp, answer })?;
        match timeout(PATIENCE, answered).await {
            Ok(Ok(outcome)) => outcome.map_err(|error| error.problem()),
            // It went meanwhile.
            Ok(Err(_)) | Err(_) => Err(NOT_IN),
        }
    }

    pub(super) fn candidate(&self, user: i64, candidate: String) -> Result<(), Problem> {
        self.tell_relay(user, |session| Order::Candidate { session, candidate })
    }

    fn tell_relay(&self, user: i64, order: impl FnOnce(SessionId) -> Order) -> Result<(), Problem> {
        let state = self.state();
        let member = state.members.get(&user).ok_or(NOT_IN)?;
        self.relays.order(member.channel, order(member.session));
        Ok(())
    }

    pub(super) fn mute(&self, user: i64, is_muted: bool) -> Result<(), Problem> {
        let mut state = self.state();
        let member = state.members.get_mut(&user).ok_or(NOT_IN)?;
        if std::mem::replace(&mut member.is_muted, is_muted) == is_muted {
            return Ok(());
        }
        let order = Order::Mute { session: member.session, is_muted };
        self.relays.order(member.channel, order);
        if member.connected.is_some() {
            let muted = Muted { channel_id: member.channel, user_id: user, muted: is_muted };
            self.hub.tell(member.room, Event::new("voice.muted", &muted));
        }
        Ok(())
    }

    /// A user leaves.
    pub(super) fn exit(&self, user: i64) -> Result<(), Problem> {
        let was_in = self.remove(&mut self.state(), user, Reason::Left);
        if was_in { Ok(()) } else { Err(NOT_IN) }
    }

    /// A user leaves, if it is this room that the user is in.
    pub(super) fn part(&self, user: i64, channel: i64) {
        let mut state = self.state();
        if state.members.get(&user).is_some_and(|member| member.channel == channel) {
            self.remove(&mut state, user, Reason::Left);
        }
    }

    /// A room is no more.
    pub(super) fn close(&self, channel: i64) {
        self.remove_all(Reason::Removed, |_, member| member.channel == channel);
    }

    /// Who is in a room.
    pub(super) fn participants(&self, channel: i64) -> Vec<Participant> {
        self.state().participants(channel)
    }

    /// When there is no talking in some rooms any more.
    pub(super) async fn ended(&self) {
        self.relays.ended().await;
    }

    /// Ends everything.
    pub(super) async fn shut_down(&self) {
        self.remove_all(Reason::Closed, |_, _| true);
        self.relays.shut_down().await;
    }

    fn remove_all(&self, why: Reason, is_meant: impl Fn(i64, &Member) -> bool) {
        let mut state = self.state();
        let meant = state.members.iter().filter(|(user, member)| is_meant(**user, member));
        let meant: Vec<_> = meant.map(|(user, _)| *user).collect();
        for user in meant {
            self.remove(&mut state, user, why);
        }
    }

    /// Lets somebody go, and tells everybody. False if there was nobody.
    fn remove(&self, state: &mut State, user: i64, why: Reason) -> bool {
        let Some(member) = state.members.remove(&user) else { return false };
        state.users.remove(&member.session);
        self.relays.order(member.channel, Order::Leave { session: member.session });
        let outcome = why.outcome(member.connected.is_some());
        let left = Left { channel_id: member.channel, user_id: user, reason: why.name() };
        let left = Event::new("voice.left", &left);
        let Some(connected) = member.connected else {
            // Others do not know of it.
            self.hub.tell_user(user, left);
            self.metrics.voice_join(outcome, member.began.elapsed());
            spans::finish(&member.join, outcome);
            return true;
        };
        self.hub.tell(member.room, left);
        let (key, lasted) = (&member.key, ms(connected.at.elapsed()));
        connected.span.in_scope(|| {
            tracing::info!(target: LOG, event = "voice.close", outcome = outcome.name(), socket.cookie = key.cookie, voice.ice_ufrag = key.ufrags.last(), duration_ms = lasted, "a voice session ended");
        });
        spans::finish(&connected.span, outcome);
        true
    }

    /// Something happened at a relay.
    fn hear(&self, news: News) {
        let mut state = self.state();
        let state = &mut *state;
        let (News::Connected(session)
        | News::Renamed(session, _)
        | News::Talks(session, _)
        | News::Seated(session, _)
        | News::Gone(session, _)) = news;
        // Whoever is gone has nothing to tell.
        let Some(&user) = state.users.get(&session) else { return };
        let Some(member) = state.members.get_mut(&user) else { return };
        let channel_id = member.channel;
        match news {
            News::Connected(_) => self.connected(user, member),
            News::Renamed(_, name) => {
                member.key.ufrags.push(name);
                let span = member.connected.as_ref().map_or(&member.join, |one| &one.span);
                member.key.record(span);
            }
            News::Talks(_, speaking) => {
                member.talks = speaking;
                let speaks = Speaks { channel_id, user_id: user, speaking };
                for listener in state.in_room(channel_id) {
                    self.hub.tell_user(listener, Event::new("voice.speaking", &speaks));
                }
            }
            News::Seated(_, lines) => {
                let of = |session| state.users.get(&session).copied();
                let slots = lines.into_iter().filter_map(|(line, one)| Some((line, of(one)?)));
                let slots = Slots { channel_id, slots: slots.collect() };
                self.hub.tell_user(user, Event::new("voice.slots", &slots));
            }
            News::Gone(_, how) => {
                let why = match how {
                    Gone::Closed => Reason::Closed,
                    Gone::TimedOut => Reason::TimedOut,
                };
                self.remove(state, user, why);
            }
        }
    }

    fn connected(&self, user: i64, member: &mut Member) {
        let took = member.began.elapsed();
        self.metrics.voice_join(Outcome::Success, took);
        let span = spans::voice_session(&member.join, &member.key);
        let key = &member.key;
        span.in_scope(|| {
            tracing::info!(target: LOG, event = "voice.open", outcome = "success", socket.cookie = key.cookie, voice.ice_ufrag = key.ufrags.last(), duration_ms = ms(took), "a voice session is open");
        });
        spans::finish(&member.join, Outcome::Success);
        // It is exported when nothing holds it.
        member.join = Span::none();
        let present = self.metrics.voice_session();
        member.connected = Some(Connected { at: Instant::now(), span, _present: present });
        let muted = Muted { channel_id: member.channel, user_id: user, muted: member.is_muted };
        self.hub.tell(member.room, Event::new("voice.joined", &muted));
    }

    /// Somebody may not be where they were.
    fn departed(&self, gone: events::Gone) {
        match gone {
            events::Gone::Member(user, room) => {
                self.remove_all(Reason::Removed, |of, member| of == user && member.room == room);
            }
            events::Gone::Room(room) => {
                self.remove_all(Reason::Removed, |_, member| member.room == room);
            }
            events::Gone::Channel(channel) => self.close(channel),
        }
    }
}

const NOT_IN: Problem = Problem::Conflict("not in a voice room");

impl State {
    fn in_room(&self, channel: i64) -> impl Iterator<Item = i64> {
        let is_in = move |(_, member): &(&i64, &Member)| {
            member.channel == channel && member.connected.is_some()
        };
        self.members.iter().filter(is_in).map(|(user, _)| *user)
    }

    fn participants(&self, channel: i64) -> Vec<Participant> {
        let view = |user_id: i64| {
            let member = self.members.get(&user_id)?;
            Some(Participant { user_id, muted: member.is_muted, speaking: member.talks })
        };
        self.in_room(channel).filter_map(view).collect()
    }
}

/// Hears of everything for as long as there are rooms.
async fn follow(
    rooms: Weak<Rooms>,
    mut news: mpsc::UnboundedReceiver<News>,
    mut departures: broadcast::Receiver<events::Gone>,
) {
    loop {
        tokio::select! {
            one = news.recv() => match (one, rooms.upgrade()) {
                (Some(one), Some(rooms)) => rooms.hear(one),
                _ => return,
            },
            gone = departures.recv() => match (gone, rooms.upgrade()) {
                (Ok(gone), Some(rooms)) => rooms.departed(gone),
                // More than it could follow: nobody is known to be where they may be.
                (Err(broadcast::error::RecvError::Lagged(_)), Some(rooms)) => {
                    rooms.remove_all(Reason::Removed, |_, _| true);
                }
                _ => return,
            },
        }
    }
}

/// For a field of a line.
fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[derive(Serialize)]
struct Muted {
    channel_id: i64,
    user_id: i64,
    muted: bool,
}

#[derive(Serialize)]
struct Left {
    channel_id: i64,
    user_id: i64,
    reason: &'static str,
}

#[derive(Serialize)]
struct Speaks {
    channel_id: i64,
    user_id: i64,
    speaking: bool,
}

#[derive(Serialize)]
struct Slots {
    channel_id: i64,
    slots: BTreeMap<String, i64>,
}
