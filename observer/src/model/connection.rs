//! A TCP connection.

use std::{num::NonZeroU64, time::Duration};

pub use observer_common::abi::socket::CloseReason;

use super::{Endpoint, ServiceId, SocketCookie};

/// Who began it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The observed process connected.
    Client,
    /// The observed process accepted.
    Server,
    /// It is older than the observer.
    Unknown,
}

impl Role {
    /// The value of `tcp.role`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Unknown => "unknown",
        }
    }
}

/// What only grows while a connection lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// As [`Connection::retransmits`].
    pub retransmits: u32,
    /// As [`Connection::bytes_received`].
    pub bytes_received: u64,
    /// As [`Connection::bytes_acked`].
    pub bytes_acked: u64,
}

/// What makes a connection one. A socket keeps its cookie through `connect(AF_UNSPEC)` and
/// through an attempt that failed, so it may be several connections, which differ in when
/// they began.
pub type ConnectionKey = (SocketCookie, Option<NonZeroU64>);

/// A connection, as it stood at one moment. Times are ns of `CLOCK_MONOTONIC`; the
/// counts of an adopted one begin at its adoption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Its socket.
    pub socket: SocketCookie,
    /// The listener that it came by, where that is known.
    pub listener: Option<SocketCookie>,
    /// Whom it is counted for; `None` when it is not watched.
    pub service: Option<ServiceId>,
    /// The near end; `None` while only its request is known.
    pub local: Option<Endpoint>,
    /// The far end.
    pub remote: Option<Endpoint>,
    /// Who began it.
    pub role: Role,
    /// Whether the observer came later than its beginning.
    pub adopted: bool,
    /// When the handshake began.
    pub opened_ns: Option<NonZeroU64>,
    /// When it was established.
    pub established_ns: Option<NonZeroU64>,
    /// When it was closed.
    pub closed_ns: Option<NonZeroU64>,
    /// How it was closed.
    pub close_reason: Option<CloseReason>,
    /// Smoothed round trip (RFC 6298), once there is one.
    pub srtt: Option<Duration>,
    /// Smallest round trip of the kernel's window, once there is one.
    pub min_rtt: Option<Duration>,
    /// Segments sent again.
    pub retransmits: u32,
    /// Bytes received, as the kernel counts them: payload, and 1 for a FIN.
    pub bytes_received: u64,
    /// Bytes that the far end acknowledged, as the kernel counts them: payload, and 1
    /// each for a SYN and a FIN.
    pub bytes_acked: u64,
    /// What had been counted when it was adopted; nothing, if its beginning was seen.
    pub before: Totals,
}

impl Connection {
    /// Its key.
    #[must_use]
    pub const fn key(&self) -> ConnectionKey {
        (self.socket, self.opened_ns)
    }

    /// What the kernel has counted in its whole life.
    #[must_use]
    pub const fn totals(&self) -> Totals {
        Totals {
            retransmits: self.retransmits.saturating_add(self.before.retransmits),
            bytes_received: self.bytes_received.saturating_add(self.before.bytes_received),
            bytes_acked: self.bytes_acked.saturating_add(self.before.bytes_acked),
        }
    }

    /// From the call of connect, or the SYN that came in, to established.
    #[must_use]
    pub fn handshake(&self) -> Option<Duration> {
        Some(between(self.opened_ns?, self.established_ns?))
    }

    /// From established to closed.
    #[must_use]
    pub fn lifetime(&self) -> Option<Duration> {
        Some(between(self.established_ns?, self.closed_ns?))
    }

    /// From the beginning to its end, whatever became of it.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        Some(between(self.opened_ns?, self.closed_ns?))
    }

    /// Whether it carries data: established, and not closed.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.closed_ns.is_none() && (self.established_ns.is_some() || self.adopted)
    }
}

const fn between(first: NonZeroU64, then: NonZeroU64) -> Duration {
    Duration::from_nanos(then.get().saturating_sub(first.get()))
}
