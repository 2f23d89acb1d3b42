//! Where media should flow and does not.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use crate::model::{Direction, Endpoint, ServiceId, SocketCookie, VoiceFlow};

/// How long media may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// A stream that lost all of its packets for this long was interrupted.
    pub silence: Duration,
    /// Audio in one direction alone for this long is one-way audio.
    pub one_way: Duration,
}

impl Default for Patience {
    /// 2 s, in which a listener asks whether the other is still there, and 15 s, after which
    /// Twilio's Voice Insights speak of one-way audio.
    fn default() -> Self {
        Self { silence: Duration::from_secs(2), one_way: Duration::from_secs(15) }
    }
}

/// Why media is taken for interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// Packets of a stream were lost for a time, all of them.
    Silence,
    /// There is audio in the other direction, and none in this one.
    OneWay,
}

impl Reason {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Silence, Self::OneWay];

    /// The value of `reason`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Silence => "silence",
            Self::OneWay => "one_way",
        }
    }
}

/// What else there is to be seen of the far end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FarEnd {
    /// Nothing: there are neither checks nor RTCP, so media is all that there could be.
    Unknown,
    /// It answers checks, or sends RTCP: when it sends no media, it has none to send.
    Alive,
    /// It did, and does no longer.
    Gone,
}

/// A socket and a far end.
pub type Ends = (SocketCookie, Endpoint);

/// Audio between two ends.
#[derive(Clone, Copy, Debug, Default)]
struct Audio {
    service: Option<ServiceId>,
    received: Option<Span>,
    transmitted: Option<Span>,
}

/// From the first packet to the last, in ns.
#[derive(Clone, Copy, Debug)]
struct Span {
    first_ns: u64,
    last_ns: u64,
}

impl Audio {
    const fn of(&mut self, direction: Direction) -> &mut Option<Span> {
        match direction {
            Direction::Receive => &mut self.received,
            Direction::Transmit => &mut self.transmitted,
        }
    }

    fn add(&mut self, flow: &VoiceFlow) {
        let (first_ns, last_ns) = (flow.stream.first_ns, flow.stream.last_ns);
        self.service = self.service.or(flow.service);
        let span = self.of(flow.key.direction).get_or_insert(Span { first_ns, last_ns });
        span.first_ns = span.first_ns.min(first_ns);
        span.last_ns = span.last_ns.max(last_ns);
    }
}

/// The directions that lack their audio.
#[derive(Debug, Default)]
pub(super) struct OneWay {
    looked_ns: u64,
    missing: HashSet<(Ends, Direction)>,
}

impl OneWay {
    /// Looks for audio that goes one way, some times in the time that it may do so, and counts
    /// each new case for its service and by the direction that is missing.
    pub(super) fn look<'a>(
        &mut self,
        flows: impl Iterator<Item = &'a VoiceFlow>,
        now_ns: u64,
        patience: Duration,
        far_end: impl Fn(&Ends) -> FarEnd,
    ) -> BTreeMap<(ServiceId, Direction), u64> {
        let patience_ns = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
        let mut counts = BTreeMap::new();
        if now_ns.saturating_sub(self.looked_ns) < patience_ns / 4 {
            return counts;
        }
        let since_ns = std::mem::replace(&mut self.looked_ns, now_ns);
        let mut audio = HashMap::<Ends, Audio>::new();
        for flow in flows.filter(|flow| flow.media() != "video") {
            audio.entry((flow.key.socket, flow.key.peer)).or_default().add(flow);
        }
        self.missing.retain(|(ends, _)| audio.contains_key(ends));
        for (ends, mut audio) in audio {
            for (there, missing) in [
                (Direction::Receive, Direction::Transmit),
                (Direction::Transmit, Direction::Receive),
            ] {
                let silent = |span: Span| now_ns.saturating_sub(span.last_ns);
                let (flows, stopped) = (*audio.of(there), *audio.of(missing));
                // Something came since the last look, and has been coming for long.
                let is_there = flows.is_some_and(|span| {
                    span.last_ns >= since_ns && now_ns.saturating_sub(span.first_ns) >= patience_ns
                });
                let is_missing = match stopped {
                    Some(span) => silent(span) >= patience_ns && far_end(&ends) != FarEnd::Alive,
                    // Whoever only listens in a conference never sends, and says so in
                    // signalling. Without ICE it is a call.
                    None => far_end(&ends) == FarEnd::Unknown,
                };
                if !is_there || !is_missing {
                    self.missing.remove(&(ends, missing));
                } else if self.missing.insert((ends, missing))
                    && let Some(service) = audio.service
                {
                    *counts.entry((service, missing)).or_default() += 1;
                }
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use observer_common::rtp::{Header, flow::Flow};

    use super::*;
    use crate::model::VoiceKey;

    const SECOND: u64 = 1_000_000_000;
    const PATIENCE: Duration = Duration::from_secs(15);

    /// Audio from `first` to `last`, in seconds.
    fn audio(direction: Direction, first: u64, last: u64) -> VoiceFlow {
        let header = Header { payload_type: 8, marker: false, sequence: 1, timestamp: 1, ssrc: 1 };
        let mut stream = Flow::new(&header, 172, first * SECOND);
        stream.advance(&Header { sequence: 2, ..header }, 172, last * SECOND);
        let peer = "10.0.0.1:5004".parse().unwrap();
        let key = VoiceKey { socket: SocketCookie(1), peer, ssrc: 1, direction };
        VoiceFlow::new(key, "10.0.0.2:5004".parse().unwrap(), stream)
    }

    fn look(one_way: &mut OneWay, flows: &[VoiceFlow], at: u64, far_end: FarEnd) -> Vec<Direction> {
        let counts = one_way.look(flows.iter(), at * SECOND, PATIENCE, |_| far_end);
        counts.into_iter().map(|((_, direction), _)| direction).collect()
    }

    #[test]
    fn audio_that_stopped_in_one_direction_counts_once_until_it_is_back() {
        let mut one_way = OneWay::default();
        let flows = |received, sent| {
            [audio(Direction::Receive, 1, received), audio(Direction::Transmit, 1, sent)]
        };
        for (received, at, missing) in [
            (20, 20, vec![]),
            (20, 30, vec![]),
            (20, 36, vec![Direction::Receive]),
            (20, 60, vec![]),
            (64, 64, vec![]),
            (64, 84, vec![Direction::Receive]),
        ] {
            let flows = flows(received, at);
            assert_eq!(look(&mut one_way, &flows, at, FarEnd::Gone), missing, "{at}");
        }
    }

    #[test]
    fn who_holds_or_is_mute_and_answers_checks_is_not_missing() {
        let mut one_way = OneWay::default();
        for at in [20, 40, 60] {
            let flows = [audio(Direction::Receive, 1, 10), audio(Direction::Transmit, 1, at)];
            assert_eq!(look(&mut one_way, &flows, at, FarEnd::Alive), []);
        }
        let both_rest = [audio(Direction::Receive, 1, 10), audio(Direction::Transmit, 1, 10)];
        assert_eq!(look(&mut one_way, &both_rest, 90, FarEnd::Unknown), []);
    }

    #[test]
    fn a_call_without_ice_goes_both_ways_from_the_start() {
        let flows = [audio(Direction::Transmit, 1, 30)];
        let missing = look(&mut OneWay::default(), &flows, 30, FarEnd::Unknown);
        assert_eq!(missing, [Direction::Receive]);
        for far_end in [FarEnd::Alive, FarEnd::Gone] {
            assert_eq!(look(&mut OneWay::default(), &flows, 30, far_end), [], "a listener");
        }
        let young = [audio(Direction::Transmit, 20, 30)];
        assert_eq!(look(&mut OneWay::default(), &young, 30, FarEnd::Unknown), []);
    }
}
