//! Where media should flow and does not.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use crate::model::{Direction, Endpoint, ServiceId, SocketCookie, VoiceFlow, VoiceKey};

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

/// Within that time somebody who is there sends two checks: consent is asked for every 5 s, or up
/// to a fifth later (RFC 7675 section 5.1). One may be lost, or come just after a reading.
const TWO_CHECKS: Duration = Duration::from_secs(12);

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

impl FarEnd {
    /// One that was seen so long ago, where audio may be missing for `patience`: less than the
    /// time between checks cannot tell who is mute from who is gone.
    #[must_use]
    pub fn seen(ago: Duration, patience: Duration) -> Self {
        if ago < patience.max(TWO_CHECKS) { Self::Alive } else { Self::Gone }
    }
}

/// When a flow was interrupted, as far as readings tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interruptions {
    silences: Lapses,
    one_way: Lapses,
    /// Until when `one_way` counts audio that goes one way, in ns; `None` when none does.
    one_way_until_ns: Option<u64>,
}

/// Times without media.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lapses {
    /// How many.
    pub count: u64,
    /// All of them together.
    pub time: Duration,
}

impl Lapses {
    fn add(&mut self, count: u64, time: Duration) {
        self.count += count;
        self.time += time;
    }
}

impl Interruptions {
    /// Those of one reason. One-way audio belongs to the flow that stopped; where nothing ever
    /// came the other way, to the one that got no answer.
    #[must_use]
    pub const fn by(&self, reason: Reason) -> Lapses {
        match reason {
            Reason::Silence => self.silences,
            Reason::OneWay => self.one_way,
        }
    }

    /// Why it is interrupted, by the last look. A silence is told from a rest only when packets
    /// come again.
    #[must_use]
    pub const fn current(&self) -> Option<Reason> {
        if self.one_way_until_ns.is_some() { Some(Reason::OneWay) } else { None }
    }

    /// Adds silences that ended; of more than one, the length of the last is known.
    pub(super) fn end_silences(&mut self, count: u32, last: Duration) {
        self.silences.add(count.into(), last * count);
    }

    /// Takes in what a look at `now_ns` found: since when there is audio one way alone.
    pub(super) fn see_one_way(&mut self, since_ns: Option<u64>, now_ns: u64) {
        let until_ns = self.one_way_until_ns.take();
        if let Some(since_ns) = since_ns {
            let new_ns = now_ns.saturating_sub(until_ns.unwrap_or(since_ns));
            self.one_way.add(until_ns.is_none().into(), Duration::from_nanos(new_ns));
            self.one_way_until_ns = Some(now_ns);
        }
    }

    /// Adds those of a flow that turned out to be part of this one.
    pub(super) fn join(&mut self, part: &Self) {
        self.silences.add(part.silences.count, part.silences.time);
        self.one_way.add(part.one_way.count, part.one_way.time);
    }
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
    missing: HashMap<(Ends, Direction), Missing>,
}

/// Audio that is missing in one direction.
#[derive(Clone, Copy, Debug)]
struct Missing {
    /// The last of it, or, where there never was any, the first of the other direction, in ns.
    since_ns: u64,
    /// Whether there was any.
    has_stopped: bool,
}

impl OneWay {
    /// Looks for audio that goes one way, some times in the time that it may do so, and counts
    /// each new case for its service and by the direction that is missing. `None` when it is
    /// not yet time to look again.
    pub(super) fn look<'a>(
        &mut self,
        flows: impl Iterator<Item = &'a VoiceFlow>,
        now_ns: u64,
        patience: Duration,
        far_end: impl Fn(&Ends) -> FarEnd,
    ) -> Option<BTreeMap<(ServiceId, Direction), u64>> {
        let patience_ns = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
        if now_ns.abs_diff(self.looked_ns) < patience_ns / 4 {
            return None;
        }
        let mut counts = BTreeMap::new();
        let since_ns = std::mem::replace(&mut self.looked_ns, now_ns);
        let mut audio = HashMap::<Ends, Audio>::new();
        for flow in flows.filter(|flow| flow.media() != "video") {
            audio.entry((flow.key.socket, flow.key.peer)).or_default().add(flow);
        }
        self.missing.retain(|(ends, _), _| audio.contains_key(ends));
        for (ends, mut audio) in audio {
            for missing in [Direction::Receive, Direction::Transmit] {
                let silent = |span: Span| now_ns.saturating_sub(span.last_ns);
                let (flows, stopped) = (*audio.of(missing.opposite()), *audio.of(missing));
                // Something came since the last look, which in a capture may have been long ago,
                // and has been coming for long.
                let there = flows.filter(|span| {
                    span.last_ns >= since_ns
                        && silent(*span) < patience_ns
                        && now_ns.saturating_sub(span.first_ns) >= patience_ns
                });
                let is_missing = || match stopped {
                    Some(span) => silent(span) >= patience_ns && far_end(&ends) != FarEnd::Alive,
                    // Whoever only listens in a conference never sends, and says so in
                    // signalling. Without ICE it is a call.
                    None => far_end(&ends) == FarEnd::Unknown,
                };
                let case = there.filter(|_| is_missing()).map(|there| Missing {
                    since_ns: stopped.map_or(there.first_ns, |span| span.last_ns),
                    has_stopped: stopped.is_some(),
                });
                let Some(case) = case else {
                    self.missing.remove(&(ends, missing));
                    continue;
                };
                if self.missing.insert((ends, missing), case).is_none()
                    && let Some(service) = audio.service
                {
                    *counts.entry((service, missing)).or_default() += 1;
                }
            }
        }
        Some(counts)
    }

    /// Since when a flow is interrupted by that, in ns: the one that stopped, or the one that
    /// never had another.
    pub(super) fn since(&self, flow: &VoiceFlow) -> Option<u64> {
        if flow.media() == "video" {
            return None;
        }
        let VoiceKey { socket, peer, direction, .. } = flow.key;
        let case = |direction| self.missing.get(&((socket, peer), direction));
        let unanswered = case(direction.opposite()).filter(|case| !case.has_stopped);
        Some(case(direction).or(unanswered)?.since_ns)
    }
}

#[cfg(test)]
mod tests {
    use observer_common::rtp::{Header, flow::Flow};

    use super::*;

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
        counts.into_iter().flatten().map(|((_, direction), _)| direction).collect()
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
    fn an_end_is_gone_after_the_patience_and_after_two_checks() {
        for (ago, patience, far_end) in [
            (5, 1, FarEnd::Alive),
            (11, 1, FarEnd::Alive),
            (12, 1, FarEnd::Gone),
            (14, 15, FarEnd::Alive),
            (15, 15, FarEnd::Gone),
        ] {
            let [ago, patience] = [ago, patience].map(Duration::from_secs);
            assert_eq!(FarEnd::seen(ago, patience), far_end, "{ago:?} of {patience:?}");
        }
    }

    #[test]
    fn a_call_without_ice_goes_both_ways_from_the_start() {
        let flows = [audio(Direction::Transmit, 1, 30)];
        let missing = look(&mut OneWay::default(), &flows, 30, FarEnd::Unknown);
        assert_eq!(missing, [Direction::Receive]);
        for far_end in [FarEnd::Alive, FarEnd::Gone] {
            assert_eq!(look(&mut OneWay::default(), &flows, 30, far_end), [], "a listener");
        }
        let mut one_way = OneWay::default();
        assert_eq!(look(&mut one_way, &flows, 30, FarEnd::Unknown), [Direction::Receive]);
        let sent = &flows[0];
        assert_eq!(one_way.since(sent), Some(SECOND), "nothing else shows that call");
        let stopped = [audio(Direction::Receive, 2, 10), audio(Direction::Transmit, 1, 60)];
        assert_eq!(look(&mut one_way, &stopped, 60, FarEnd::Unknown), []);
        assert_eq!(stopped.each_ref().map(|flow| one_way.since(flow)), [Some(10 * SECOND), None]);
        let young = [audio(Direction::Transmit, 20, 30)];
        assert_eq!(look(&mut OneWay::default(), &young, 30, FarEnd::Unknown), []);
    }
}
