//! A path of voice: a socket and a far end, and what is known of it beside its media.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use observer_common::{path::Path, rtcp::report::Report, stun::NAME_ROOM};

use super::{Endpoint, FarLoss, ServiceId, SocketCookie, VoiceKey};

/// What makes a path one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PathKey {
    /// Its socket.
    pub socket: SocketCookie,
    /// The far end.
    pub peer: Endpoint,
}

/// A path, as it stood at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoicePath {
    /// Its key.
    pub key: PathKey,
    /// Whom it is counted for; `None` when it is not watched.
    pub service: Option<ServiceId>,
    /// The near end.
    pub local: Endpoint,
    /// Its figures; times in ns of `CLOCK_MONOTONIC`, in a replay of the capture's clock.
    pub path: Path,
}

/// An ICE session as one of its ends sees it: two paths with one are ways of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IceSession(u64);

impl VoicePath {
    /// A path of nobody in particular.
    #[must_use]
    pub const fn new(key: PathKey, local: Endpoint, path: Path) -> Self {
        Self { key, service: Some(ServiceId::UNKNOWN), local, path }
    }

    /// Its ICE session; `None` where no check was granted that had a user name.
    #[must_use]
    pub fn session(&self) -> Option<IceSession> {
        let name = &self.path.name;
        if name.length == 0 {
            return None;
        }
        let (bytes, length) = name.bytes();
        let bytes = &bytes[..length];
        let mut hasher = DefaultHasher::new();
        // Two names of which more is cut off than the colon are told apart by what is left.
        let is_whole = name.length <= NAME_ROOM;
        match bytes.iter().position(|byte| *byte == b':').filter(|_| is_whole) {
            Some(colon) => {
                let (first, second) = (&bytes[..colon], &bytes[colon + 1..]);
                let ends = if self.path.is_name_sent() { [second, first] } else { [first, second] };
                ends.hash(&mut hasher);
            }
            None => (bytes, self.path.is_name_sent()).hash(&mut hasher),
        }
        Some(IceSession(hasher.finish()))
    }
}

/// What the far end reports of a flow, as it stood at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowReport {
    /// The flow that is sent, over the path that the reports come by.
    pub flow: VoiceKey,
    /// The reports.
    pub report: Report,
}

impl FlowReport {
    /// The path that the reports come by.
    #[must_use]
    pub const fn path(&self) -> PathKey {
        PathKey { socket: self.flow.socket, peer: self.flow.peer }
    }
}

/// Where a round trip is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RttSource {
    /// Checks and their answers.
    Stun,
    /// Sender reports, and the receiver's reports that name them.
    Rtcp,
}

impl RttSource {
    /// The value of `voice.rtt.source`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stun => "stun",
            Self::Rtcp => "rtcp",
        }
    }
}

/// A part of a call's set-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// From the first check to the pair in use.
    Ice,
    /// From that to the first `ClientHello`.
    Dtls,
    /// From that to the first media.
    Media,
}

impl Phase {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::Ice, Self::Dtls, Self::Media];

    /// The value of `voice.phase`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ice => "ice",
            Self::Dtls => "dtls",
            Self::Media => "media",
        }
    }
}

/// A call that has no media yet, on the path that it is most likely to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettingUp {
    /// The key of the path.
    pub key: PathKey,
    /// Whom it is counted for; `None` when it is not watched.
    pub service: Option<ServiceId>,
    /// The near end.
    pub local: Endpoint,
    /// The part that has not ended.
    pub phase: Phase,
    /// Its first check or `ClientHello`, in ns as of [`VoicePath`].
    pub since_ns: u64,
}

/// What is known of a flow's path. `None` is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PathFigures {
    /// The last round trip.
    pub rtt: Option<(RttSource, Duration)>,
    /// How long the application took for its last answer to a check.
    pub stall: Option<Duration>,
    /// The longest that it took.
    pub stall_max: Option<Duration>,
    /// How long the phases of the set-up took, in the order of [`Phase::ALL`].
    pub setup: [Option<Duration>; 3],
    /// What the far end missed of a flow, by its reports.
    pub far_loss: Option<FarLoss>,
    /// Interarrival jitter at the far end by its last report, in ticks of the flow's clock.
    pub far_jitter_ticks: Option<u32>,
    /// Datagrams of RTCP that could be read.
    pub rtcp: Option<u64>,
    /// Datagrams of SRTCP.
    pub srtcp: Option<u64>,
}
