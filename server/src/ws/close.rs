//! Why a connection ended.

use axum::extract::ws::{CloseFrame, close_code};

use crate::{events::Ended, observability::Outcome};

/// Why the server ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The server ends: come back to the next one.
    GoingAway,
    /// Not text.
    Unsupported,
    /// No WebSocket.
    Protocol,
    /// Not UTF-8.
    Encoding,
    /// More than a message may have.
    TooBig,
    /// Something went wrong here.
    Internal,
    /// Not JSON, or nothing that is known.
    Malformed,
    /// Something before or after its time.
    OutOfTurn,
    /// The access token has expired.
    Expired,
    /// The login was ended.
    Revoked,
    /// Too much in too short a time.
    TooOften,
    /// Nothing was heard.
    Silent,
    /// What is told is not taken.
    Slow,
    /// Another connection has the session.
    Replaced,
    /// The user has as many sessions as one may.
    TooMany,
}

impl Reason {
    /// RFC 6455, section 7.4, and ours from 4000 on.
    pub(super) const fn code(self) -> u16 {
        match self {
            Self::GoingAway => close_code::AWAY,
            Self::Protocol => close_code::PROTOCOL,
            Self::Unsupported => close_code::UNSUPPORTED,
            Self::Encoding => close_code::INVALID,
            Self::TooBig => close_code::SIZE,
            Self::Internal => close_code::ERROR,
            Self::Malformed => 4002,
            Self::OutOfTurn => 4003,
            Self::Expired => 4004,
            Self::Revoked => 4005,
            Self::TooOften => 4008,
            Self::Silent => 4009,
            Self::Slow => 4010,
            Self::Replaced => 4011,
            Self::TooMany => 4012,
        }
    }

    /// For the log of a client.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::GoingAway => "the server ends: resume elsewhere",
            Self::Protocol => "no WebSocket",
            Self::Unsupported => "text is spoken here",
            Self::Encoding => "not UTF-8",
            Self::TooBig => "a message has at most 64 KiB",
            Self::Internal => "the server failed: resume",
            Self::Malformed => "not a message that is known here",
            Self::OutOfTurn => "not at this time",
            Self::Expired => "the access token has expired: refresh it, then resume",
            Self::Revoked => "logged out",
            Self::TooOften => "too many messages: wait, then resume",
            Self::Silent => "nothing was heard: resume",
            Self::Slow => "events are not taken: resume",
            Self::Replaced => "another connection has the session",
            Self::TooMany => "a user has at most 50 sessions",
        }
    }

    pub(super) const fn outcome(self) -> Outcome {
        match self {
            Self::Internal => Outcome::Error,
            Self::GoingAway | Self::Replaced | Self::Revoked => Outcome::Success,
            Self::Expired => Outcome::Expired,
            Self::TooOften => Outcome::RateLimited,
            Self::Silent | Self::Slow => Outcome::TimedOut,
            _ => Outcome::Refused,
        }
    }

    pub(super) fn frame(self) -> CloseFrame {
        CloseFrame { code: self.code(), reason: self.words().into() }
    }
}

impl From<Ended> for Reason {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Slow => Self::Slow,
            Ended::Replaced => Self::Replaced,
            Ended::Revoked => Self::Revoked,
        }
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// By the client, with a code if it gave one.
    ByClient(Option<u16>),
    /// By the server.
    ByServer(Reason),
}

impl Closed {
    /// `websocket.close.code`
    pub(super) const fn code(self) -> &'static str {
        let code = match self {
            Self::ByClient(None) => return "none",
            Self::ByClient(Some(code)) => code,
            Self::ByServer(reason) => reason.code(),
        };
        match code {
            1000 => "1000",
            1001 => "1001",
            1002 => "1002",
            1003 => "1003",
            1005 => "1005",
            1007 => "1007",
            1008 => "1008",
            1009 => "1009",
            1010 => "1010",
            1011 => "1011",
            1012 => "1012",
            1013 => "1013",
            4002 => "4002",
            4003 => "4003",
            4004 => "4004",
            4005 => "4005",
            4008 => "4008",
            4009 => "4009",
            4010 => "4010",
            4011 => "4011",
            4012 => "4012",
            4000..=4999 => "private",
            _ => "other",
        }
    }

    /// `websocket.initiator`
    pub(super) const fn initiator(self) -> &'static str {
        match self {
            Self::ByClient(_) => "client",
            Self::ByServer(_) => "server",
        }
    }

    pub(super) const fn outcome(self) -> Outcome {
        match self {
            Self::ByClient(Some(1000 | 1001)) => Outcome::Success,
            Self::ByClient(_) => Outcome::Cancelled,
            Self::ByServer(reason) => reason.outcome(),
        }
    }

    /// Whether the client means not to come back.
    pub(super) const fn is_for_good(self) -> bool {
        matches!(self, Self::ByClient(Some(1000)) | Self::ByServer(Reason::Revoked))
    }
}
