//! From mouth to ear: network, jitter buffer, and codec with its packets.

use std::time::Duration;

/// How the network's part is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// Half of a round trip that was measured.
    Measured,
    /// The configuration says so, because there was none.
    Assumed,
}

impl Source {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Measured, Self::Assumed];

    /// The value of `voice.delay`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Assumed => "assumed",
        }
    }
}

/// One way through the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// How long it takes.
    pub delay: Duration,
    /// How that is known.
    pub source: Source,
}

impl Network {
    /// Half of a round trip; without one, what is `assumed`.
    #[must_use]
    pub fn new(rtt: Option<Duration>, assumed: Duration) -> Self {
        rtt.map_or(Self { delay: assumed, source: Source::Assumed }, |rtt| Self {
            delay: rtt / 2,
            source: Source::Measured,
        })
    }

    /// From mouth to ear (ITU-T G.114), with what waits in the jitter buffer and in the
    /// codec.
    #[must_use]
    pub const fn to_ear(self, buffer: Duration, codec: Duration) -> Duration {
        self.delay.saturating_add(buffer).saturating_add(codec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_parts_add_up_and_an_assumption_says_so() {
        let measured = Network::new(Some(ms(80)), ms(50));
        assert_eq!(measured.source.as_str(), "measured");
        assert_eq!(measured.to_ear(ms(60), ms(25)), ms(125));
        let assumed = Network::new(None, ms(50));
        assert_eq!(assumed.source.as_str(), "assumed");
        assert_eq!(assumed.to_ear(ms(60), ms(25)), ms(135));
    }
}
