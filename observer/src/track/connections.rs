//! TCP connections of the host, from one reading to the next.

use std::{collections::HashMap, time::Duration};

use crate::model::{CloseReason, Connection, Role, SocketCookie};

/// The connections that stand, bounded by the kernel's table.
#[derive(Debug)]
pub struct ConnectionTracker {
    idle: Duration,
    standing: HashMap<SocketCookie, Tracked>,
}

#[derive(Debug)]
struct Tracked {
    latest: Connection,
    /// When its figures last changed, in ns of `CLOCK_MONOTONIC`.
    changed_ns: u64,
    handshake_reported: bool,
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

/// What happened between two readings.
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
    /// Adopted connections of which nothing was heard for the idle time. Their end goes
    /// unseen, so they are dropped; the next packet adopts them again.
    pub idle: Vec<SocketCookie>,
}

impl ConnectionTracker {
    /// Adopted connections that do not change for `idle` are dropped.
    #[must_use]
    pub fn new(idle: Duration) -> Self {
        Self { idle, standing: HashMap::new() }
    }

    /// Every connection that carries data.
    pub fn open(&self) -> impl Iterator<Item = &Connection> {
        self.standing.values().map(|tracked| &tracked.latest).filter(|latest| latest.is_open())
    }

    /// Takes in a reading made at `now_ns` of `CLOCK_MONOTONIC`, and the connections
    /// that were closed since the last one.
    pub fn update(
        &mut self,
        reading: Vec<Connection>,
        closed: Vec<Connection>,
        now_ns: u64,
    ) -> ConnectionInterval {
        let mut interval = ConnectionInterval::default();
        for connection in reading.into_iter().chain(closed) {
            self.advance(connection, now_ns, &mut interval);
        }
        let idle_ns = u64::try_from(self.idle.as_nanos()).unwrap_or(u64::MAX);
        self.standing.retain(|cookie, tracked| {
            let idles = now_ns.saturating_sub(tracked.changed_ns) >= idle_ns;
            let stays = !(idles && tracked.latest.adopted);
            if !stays {
                interval.idle.push(*cookie);
            }
            stays
        });
        interval
    }

    fn advance(&mut self, latest: Connection, now_ns: u64, interval: &mut ConnectionInterval) {
        let known = self.standing.remove(&latest.socket);
        // An adopted connection's figures are of its whole life: they begin here.
        let before = match &known {
            Some(tracked) => Some(tracked.latest),
            None if latest.adopted => Some(latest),
            None => None,
        };
        let base = before.unwrap_or(Connection {
            retransmits: 0,
            bytes_received: 0,
            bytes_acked: 0,
            ..latest
        });
        interval.retransmits += u64::from(latest.retransmits.saturating_sub(base.retransmits));
        interval.bytes_received += latest.bytes_received.saturating_sub(base.bytes_received);
        let acked = latest.bytes_acked.saturating_sub(base.bytes_acked);
        interval.bytes_acked += acked;
        if let Some(srtt) = latest.srtt
            && (acked > 0 || before.is_none())
        {
            interval.round_trips.push(srtt);
        }
        let mut handshake_reported =
            known.as_ref().is_some_and(|tracked| tracked.handshake_reported);
        if !handshake_reported && let Some(handshake) = handshake(&latest) {
            interval.handshakes.push(handshake);
            handshake_reported = true;
        }
        if latest.closed_ns.is_some() {
            interval.closed.push(latest);
            return;
        }
        let changed_ns = match &known {
            Some(tracked) if tracked.latest == latest => tracked.changed_ns,
            _ => now_ns,
        };
        self.standing.insert(latest.socket, Tracked { latest, changed_ns, handshake_reported });
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
    let duration = connection.closed_ns?.saturating_sub(connection.opened_ns?);
    Some((connection.role, outcome, Duration::from_nanos(duration)))
}

#[cfg(test)]
mod tests;
