//! What passes packets on: one thread a port, which has all legs of some rooms to itself. It
//! takes orders, tells what happens, and waits for nobody.

mod forward;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use slab::Slab;
use str0m::{Event, IceConnectionState, Output, ice::StunMessage, net::Transmit};
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep_until,
};

use super::{
    demux::{Demux, Kind},
    leg::{Leg, OfferError},
    port::{Buffers, Datagram, Port},
    seats::Seats,
    source::Source,
};
use crate::observability::{Dropped, VoiceTally};

/// How often what has no time of its own is looked at: ends of speech, and clients that are
/// late or lost.
const LOOK: Duration = Duration::from_millis(100);

/// The least time from one look at timers to the next.
const STEP: Duration = Duration::from_millis(1);

/// Batches of datagrams that are taken before orders and timers have their turn.
const BATCHES: usize = 8;

/// A voice session.
pub(super) type SessionId = u64;

/// What a relay is told to do.
pub(super) enum Order {
    /// Take somebody into a room, once the media is connected.
    Join { session: SessionId, room: i64, leg: Box<Leg>, is_muted: bool },
    /// Answer another offer.
    Offer { session: SessionId, sdp: String, answer: oneshot::Sender<Result<String, OfferError>> },
    /// An address of a client.
    Candidate { session: SessionId, candidate: String },
    /// Pass nothing of somebody on, or do.
    Mute { session: SessionId, is_muted: bool },
    /// Let somebody go.
    Leave { session: SessionId },
}

/// What a relay tells.
#[derive(Debug)]
pub(super) enum News {
    /// The media is connected.
    Connected(SessionId),
    /// ICE begins anew, and its checks bear this name.
    Renamed(SessionId, String),
    /// Somebody begins to talk, or ends.
    Talks(SessionId, bool),
    /// Who is on which line of somebody's.
    Seated(SessionId, Vec<(String, SessionId)>),
    /// The client is gone.
    Gone(SessionId, Gone),
}

/// How a client went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// It ended its connection.
    Closed,
    /// It did not connect, or did not come back.
    TimedOut,
}

/// How a relay is set up.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Of a room, how many are heard.
    pub(super) speakers: usize,
    /// How long a client may take.
    pub(super) patience: Duration,
    pub(super) tally: Arc<VoiceTally>,
}

/// What passes packets on.
pub(super) struct Relay {
    plan: Plan,
    outlet: Outlet,
    people: Slab<Person>,
    sessions: HashMap<SessionId, usize>,
    rooms: HashMap<i64, Room>,
    news: mpsc::UnboundedSender<News>,
    /// Nothing is due before.
    next: Instant,
    next_look: Instant,
}

/// Where things go out, and what is still to be done because of them.
struct Outlet {
    port: Arc<Port>,
    demux: Demux,
    tally: Arc<VoiceTally>,
    /// By person: an event, or nothing when the connection is no more.
    tasks: VecDeque<(usize, Option<Event>)>,
}

struct Person {
    session: SessionId,
    room: i64,
    leg: Leg,
    /// When its connection has something to do.
    due: Instant,
    /// When it is given up, unless it connects.
    lost: Option<Instant>,
    is_connected: bool,
    source: Source,
}

struct Room {
    members: Vec<usize>,
    seats: Seats,
}

impl Relay {
    pub(super) fn new(port: Port, plan: Plan, news: mpsc::UnboundedSender<News>) -> Self {
        let now = Instant::now();
        let outlet = Outlet {
            port: Arc::new(port),
            demux: Demux::default(),
            tally: Arc::clone(&plan.tally),
            tasks: VecDeque::new(),
        };
        Self {
            plan,
            outlet,
            people: Slab::new(),
            sessions: HashMap::new(),
            rooms: HashMap::new(),
            news,
            next: now,
            next_look: now,
        }
    }

    /// Until there is nobody to take orders from.
    pub(super) async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        let port = Arc::clone(&self.outlet.port);
        let mut buffers = Buffers::new();
        loop {
            // With nobody there is nothing that takes time.
            let is_idle = self.people.is_empty();
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some(order) => self.obey(order, Instant::now()),
                    None => break,
                },
                ready = port.readable() => if ready.is_ok() {
                    for _ in 0..BATCHES {
                        let each = |datagram: Datagram<'_>| self.take(datagram, Instant::now());
                        if port.receive(&mut buffers, each).is_err() {
                            break;
                        }
                    }
                },
                () = sleep_until(self.next.into()), if !is_idle => {}
            }
            self.pass_time(Instant::now());
        }
        let now = Instant::now();
        let all: Vec<_> = self.sessions.values().copied().collect();
        for who in all {
            self.dismiss(who, now);
        }
    }

    fn obey(&mut self, order: Order, now: Instant) {
        match order {
            Order::Join { session, room, leg, is_muted } => {
                let name = leg.names().ours.clone();
                let who = self.people.insert(Person {
                    session,
                    room,
                    leg: *leg,
                    due: now,
                    lost: Some(now + self.plan.patience),
                    is_connected: false,
                    source: Source::new(is_muted),
                });
                self.sessions.insert(session, who);
                self.outlet.demux.name(name, who);
                self.step(who, now);
            }
            Order::Offer { session, sdp, answer } => {
                let Some(&who) = self.sessions.get(&session) else { return };
                let Person { leg, room, .. } = &mut self.people[who];
                let room = *room;
                let before = leg.names().clone();
                let outcome = leg.answer(&sdp);
                let names = leg.names().clone();
                if names != before {
                    let name = names.username();
                    self.outlet.demux.name(names.ours, who);
                    self.tell(News::Renamed(session, name));
                }
                let _not_waited_for = answer.send(outcome);
                self.step(who, now);
                self.settle(room, now);
            }
            Order::Candidate { session, candidate } => {
                let Some(&who) = self.sessions.get(&session) else { return };
                self.people[who].leg.candidate(&candidate);
                self.step(who, now);
            }
            Order::Mute { session, is_muted } => {
                let Some(&who) = self.sessions.get(&session) else { return };
                if self.people[who].source.mute(is_muted) {
                    self.tell(News::Talks(session, false));
                }
            }
            Order::Leave { session } => {
                if let Some(&who) = self.sessions.get(&session) {
                    self.dismiss(who, now);
                }
            }
        }
    }

    /// A datagram.
    fn take(&mut self, datagram: Datagram<'_>, now: Instant) {
        let Datagram { source, destination, bytes } = datagram;
        let demux = &mut self.outlet.demux;
        let who = match Kind::of(bytes) {
            None => return self.outlet.tally.dropped(Dropped::Malformed),
            Some(Kind::Check) => {
                let check = StunMessage::parse(bytes).ok();
                check.and_then(|check| demux.named(check.split_username()?.0))
            }
            Some(Kind::Answer(transaction)) => demux.asked(&transaction),
            Some(Kind::Media { .. }) => demux.owner(&source),
        };
        let Some(who) = who else { return self.outlet.tally.dropped(Dropped::Stranger) };
        let Some(person) = self.people.get_mut(who) else { return };
        let is_taken = person.leg.receive(source, destination, bytes, now);
        let has_sound = self.outlet.drain(who, person, &mut self.next, now);
        match Kind::of(bytes) {
            _ if !is_taken => self.outlet.tally.dropped(Dropped::Refused),
            Some(Kind::Check) => {
                self.outlet.demux.proves(source, who, now);
            }
            Some(Kind::Media { is_rtp: true }) if has_sound => {
                self.outlet.demux.is_well(&source, now);
            }
            Some(Kind::Media { is_rtp: true }) => self.outlet.tally.dropped(Dropped::Discarded),
            _ => {}
        }
        self.work_off(now);
    }

    /// Whatever is due.
    fn pass_time(&mut self, now: Instant) {
        if now < self.next {
            return;
        }
        for who in 0..self.people.capacity() {
            if self.people.get(who).is_some_and(|person| person.due <= now) {
                self.step(who, now);
            }
        }
        if now >= self.next_look {
            self.next_look = now + LOOK;
            self.look(now);
        }
        let due = self.people.iter().map(|(_, person)| person.due).min();
        let next = due.map_or(self.next_look, |due| due.min(self.next_look));
        self.next = next.max(now + STEP);
    }

    /// Ends of speech, and clients that are late or lost.
    fn look(&mut self, now: Instant) {
        for who in 0..self.people.capacity() {
            let Some(person) = self.people.get_mut(who) else { continue };
            let session = person.session;
            if person.source.speech.lapse(now) {
                self.tell(News::Talks(session, false));
            }
            if self.people[who].lost.is_some_and(|lost| lost <= now) {
                self.tell(News::Gone(session, Gone::TimedOut));
                self.dismiss(who, now);
            }
        }
    }

    /// Tells a connection what time it is, and does what comes of it.
    fn step(&mut self, who: usize, now: Instant) {
        let Some(person) = self.people.get_mut(who) else { return };
        person.leg.pass_time(now);
        self.outlet.drain(who, person, &mut self.next, now);
        self.work_off(now);
    }

    fn work_off(&mut self, now: Instant) {
        while let Some((who, task)) = self.outlet.tasks.pop_front() {
            let Some(person) = self.people.get_mut(who) else { continue };
            match task {
                Some(Event::RtpPacket(packet)) => self.forward(who, &packet, now),
                Some(Event::Connected) => {
                    person.is_connected = true;
                    person.lost = None;
                    let (session, room) = (person.session, person.room);
                    let seats = self.plan.speakers;
                    let entry = self.rooms.entry(room);
                    let entry = entry.or_insert_with(|| Room::new(seats));
                    entry.members.push(who);
                    self.tell(News::Connected(session));
                    self.settle(room, now);
                }
                Some(Event::IceConnectionStateChange(state)) => match state {
                    IceConnectionState::Disconnected => {
                        person.lost.get_or_insert(now + self.plan.patience);
                    }
                    _ if person.is_connected => person.lost = None,
                    _ => {}
                },
                Some(_) => {}
                None => {
                    let session = person.session;
                    self.tell(News::Gone(session, Gone::Closed));
                    self.dismiss(who, now);
                }
            }
        }
    }

    /// Lets somebody go.
    fn dismiss(&mut self, who: usize, now: Instant) {
        let Some(mut person) = self.people.try_remove(who) else { return };
        person.leg.close();
        self.outlet.drain(who, &mut person, &mut self.next, now);
        self.outlet.tasks.retain(|(of, _)| *of != who);
        self.outlet.demux.forget(who);
        self.sessions.remove(&person.session);
        if let Some(room) = self.rooms.get_mut(&person.room) {
            room.members.retain(|member| *member != who);
            room.seats.leave(who);
            if room.members.is_empty() {
                self.rooms.remove(&person.room);
            }
        }
        self.settle(person.room, now);
    }

    fn tell(&self, news: News) {
        // Without anybody to tell, the server ends.
        let _told = self.news.send(news);
    }
}

impl Outlet {
    /// Sends what a connection has to send, and notes what else there is to do. Says whether
    /// there was sound.
    fn drain(&mut self, who: usize, person: &mut Person, next: &mut Instant, now: Instant) -> bool {
        let mut has_sound = false;
        loop {
            match person.leg.poll() {
                Some(Output::Transmit(transmit)) => self.send(who, &transmit, now),
                Some(Output::Event(event)) => {
                    has_sound |= matches!(event, Event::RtpPacket(_));
                    self.tasks.push_back((who, Some(event)));
                }
                Some(Output::Timeout(due)) => {
                    person.due = due;
                    *next = due.min(*next);
                    break;
                }
                None => break,
            }
        }
        if !person.leg.is_alive() {
            self.tasks.push_back((who, None));
        }
        has_sound
    }

    fn send(&mut self, who: usize, transmit: &Transmit, now: Instant) {
        let kind = Kind::of(&transmit.contents);
        if kind == Some(Kind::Check) {
            self.demux.asks(&transmit.contents, who, now);
        }
        match self.port.send(transmit.source, transmit.destination, &transmit.contents) {
            Ok(()) if kind == Some(Kind::Media { is_rtp: true }) => self.tally.forwarded(),
            Ok(()) => {}
            Err(_) => self.tally.dropped(Dropped::Unsent),
        }
    }
}

impl Room {
    const fn new(seats: usize) -> Self {
        Self { members: Vec::new(), seats: Seats::new(seats) }
    }
}
