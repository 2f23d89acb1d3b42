//! A voice flow.

use std::time::Duration;

use observer_common::{
    packet::TCP,
    rtp::{self, clock::VIDEO_RATE, extension::Extensions, flow::Flow},
};

use super::{Endpoint, ServiceId, SocketCookie};

/// Which way a flow goes, as the observed process sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// The process receives.
    Receive,
    /// The process transmits.
    Transmit,
}

impl Direction {
    /// The value of `network.io.direction`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Transmit => "transmit",
        }
    }

    /// The other one.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Receive => Self::Transmit,
            Self::Transmit => Self::Receive,
        }
    }
}

/// What carries the packets of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Transport {
    /// One datagram a packet.
    #[default]
    Udp,
    /// A stream, by RFC 4571 or by way of a relay: what is lost is sent again, and holds up what
    /// comes behind it.
    Tcp,
}

impl Transport {
    /// That of an IP protocol number.
    #[must_use]
    pub const fn of(protocol: u8) -> Self {
        if protocol == TCP { Self::Tcp } else { Self::Udp }
    }

    /// The value of `network.transport`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

/// What makes a flow one flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VoiceKey {
    /// Its socket.
    pub socket: SocketCookie,
    /// The far end.
    pub peer: Endpoint,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Which way it goes.
    pub direction: Direction,
}

/// What flows are told apart by where they are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VoiceKind {
    /// Which way they go.
    pub direction: Direction,
    /// The value of `voice.codec`.
    pub codec: &'static str,
    /// The value of `voice.media`.
    pub media: &'static str,
}

/// A flow, as it stood at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VoiceFlow {
    /// Its key.
    pub key: VoiceKey,
    /// Whom it is counted for; `None` when it is not watched.
    pub service: Option<ServiceId>,
    /// The near end.
    pub local: Endpoint,
    /// What carries it.
    pub transport: Transport,
    /// Its figures; times in ns of `CLOCK_MONOTONIC`.
    pub stream: Flow,
    /// What the header extensions of its sampled packets tell.
    pub extensions: Extensions,
    /// How long its sampled packets took from their receipt on another flow of the process.
    pub hop: HopDelay,
    /// How often it has moved to another path.
    pub moves: u32,
    /// Round trip of its path, where one was measured.
    pub rtt: Option<Duration>,
    /// What the far end missed of a flow that is sent, where it says so.
    pub far_loss: Option<FarLoss>,
}

/// What the far end missed, by its RTCP; ratios from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FarLoss {
    /// Since its report before the last; `None` once that is too old to tell of the present.
    pub recent: Option<f64>,
    /// Since its first.
    pub whole: f64,
}

/// Delays of sampled packets from their receipt to their transmission by a process that
/// forwards them as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HopDelay {
    /// Their sum, in ns.
    pub sum_ns: u64,
    /// The largest, in ns.
    pub max_ns: u64,
    /// How many.
    pub count: u64,
}

impl HopDelay {
    /// None was seen.
    pub const NONE: Self = Self { sum_ns: 0, max_ns: 0, count: 0 };

    /// Their mean; `None` when there are none.
    #[must_use]
    pub fn mean(&self) -> Option<Duration> {
        self.sum_ns.checked_div(self.count).map(Duration::from_nanos)
    }

    /// Those that came since `before`.
    #[must_use]
    pub const fn since(&self, before: &Self) -> Self {
        Self {
            sum_ns: self.sum_ns.saturating_sub(before.sum_ns),
            max_ns: self.max_ns,
            count: self.count.saturating_sub(before.count),
        }
    }
}

impl VoiceFlow {
    /// A flow of which no more is known than its packets: counted, and for nobody in
    /// particular.
    #[must_use]
    pub const fn new(key: VoiceKey, local: Endpoint, stream: Flow) -> Self {
        let service = Some(ServiceId::UNKNOWN);
        Self {
            key,
            service,
            local,
            transport: Transport::Udp,
            stream,
            extensions: Extensions::NONE,
            hop: HopDelay::NONE,
            moves: 0,
            rtt: None,
            far_loss: None,
        }
    }

    /// Where the packets come from.
    #[must_use]
    pub const fn source(&self) -> Endpoint {
        match self.key.direction {
            Direction::Receive => self.key.peer,
            Direction::Transmit => self.local,
        }
    }

    /// Where the packets go.
    #[must_use]
    pub const fn destination(&self) -> Endpoint {
        match self.key.direction {
            Direction::Receive => self.local,
            Direction::Transmit => self.key.peer,
        }
    }

    /// The value of `voice.media`. Signalling names the dynamic payload types, and nobody
    /// shows us that; but only video counts at 90 kHz (RFC 3551 section 5).
    #[must_use]
    pub const fn media(&self) -> &'static str {
        match rtp::is_static_video(self.stream.payload_type) {
            Some(true) => "video",
            Some(false) => "audio",
            None if !self.stream.is_clock_known() => "unknown",
            None if self.stream.clock_rate == VIDEO_RATE => "video",
            None => "audio",
        }
    }

    /// The value of `voice.codec`: of a dynamic payload type it is `unknown`.
    #[must_use]
    pub const fn codec(&self) -> &'static str {
        match rtp::static_codec(self.stream.payload_type) {
            Some(codec) => codec,
            None => "unknown",
        }
    }
}
