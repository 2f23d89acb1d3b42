//! Voice flows of the host, from one reading of the kernel's table to the next.

use std::{collections::BTreeMap, time::Duration};

use iddqd::{IdHashItem, IdHashMap, id_hash_map::Entry, id_upcast};

use crate::model::{Direction, ServiceId, VoiceFlow, VoiceKey, VoiceKind};

/// The flows that are known, bounded by the kernel's table.
#[derive(Debug)]
pub struct VoiceTracker {
    idle: Duration,
    flows: IdHashMap<Tracked>,
}

#[derive(Debug)]
struct Tracked {
    latest: VoiceFlow,
    /// Losses that were reported. A late packet takes a loss back, a counter cannot:
    /// the flow's next losses go unreported until both are even.
    reported_lost: u64,
}

impl IdHashItem for Tracked {
    type Key<'a> = VoiceKey;

    fn key(&self) -> VoiceKey {
        self.latest.key
    }

    id_upcast!();
}

/// Counts since the last reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets of the sequences and strays.
    pub packets: u64,
    /// Packets that did not come.
    pub lost: u64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
    /// RTP headers and payloads, in bytes.
    pub bytes: u64,
}

/// One flow's interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Which way it goes.
    pub direction: Direction,
    /// Jitter at its end.
    pub jitter: Duration,
    /// Share of the interval's expected packets that did not come.
    pub loss_ratio: f64,
}

/// What happened to the flows of a service between two readings.
#[derive(Debug, Default)]
pub struct VoiceInterval {
    /// By direction and medium.
    pub counts: BTreeMap<(Direction, &'static str), Counts>,
    /// Of every flow that had packets.
    pub points: Vec<Point>,
}

/// What happened to all of them.
#[derive(Debug, Default)]
pub struct VoiceReading {
    /// By service; flows that are not watched are in none.
    pub services: BTreeMap<ServiceId, VoiceInterval>,
    /// How many flows there are that are watched.
    pub standing: BTreeMap<(ServiceId, VoiceKind), i64>,
    /// How many flows began.
    pub began: usize,
    /// Flows that fell silent for the idle time, with their final figures. They are no
    /// longer tracked, and the kernel may forget them.
    pub ended: Vec<VoiceFlow>,
}

impl VoiceTracker {
    /// Flows without a packet for `idle` have ended.
    #[must_use]
    pub fn new(idle: Duration) -> Self {
        Self { idle, flows: IdHashMap::new() }
    }

    /// Flows without a packet for `idle` have ended from here on.
    pub const fn set_idle(&mut self, idle: Duration) {
        self.idle = idle;
    }

    /// Every flow that is watched, as it was last read.
    pub fn flows(&self) -> impl Iterator<Item = &VoiceFlow> {
        let all = self.flows.iter().map(|tracked| &tracked.latest);
        all.filter(|latest| latest.service.is_some())
    }

    /// Begins to take in a reading made at `now_ns` of `CLOCK_MONOTONIC`.
    pub fn begin(&mut self, now_ns: u64) -> VoiceUpdate<'_> {
        VoiceUpdate { tracker: self, now_ns, reading: VoiceReading::default() }
    }

    fn advance(&mut self, flow: VoiceFlow, reading: &mut VoiceReading) {
        match self.flows.entry(flow.key) {
            Entry::Occupied(mut place) => {
                let mut tracked = place.get_mut();
                // One that began later only has the name of the one that was known.
                let known =
                    (tracked.latest.stream.first_ns == flow.stream.first_ns).then_some(&*tracked);
                let reported_lost = reading.account(&flow, known);
                *tracked = Tracked { latest: flow, reported_lost };
            }
            Entry::Vacant(place) => {
                let reported_lost = reading.account(&flow, None);
                place.insert(Tracked { latest: flow, reported_lost });
            }
        }
    }
}

impl VoiceReading {
    /// Adds what happened to a flow since it was last seen, and says how many losses of
    /// its are reported then.
    fn account(&mut self, flow: &VoiceFlow, known: Option<&Tracked>) -> u64 {
        if known.is_none() {
            self.began += 1;
        }
        let before = known.map_or_else(Totals::default, |tracked| Totals::of(&tracked.latest));
        let reported_lost = known.map_or(0, |tracked| tracked.reported_lost);
        let after = Totals::of(flow);
        let lost = after.lost.saturating_sub(reported_lost);
        let packets = after.packets.saturating_sub(before.packets);
        if let Some(service) = flow.service
            && packets > 0
        {
            let interval = self.services.entry(service).or_default();
            let counts = interval.counts.entry((flow.key.direction, flow.media())).or_default();
            counts.packets += packets;
            counts.lost += lost;
            counts.duplicates += after.duplicates.saturating_sub(before.duplicates);
            counts.reordered += after.reordered.saturating_sub(before.reordered);
            counts.bytes += after.bytes.saturating_sub(before.bytes);
            let expected = after.expected.saturating_sub(before.expected).max(lost);
            interval.points.push(Point {
                direction: flow.key.direction,
                jitter: Duration::from_nanos(flow.stream.jitter_ns()),
                loss_ratio: if expected == 0 { 0.0 } else { lost as f64 / expected as f64 },
            });
        }
        reported_lost + lost
    }
}

/// One reading on its way in.
#[derive(Debug)]
pub struct VoiceUpdate<'a> {
    tracker: &'a mut VoiceTracker,
    now_ns: u64,
    reading: VoiceReading,
}

impl VoiceUpdate<'_> {
    /// Takes in one flow.
    pub fn take(&mut self, flow: VoiceFlow) {
        self.tracker.advance(flow, &mut self.reading);
    }

    /// Leaves out one flow from here on.
    pub fn forget(&mut self, key: &VoiceKey) {
        self.tracker.flows.remove(key);
    }

    /// There are no more.
    #[must_use]
    pub fn finish(mut self) -> VoiceReading {
        let idle_ns = u64::try_from(self.tracker.idle.as_nanos()).unwrap_or(u64::MAX);
        self.tracker.flows.retain(|tracked| {
            let latest = &tracked.latest;
            let stays = self.now_ns.saturating_sub(latest.stream.last_ns) < idle_ns;
            if !stays {
                self.reading.ended.push(*latest);
            } else if let Some(service) = latest.service {
                *self.reading.standing.entry((service, latest.kind())).or_default() += 1;
            }
            stays
        });
        self.reading
    }
}

#[derive(Default)]
struct Totals {
    packets: u64,
    lost: u64,
    duplicates: u64,
    reordered: u64,
    bytes: u64,
    expected: u64,
}

impl Totals {
    const fn of(flow: &VoiceFlow) -> Self {
        let stream = &flow.stream;
        Self {
            packets: stream.packets + stream.strays,
            lost: stream.lost(),
            duplicates: stream.duplicates,
            reordered: stream.reordered,
            bytes: stream.bytes,
            expected: stream.expected(),
        }
    }
}

#[cfg(test)]
mod tests {
    use observer_common::rtp::{Header, flow::Flow};

    use super::*;
    use crate::model::SocketCookie;

    const SECOND: u64 = 1_000_000_000;

    fn packet(sequence: u16) -> Header {
        packet_of(8, sequence)
    }

    fn packet_of(payload_type: u8, sequence: u16) -> Header {
        let timestamp = u32::from(sequence) * 160;
        Header { payload_type, marker: false, sequence, timestamp, ssrc: 7 }
    }

    fn flow(sequences: &[u16]) -> VoiceFlow {
        let mut stream = Flow::new(&packet(sequences[0]), 172, 0);
        for (at, sequence) in (1..).zip(&sequences[1..]) {
            stream.advance(&packet(*sequence), 172, at * 20_000_000);
        }
        let key = VoiceKey {
            socket: SocketCookie(1),
            peer: "10.0.0.1:5004".parse().unwrap(),
            ssrc: 7,
            direction: Direction::Receive,
        };
        VoiceFlow::new(key, "10.0.0.2:5004".parse().unwrap(), stream)
    }

    fn read(tracker: &mut VoiceTracker, flows: Vec<VoiceFlow>, now_ns: u64) -> VoiceReading {
        let mut update = tracker.begin(now_ns);
        for flow in flows {
            update.take(flow);
        }
        update.finish()
    }

    fn counts(reading: &VoiceReading) -> Counts {
        let interval = reading.services.get(&ServiceId::UNKNOWN);
        let counts = interval.and_then(|one| one.counts.get(&(Direction::Receive, "audio")));
        counts.copied().unwrap_or_default()
    }

    #[test]
    fn each_interval_has_its_own_counts() {
        let mut tracker = VoiceTracker::new(Duration::from_secs(60));
        let first = read(&mut tracker, vec![flow(&[0, 1, 3])], SECOND);
        assert_eq!(first.began, 1);
        assert_eq!(counts(&first).packets, 3);
        assert_eq!(counts(&first).lost, 1);
        let second = read(&mut tracker, vec![flow(&[0, 1, 3, 4, 4])], 2 * SECOND);
        assert_eq!(second.began, 0);
        let expected = Counts { packets: 2, lost: 0, duplicates: 1, reordered: 0, bytes: 344 };
        assert_eq!(counts(&second), expected);
        let points = &second.services[&ServiceId::UNKNOWN].points;
        assert!((points[0].loss_ratio).abs() < f64::EPSILON);
    }

    #[test]
    fn a_loss_taken_back_by_a_late_packet_is_not_reported_twice() {
        let mut tracker = VoiceTracker::new(Duration::from_secs(60));
        let mut lost = counts(&read(&mut tracker, vec![flow(&[0, 1, 3])], SECOND)).lost;
        lost += counts(&read(&mut tracker, vec![flow(&[0, 1, 3, 2])], SECOND)).lost;
        lost += counts(&read(&mut tracker, vec![flow(&[0, 1, 3, 2, 5])], SECOND)).lost;
        assert_eq!(lost, 1);
    }

    /// Readings with a last packet of each payload type, and what is said of the flow.
    fn media(payload_types: &[u8]) -> Vec<(&'static str, &'static str)> {
        let mut tracker = VoiceTracker::new(Duration::from_secs(60));
        let mut stream = flow(&[0]).stream;
        let mut said = Vec::new();
        for (sequence, payload_type) in (1..).zip(payload_types) {
            stream.advance(&packet_of(*payload_type, sequence), 172, SECOND);
            let reading = VoiceFlow::new(flow(&[0]).key, flow(&[0]).local, stream);
            let mut interval = read(&mut tracker, vec![reading], SECOND);
            let interval = interval.services.remove(&ServiceId::UNKNOWN).unwrap();
            let ((_, medium), counts) = interval.counts.first_key_value().unwrap();
            assert_eq!((interval.counts.len(), counts.duplicates), (1, 0));
            let latest = tracker.flows().next().unwrap();
            assert_eq!(latest.media(), *medium);
            said.push((*medium, latest.codec()));
        }
        said
    }

    #[test]
    fn an_interval_that_ends_with_an_event_or_noise_is_that_of_the_codec() {
        let pcma = ("audio", "pcma");
        assert_eq!(media(&[8, 101, 13, 19, 8]), [pcma; 5]);
        assert_eq!(media(&[8, 0, 101]), [pcma, ("audio", "pcmu"), ("audio", "pcmu")]);
    }

    #[test]
    fn silence_ends_a_flow_once() {
        let mut tracker = VoiceTracker::new(Duration::from_secs(60));
        read(&mut tracker, vec![flow(&[0, 1])], SECOND);
        let ended = read(&mut tracker, Vec::new(), 62 * SECOND).ended;
        assert_eq!(ended.len(), 1);
        assert_eq!(ended[0].stream.packets, 2);
        assert!(read(&mut tracker, Vec::new(), 63 * SECOND).ended.is_empty());
        assert_eq!(tracker.flows().count(), 0);
    }
}
