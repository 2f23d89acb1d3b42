//! A voice flow.

use observer_common::rtp::{self, flow::Flow};

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
    /// The payload type that says what they carry.
    pub main_payload_type: u8,
}

/// A flow, as it stood at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoiceFlow {
    /// Its key.
    pub key: VoiceKey,
    /// Whom it is counted for; `None` when it is not watched.
    pub service: Option<ServiceId>,
    /// The near end.
    pub local: Endpoint,
    /// The payload type that says what it carries: see [`VoiceFlow::keep_medium`].
    pub main_payload_type: u8,
    /// Its figures; times in ns of `CLOCK_MONOTONIC`.
    pub stream: Flow,
}

impl VoiceFlow {
    /// A flow of which no more is known than its last packet: counted, and for nobody in
    /// particular.
    #[must_use]
    pub const fn new(key: VoiceKey, local: Endpoint, stream: Flow) -> Self {
        let service = Some(ServiceId::UNKNOWN);
        Self { key, service, local, main_payload_type: stream.payload_type, stream }
    }

    /// Goes by the main payload type that was `known` of this flow, if its last packet
    /// says less. One packet of telephone events (RFC 4733), whose payload type is
    /// dynamic, or of comfort noise does not change what a flow carries; a codec with a
    /// dynamic payload type after one with a static goes unnoticed for the same reason.
    pub const fn keep_medium(&mut self, known: u8) {
        if telling(self.main_payload_type) < telling(known) {
            self.main_payload_type = known;
        }
    }

    /// What it is counted as.
    #[must_use]
    pub const fn kind(&self) -> VoiceKind {
        VoiceKind { direction: self.key.direction, main_payload_type: self.main_payload_type }
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

    /// The value of `voice.media`.
    #[must_use]
    pub const fn media(&self) -> &'static str {
        media(self.main_payload_type)
    }

    /// The value of `voice.codec`.
    #[must_use]
    pub const fn codec(&self) -> &'static str {
        codec(self.main_payload_type)
    }
}

/// How much a payload type tells of the medium: least the one of comfort noise, most one
/// that RFC 3551 gives to a codec.
const fn telling(payload_type: u8) -> u8 {
    if rtp::is_comfort_noise(payload_type) {
        0
    } else if rtp::static_codec(payload_type).is_none() {
        1
    } else {
        2
    }
}

/// The value of `voice.media` for a payload type; dynamic ones are named by signalling
/// that nobody shows us, so theirs is `unknown`.
#[must_use]
pub const fn media(payload_type: u8) -> &'static str {
    match rtp::is_static_video(payload_type) {
        Some(true) => "video",
        Some(false) => "audio",
        None => "unknown",
    }
}

/// The value of `voice.codec` for a payload type, by the same rule.
#[must_use]
pub const fn codec(payload_type: u8) -> &'static str {
    match rtp::static_codec(payload_type) {
        Some(codec) => codec,
        None => "unknown",
    }
}
