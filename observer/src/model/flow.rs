//! A voice flow.

use std::net::SocketAddr;

use observer_common::rtp::{self, flow::Flow};

use super::SocketCookie;

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
}

/// What makes a flow one flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VoiceKey {
    /// Its socket.
    pub socket: SocketCookie,
    /// The far end.
    pub peer: SocketAddr,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Which way it goes.
    pub direction: Direction,
}

/// A flow, as it stood at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoiceFlow {
    /// Its key.
    pub key: VoiceKey,
    /// The near end.
    pub local: SocketAddr,
    /// Its figures; times in ns of `CLOCK_MONOTONIC`.
    pub stream: Flow,
}

impl VoiceFlow {
    /// Where the packets come from.
    #[must_use]
    pub const fn source(&self) -> SocketAddr {
        match self.key.direction {
            Direction::Receive => self.key.peer,
            Direction::Transmit => self.local,
        }
    }

    /// Where the packets go.
    #[must_use]
    pub const fn destination(&self) -> SocketAddr {
        match self.key.direction {
            Direction::Receive => self.local,
            Direction::Transmit => self.key.peer,
        }
    }

    /// The value of `voice.media`; dynamic payload types are named by signalling that
    /// nobody shows us, so theirs is `unknown`.
    #[must_use]
    pub fn media(&self) -> &'static str {
        match rtp::is_static_video(self.stream.payload_type) {
            Some(true) => "video",
            Some(false) => "audio",
            None => "unknown",
        }
    }

    /// The value of `voice.codec`, by the same rule.
    #[must_use]
    pub fn codec(&self) -> &'static str {
        rtp::static_codec(self.stream.payload_type).unwrap_or("unknown")
    }
}
