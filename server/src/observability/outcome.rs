//! How something ended, in the contract's words.

use opentelemetry::KeyValue;

/// How something ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As was asked.
    Success,
    /// The client asked for what it may not have.
    Refused,
    /// The server could not.
    Error,
    /// Too often.
    RateLimited,
    /// Too late.
    Expired,
    /// A token that was used before.
    Reused,
    /// Nothing is known of what was asked for.
    Unknown,
    /// Some of what was missed is no longer there.
    Gap,
    /// An invitation was taken.
    Joined,
    /// An invitation was refused.
    Declined,
    /// An invitation, or a call, waited too long.
    TimedOut,
    /// Somebody left.
    Left,
    /// Whoever asked went away.
    Cancelled,
}

impl Outcome {
    /// The contract's word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Refused => "refused",
            Self::Error => "error",
            Self::RateLimited => "rate_limited",
            Self::Expired => "expired",
            Self::Reused => "reused",
            Self::Unknown => "unknown",
            Self::Gap => "gap",
            Self::Joined => "joined",
            Self::Declined => "declined",
            Self::TimedOut => "timed_out",
            Self::Left => "left",
            Self::Cancelled => "cancelled",
        }
    }

    /// It as an attribute.
    #[must_use]
    pub fn attribute(self) -> KeyValue {
        KeyValue::new("outcome", self.name())
    }
}
