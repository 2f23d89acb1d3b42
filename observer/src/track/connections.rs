//! TCP connections of the host, from one reading to the next.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    time::Duration,
};

use iddqd::{IdHashItem, IdHashMap, id_hash_map::Entry, id_upcast};

use crate::model::{CloseReason, Connection, ConnectionKey, Role, ServiceId, SocketCookie, Totals};

/// Dropped connections whose totals are kept; the oldest gives way.
const DROPPED: usize = 16_384;

/// The connections that stand, bounded by the kernel's table.
#[derive(Debug)]
pub struct ConnectionTracker {
    idle: Duration,
    readings: u64,
    standing: IdHashMap<Tracked>,
    /// Closed, and in the table at the last reading: about to come through the ring, or
    /// without room there.
    waiting: HashSet<ConnectionKey>,
    /// Reported from the table at the last reading.
    reported: HashSet<ConnectionKey>,
    dropped: Dropped,
}

#[derive(Debug)]
struct Tracked {
    latest: Connection,
    /// When its figures last changed, in ns of `CLOCK_MONOTONIC`.
    changed_ns: u64,
    /// The last reading that had it.
    seen: u64,
    handshake_reported: bool,
}

impl IdHashItem for Tracked {
    type Key<'a> = ConnectionKey;

    fn key(&self) -> ConnectionKey {
        self.latest.key()
    }

    id_upcast!();
}

/// How an attempt to connect came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// Established.
    Success,
    /// Reset by the far end.
    Refused,
    /// Nobody answered, or this side gave up.
    Timeout,
}

impl Outcome {
    /// The value of `outcome`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
        }
    }
}

/// What happened to the connections of a service since the interval began.
#[derive(Debug, Default)]
pub struct ConnectionInterval {
    /// Handshakes that came to an end, with their duration where it is known.
    pub handshakes: Vec<(Role, Outcome, Duration)>,
    /// A smoothed round trip of each connection that had new acknowledgements.
    pub round_trips: Vec<Duration>,
    /// Segments sent again.
    pub retransmits: u64,
    /// Bytes received, as [`Connection`] counts them.
    pub bytes_received: u64,
    /// Bytes acknowledged, as [`Connection`] counts them.
    pub bytes_acked: u64,
    /// Connections that were closed.
    pub closed: Vec<Connection>,
}

/// What happened to all of them.
#[derive(Debug, Default)]
pub struct ConnectionReading {
    /// By service; connections that are not watched are in none.
    pub services: BTreeMap<ServiceId, ConnectionInterval>,
    /// How many connections there are that are watched and carry data.
    pub open: BTreeMap<(ServiceId, Role), i64>,
    /// Connections that left the table without a word of their end.
    pub unseen_ends: u64,
    /// Connections that the kernel's table need not keep. They are closed, or adopted and
    /// silent for the idle time: those end unseen, and the next packet adopts them again.
    pub done: Vec<ConnectionKey>,
}

impl ConnectionReading {
    /// Where what happens to this connection is counted.
    fn of(&mut self, connection: &Connection) -> Option<&mut ConnectionInterval> {
        connection.service.map(|service| self.services.entry(service).or_default())
    }

    /// Adds what happened since the connection was last seen, and says whether its
    /// handshake is reported.
    fn account(
        &mut self,
        latest: &Connection,
        known: Option<&Tracked>,
        dropped: &mut Dropped,
    ) -> bool {
        let totals = latest.totals();
        let base = match known {
            Some(tracked) => tracked.latest.totals(),
            None => dropped.take(latest.socket).unwrap_or(latest.before),
        };
        // Who is not watched is kept up with, so that it can be watched from any moment on.
        let was_reported = known.is_some_and(|tracked| tracked.handshake_reported);
        let Some(interval) = self.of(latest) else {
            return was_reported || handshake(latest).is_some();
        };
        interval.retransmits += u64::from(totals.retransmits.saturating_sub(base.retransmits));
        interval.bytes_received += totals.bytes_received.saturating_sub(base.bytes_received);
        let acked = totals.bytes_acked.saturating_sub(base.bytes_acked);
        interval.bytes_acked += acked;
        let begins = known.is_none() && !latest.adopted;
        if let Some(srtt) = latest.srtt
            && (acked > 0 || begins)
        {
            interval.round_trips.push(srtt);
        }
        if was_reported {
            return true;
        }
        let handshake = handshake(latest);
        interval.handshakes.extend(handshake);
        handshake.is_some()
    }
}

impl ConnectionTracker {
    /// Adopted connections that do not change for `idle` are dropped.
    #[must_use]
    pub fn new(idle: Duration) -> Self {
        Self {
            idle,
            readings: 0,
            standing: IdHashMap::new(),
            waiting: HashSet::new(),
            reported: HashSet::new(),
            dropped: Dropped::default(),
        }
    }

    /// Every connection that is watched and carries data.
    pub fn open(&self) -> impl Iterator<Item = &Connection> {
        let all = self.standing.iter().map(|tracked| &tracked.latest);
        all.filter(|latest| latest.service.is_some() && latest.is_open())
    }

    /// Adopted connections that do not change for `idle` are dropped from here on.
    pub const fn set_idle(&mut self, idle: Duration) {
        self.idle = idle;
    }

    /// Takes in a connection whose end came through the ring. What is in the ring when
    /// the table is read belongs before that reading.
    pub fn close(&mut self, closed: Connection, reading: &mut ConnectionReading) {
        self.waiting.remove(&closed.key());
        if !self.reported.remove(&closed.key()) {
            self.end(closed, reading);
        }
    }

    /// Begins to take in a reading of the table, made at `now_ns` of `CLOCK_MONOTONIC`.
    pub fn begin(&mut self, now_ns: u64) -> ConnectionUpdate<'_> {
        self.readings += 1;
        self.reported.clear();
        let waited = std::mem::take(&mut self.waiting);
        ConnectionUpdate { tracker: self, now_ns, waited, reading: ConnectionReading::default() }
    }

    /// The kernel marks an entry closed before its figures are final and it is in the
    /// ring, and removes it after that: most of those seen come through the ring.
    fn wait(&mut self, connection: &Connection) {
        self.waiting.insert(connection.key());
        if let Some(mut tracked) = self.standing.get_mut(&connection.key()) {
            tracked.seen = self.readings;
        }
    }

    fn advance(&mut self, latest: Connection, now_ns: u64, reading: &mut ConnectionReading) {
        let seen = self.readings;
        match self.standing.entry(latest.key()) {
            Entry::Occupied(mut place) => {
                let mut tracked = place.get_mut();
                tracked.seen = seen;
                // Most say the same as a reading ago.
                if tracked.latest != latest {
                    let known = Some(&*tracked);
                    let handshake_reported = reading.account(&latest, known, &mut self.dropped);
                    *tracked = Tracked { latest, changed_ns: now_ns, seen, handshake_reported };
                }
            }
            Entry::Vacant(place) => {
                let handshake_reported = reading.account(&latest, None, &mut self.dropped);
                place.insert(Tracked { latest, changed_ns: now_ns, seen, handshake_reported });
            }
        }
    }

    fn end(&mut self, closed: Connection, reading: &mut ConnectionReading) {
        let known = self.standing.remove(&closed.key());
        reading.account(&closed, known.as_ref(), &mut self.dropped);
        if let Some(interval) = reading.of(&closed) {
            interval.closed.push(closed);
        }
    }

    fn drop_gone(&mut self, now_ns: u64, reading: &mut ConnectionReading) {
        let idle_ns = u64::try_from(self.idle.as_nanos()).unwrap_or(u64::MAX);
        self.standing.retain(|tracked| {
            let Tracked { latest, changed_ns, seen, .. } = &*tracked;
            let stays = if *seen < self.readings {
                // An end is in the ring before the entry leaves the table, and the ring
                // was read since: none is to come after a second reading without it.
                let stays = seen.saturating_add(1) == self.readings;
                reading.unseen_ends += u64::from(!stays && !latest.adopted);
                stays
            } else {
                let idles = latest.adopted && now_ns.saturating_sub(*changed_ns) >= idle_ns;
                if idles {
                    reading.done.push(latest.key());
                    self.dropped.keep(latest.socket, latest.totals());
                }
                !idles
            };
            if stays
                && let Some(service) = latest.service
                && latest.is_open()
            {
                *reading.open.entry((service, latest.role)).or_default() += 1;
            }
            stays
        });
    }
}

/// One reading of the table on its way in.
#[derive(Debug)]
pub struct ConnectionUpdate<'a> {
    tracker: &'a mut ConnectionTracker,
    now_ns: u64,
    waited: HashSet<ConnectionKey>,
    reading: ConnectionReading,
}

impl ConnectionUpdate<'_> {
    /// Takes in one connection.
    pub fn take(&mut self, connection: Connection) {
        let tracker = &mut *self.tracker;
        if connection.closed_ns.is_none() {
            tracker.advance(connection, self.now_ns, &mut self.reading);
        } else if self.waited.contains(&connection.key()) {
            // A whole interval: it found no room in the ring.
            self.reading.done.push(connection.key());
            tracker.reported.insert(connection.key());
            tracker.end(connection, &mut self.reading);
        } else {
            tracker.wait(&connection);
        }
    }

    /// The table has no more.
    #[must_use]
    pub fn finish(mut self) -> ConnectionReading {
        self.tracker.drop_gone(self.now_ns, &mut self.reading);
        self.reading
    }
}

/// Adopted connections that were dropped, so that one that is adopted again goes on
/// from where it was.
#[derive(Debug, Default)]
struct Dropped {
    totals: HashMap<SocketCookie, Totals>,
    /// At least every key, in the order of dropping.
    order: VecDeque<SocketCookie>,
}

impl Dropped {
    fn keep(&mut self, socket: SocketCookie, totals: Totals) {
        if self.order.len() == DROPPED
            && let Some(oldest) = self.order.pop_front()
        {
            self.totals.remove(&oldest);
        }
        self.order.push_back(socket);
        self.totals.insert(socket, totals);
    }

    fn take(&mut self, socket: SocketCookie) -> Option<Totals> {
        self.totals.remove(&socket)
    }
}

/// The handshake of a connection, if it has ended and its beginning was seen.
fn handshake(connection: &Connection) -> Option<(Role, Outcome, Duration)> {
    if let Some(duration) = connection.handshake() {
        return Some((connection.role, Outcome::Success, duration));
    }
    let outcome = match connection.close_reason? {
        CloseReason::Refused => Outcome::Refused,
        CloseReason::ConnectTimeout => Outcome::Timeout,
        _ => return None,
    };
    Some((connection.role, outcome, connection.duration()?))
}

#[cfg(test)]
mod tests;
