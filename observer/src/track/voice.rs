//! Voice flows of the host, from one reading of the kernel's table to the next.

pub mod interruption;
mod sound;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use iddqd::{IdHashItem, IdHashMap, id_hash_map::Entry, id_upcast};

use crate::{
    model::{Direction, ServiceId, VoiceFlow, VoiceKey, VoiceKind},
    quality::{lateness::History, score::Assumptions},
};
use interruption::{Ends, FarEnd, Interruptions, OneWay, Patience};
pub use sound::{At, Sound};

/// The flows that are known, bounded by the kernel's table.
#[derive(Debug)]
pub struct VoiceTracker {
    idle: Duration,
    assumptions: Arc<Assumptions>,
    patience: Patience,
    one_way: OneWay,
    flows: IdHashMap<Tracked>,
}

#[derive(Debug)]
struct Tracked {
    latest: VoiceFlow,
    /// Losses that were reported. A late packet takes a loss back, a counter cannot:
    /// the flow's next losses go unreported until both are even.
    reported_lost: u64,
    /// How late its packets were.
    history: History,
    course: Course,
}

/// What readings told of a flow beside its figures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Course {
    /// Mean opinion score of the last interval, if it has one.
    pub mos: Option<f64>,
    /// When it was interrupted.
    pub interruptions: Interruptions,
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
    /// How it sounded.
    pub sound: Sound,
    /// How long the process took, where it forwards what it receives as it is: the mean of
    /// the interval's samples.
    pub hop_delay: Option<Duration>,
}

/// What happened to the flows of a service between two readings.
#[derive(Debug, Default)]
pub struct VoiceInterval {
    /// By direction and medium.
    pub counts: BTreeMap<(Direction, &'static str), Counts>,
    /// Times without media, by the direction that it should have gone.
    pub silences: BTreeMap<Direction, u64>,
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
    /// Flows that began.
    pub began: Vec<VoiceKey>,
    /// Flows that fell silent for the idle time, with their final figures. They are no
    /// longer tracked, and the kernel may forget them.
    pub ended: Vec<VoiceFlow>,
}

impl VoiceTracker {
    /// Flows without a packet for `idle` have ended.
    #[must_use]
    pub fn new(idle: Duration) -> Self {
        Self {
            idle,
            assumptions: Arc::default(),
            patience: Patience::default(),
            one_way: OneWay::default(),
            flows: IdHashMap::new(),
        }
    }

    /// Flows are scored by other assumptions from here on.
    pub fn assume(&mut self, assumptions: Assumptions) {
        self.assumptions = Arc::new(assumptions);
    }

    /// Media may be missing for so long from here on.
    pub const fn set_patience(&mut self, patience: Patience) {
        self.patience = patience;
    }

    /// Looks for audio that goes one way at `now_ns` of `CLOCK_MONOTONIC`, and counts the new
    /// cases by the direction that is missing.
    pub fn one_way(
        &mut self,
        now_ns: u64,
        far_end: impl Fn(&Ends) -> FarEnd,
    ) -> BTreeMap<(ServiceId, Direction), u64> {
        let flows = self.flows.iter().map(|tracked| &tracked.latest);
        let counts = self.one_way.look(flows, now_ns, self.patience.one_way, far_end);
        if counts.is_some() {
            for mut tracked in &mut self.flows {
                let since_ns = self.one_way.since(&tracked.latest);
                tracked.course.interruptions.see_one_way(since_ns, now_ns);
            }
        }
        counts.unwrap_or_default()
    }

    /// What flows are scored by.
    #[must_use]
    pub fn assumptions(&self) -> Arc<Assumptions> {
        Arc::clone(&self.assumptions)
    }

    /// Flows without a packet for `idle` have ended from here on.
    pub const fn set_idle(&mut self, idle: Duration) {
        self.idle = idle;
    }

    /// Every flow that is watched, as it was last read, and what readings told of it.
    pub fn flows(&self) -> impl Iterator<Item = (&VoiceFlow, Course)> {
        let all = self.flows.iter().map(|tracked| (&tracked.latest, tracked.course));
        all.filter(|(latest, _)| latest.service.is_some())
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
                let next = reading.account(flow, known, (&self.assumptions, self.patience));
                *tracked = next;
            }
            Entry::Vacant(place) => {
                place.insert(reading.account(flow, None, (&self.assumptions, self.patience)));
            }
        }
    }
}

impl VoiceReading {
    /// Adds what happened to a flow since it was last seen, and gives what is kept of it.
    fn account(
        &mut self,
        flow: VoiceFlow,
        known: Option<&Tracked>,
        (assumptions, patience): (&Assumptions, Patience),
    ) -> Tracked {
        if known.is_none() {
            self.began.push(flow.key);
        }
        let before = known.map(|tracked| &tracked.latest);
        let earlier = before.map_or_else(Totals::default, Totals::of);
        let reported_lost = known.map_or(0, |tracked| tracked.reported_lost);
        let after = Totals::of(&flow);
        let lost = after.lost.saturating_sub(reported_lost);
        let packets = after.packets.saturating_sub(earlier.packets);
        let mut history = known.map(|tracked| tracked.history).unwrap_or_default();
        let mut course = Course { mos: None, ..known.map(|one| one.course).unwrap_or_default() };
        if let Some(service) = flow.service
            && packets > 0
        {
            let interval = self.services.entry(service).or_default();
            let kind = kind(&flow, assumptions);
            let counts = interval.counts.entry((kind.direction, kind.media)).or_default();
            counts.packets += packets;
            counts.lost += lost;
            counts.duplicates += after.duplicates.saturating_sub(earlier.duplicates);
            counts.reordered += after.reordered.saturating_sub(earlier.reordered);
            counts.bytes += after.bytes.saturating_sub(earlier.bytes);
            let silences =
                flow.stream.silences.saturating_sub(before.map_or(0, |flow| flow.stream.silences));
            let last = Duration::from_millis(flow.stream.silent_ms.into());
            if last >= patience.silence {
                course.interruptions.end_silences(silences, last);
                *interval.silences.entry(kind.direction).or_default() += u64::from(silences);
            }
            let expected = after.expected.saturating_sub(earlier.expected).max(lost);
            let losses = (lost, expected);
            let sound = Sound::since(before, &flow, losses, &mut history, assumptions);
            course.mos = sound.score.ok().map(|score| score.rating.mos);
            interval.points.push(Point {
                direction: flow.key.direction,
                jitter: Duration::from_nanos(flow.stream.jitter_ns()),
                loss_ratio: if expected == 0 { 0.0 } else { lost as f64 / expected as f64 },
                sound,
                hop_delay: flow.hop.since(&before.map(|flow| flow.hop).unwrap_or_default()).mean(),
            });
        }
        Tracked { latest: flow, reported_lost: reported_lost + lost, history, course }
    }
}

/// What a flow is counted as.
fn kind(flow: &VoiceFlow, assumptions: &Assumptions) -> VoiceKind {
    let traits = assumptions.codecs.traits(flow.stream.payload_type);
    let media = traits.media.unwrap_or(flow.media());
    VoiceKind { direction: flow.key.direction, codec: traits.label, media }
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

    /// A flow as it was last taken in.
    #[must_use]
    pub fn latest(&self, key: &VoiceKey) -> Option<VoiceFlow> {
        self.tracker.flows.get(key).map(|tracked| tracked.latest)
    }

    /// Takes in a flow that is part of one that moved: `whole`, which was known as `was` if by
    /// another key. What was reported of its parts is reported of the whole.
    pub fn join(&mut self, was: Option<VoiceKey>, part: VoiceFlow, whole: VoiceFlow) {
        let Some(mut before) = self.tracker.flows.remove(&was.unwrap_or(whole.key)) else {
            self.take(whole);
            return;
        };
        if before.latest.moves == whole.moves {
            // This part was among those of the whole.
            before.latest.key = whole.key;
            self.tracker.flows.insert_overwrite(before);
            self.take(whole);
            return;
        }
        self.take(part);
        let part = self.tracker.flows.remove(&part.key);
        let reported = part.as_ref().map_or(0, |part| part.reported_lost);
        let reported_lost = before.reported_lost + reported;
        if let Some(part) = part {
            before.course.interruptions.join(&part.course.interruptions);
        }
        self.tracker.flows.insert_overwrite(Tracked { latest: whole, reported_lost, ..before });
    }

    /// Leaves out one flow from here on.
    pub fn forget(&mut self, key: &VoiceKey) {
        self.tracker.flows.remove(key);
    }

    /// There are no more.
    #[must_use]
    pub fn finish(mut self) -> VoiceReading {
        let idle_ns = u64::try_from(self.tracker.idle.as_nanos()).unwrap_or(u64::MAX);
        let assumptions = self.tracker.assumptions();
        self.tracker.flows.retain(|tracked| {
            let latest = &tracked.latest;
            let stays = self.now_ns.saturating_sub(latest.stream.last_ns) < idle_ns;
            if !stays {
                self.reading.ended.push(*latest);
            } else if let Some(service) = latest.service {
                let kind = kind(latest, &assumptions);
                *self.reading.standing.entry((service, kind)).or_default() += 1;
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
mod tests;
