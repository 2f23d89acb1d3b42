//! Paths of voice, from one reading of the kernel's tables to the next.

mod setup;

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use observer_common::{
    path::{Path, Times},
    rtcp::report::Report,
};

use super::voice::interruption::{Ends, FarEnd};
use crate::model::{
    Direction, Endpoint, FarLoss, FlowReport, IceSession, PathFigures, PathKey, Phase, RttSource,
    ServiceId, SettingUp, SocketCookie, VoiceFlow, VoicePath,
};
use setup::{Call, Setups};

/// The paths that are known, bounded by the kernel's table.
#[derive(Debug)]
pub struct PathTracker {
    idle: Duration,
    paths: HashMap<PathKey, Tracked>,
    /// The path between two ends: that of a flow whose RTCP has ports of its own. `None`
    /// where two network namespaces have such a path.
    between: HashMap<(Endpoint, Endpoint), Option<PathKey>>,
    setups: Setups,
    /// The last reading, in ns of `CLOCK_MONOTONIC`.
    now_ns: u64,
}

/// A report of the far end is of the present for so long: five intervals of the five seconds
/// between two, after which RFC 3550 section 6.3.5 takes who does not report for gone.
const PRESENT: Duration = Duration::from_secs(25);

#[derive(Debug)]
struct Tracked {
    latest: VoicePath,
    /// By the source that is reported on, and the reading that had the last block.
    reports: BTreeMap<u32, (Report, u64)>,
    /// The reading at which its far end had last asked or answered a check.
    heard_ns: Option<u64>,
}

/// What happened on a service's paths between two readings.
#[derive(Debug, Default, PartialEq)]
pub struct PathInterval {
    /// The mean round trip of every path and source that had one.
    pub round_trips: Vec<(RttSource, Duration)>,
    /// The longest stall of every path that had one, or their mean where all were shorter
    /// than one before.
    pub stalls: Vec<Duration>,
    /// Phases that ended.
    pub setups: Vec<(Phase, Duration)>,
}

/// What happened on all of them.
#[derive(Debug, Default)]
pub struct PathReading {
    /// By service; paths that are not watched are in none.
    pub services: BTreeMap<ServiceId, PathInterval>,
    /// Paths that fell silent for the idle time and carry nothing: the kernel may forget them.
    pub ended: Vec<PathKey>,
    /// Reports that fell silent for the idle time.
    pub ended_reports: Vec<FlowReport>,
}

impl PathTracker {
    /// Paths without a packet and without media for `idle` have ended.
    #[must_use]
    pub fn new(idle: Duration) -> Self {
        Self {
            idle,
            paths: HashMap::new(),
            between: HashMap::new(),
            setups: Setups::default(),
            now_ns: 0,
        }
    }

    /// Paths without a packet and without media for `idle` have ended from here on.
    pub const fn set_idle(&mut self, idle: Duration) {
        self.idle = idle;
    }

    /// Begins to take in a reading made at `now_ns` of `CLOCK_MONOTONIC`.
    pub fn begin(&mut self, now_ns: u64) -> PathUpdate<'_> {
        self.now_ns = now_ns;
        PathUpdate { tracker: self, now_ns, reading: PathReading::default() }
    }

    /// What is known of a flow's path.
    #[must_use]
    pub fn figures(&self, flow: &VoiceFlow) -> PathFigures {
        let tracked = self.of(flow.key.socket, flow.local, flow.key.peer);
        let companion = self.between(next_port(flow.local), next_port(flow.key.peer));
        let mut figures = PathFigures::default();
        let Some(path) = tracked.or(companion) else { return figures };
        let latest = &path.latest.path;
        let last = |times: &Times| (times.count > 0).then(|| ns(times.last_ns));
        let reports = path.reports.values().map(|(report, _)| report);
        let newest = reports.filter(|report| report.round_trip.count > 0);
        let newest = newest.max_by_key(|report| report.last_ns);
        figures.rtt = last(&latest.round_trip)
            .map(|time| (RttSource::Stun, time))
            .or_else(|| newest.map(|report| (RttSource::Rtcp, ns(report.round_trip.last_ns))));
        figures.stall = last(&latest.stall);
        figures.stall_max = figures.stall.map(|_| ns(latest.stall.max_ns));
        figures.setup = self.setups.of(&path.latest);
        figures.rtcp = (latest.rtcp > 0).then_some(latest.rtcp);
        figures.srtcp = (latest.srtcp > 0).then_some(latest.srtcp);
        if let Some((report, heard_ns)) = self.report_on(flow) {
            let rtt = last(&report.round_trip).map(|time| (RttSource::Rtcp, time));
            figures.rtt = figures.rtt.or(rtt);
            let age = Duration::from_nanos(self.now_ns.saturating_sub(*heard_ns));
            let recent = (age < PRESENT).then(|| f64::from(report.fraction) / 256.0);
            figures.far_loss = report.loss_ratio().map(|whole| FarLoss { recent, whole });
            figures.far_jitter_ticks = Some(report.jitter);
        }
        figures
    }

    /// Round trip of a flow's path, and what the far end missed of it.
    #[must_use]
    pub fn quality(&self, flow: &VoiceFlow) -> (Option<Duration>, Option<FarLoss>) {
        if self.paths.is_empty() {
            return (None, None);
        }
        let figures = self.figures(flow);
        (figures.rtt.map(|(_, time)| time), figures.far_loss)
    }

    /// The calls that are watched and have no media yet, in the order in which they began. A
    /// path that carries media for the other end, where that is seen too, has it for both.
    #[must_use]
    pub fn setting_up(&self) -> Vec<SettingUp> {
        let mut calls = HashMap::<Call, &VoicePath>::new();
        for path in self.paths.values().map(|tracked| &tracked.latest) {
            let rank = |path: &VoicePath| {
                let Path { hello_ns, in_use_ns, last_ns, .. } = path.path;
                (hello_ns != 0, in_use_ns != 0, last_ns)
            };
            let best = calls.entry(Call::of(path)).or_insert(path);
            if rank(path) > rank(best) {
                *best = path;
            }
        }
        let mut waiting: Vec<_> = calls.into_values().filter_map(|path| self.waits(path)).collect();
        waiting.sort_unstable_by_key(|one| {
            (one.since_ns, one.local.words(), one.local.port(), one.key.socket)
        });
        waiting
    }

    fn waits(&self, path: &VoicePath) -> Option<SettingUp> {
        let (phase, since_ns) = self.setups.waits(path)?;
        let mirrored = self.between(path.key.peer, path.local);
        let has_media = |other: &Tracked| self.setups.waits(&other.latest).is_none();
        if path.service.is_none() || mirrored.is_some_and(has_media) {
            return None;
        }
        let VoicePath { key, service, local, .. } = *path;
        Some(SettingUp { key, service, local, phase, since_ns })
    }

    /// The ICE session that a flow is of.
    #[must_use]
    pub fn session(&self, flow: &VoiceFlow) -> Option<IceSession> {
        self.of(flow.key.socket, flow.local, flow.key.peer)?.latest.session()
    }

    /// What there is to be seen of a far end beside media at `now_ns`, where audio may be
    /// missing for `patience`.
    #[must_use]
    pub fn far_end(&self, (socket, peer): &Ends, patience: Duration, now_ns: u64) -> FarEnd {
        match self.paths.get(&PathKey { socket: *socket, peer: *peer }) {
            Some(Tracked { heard_ns: Some(heard_ns), .. }) => {
                let ago = Duration::from_nanos(now_ns.saturating_sub(*heard_ns));
                FarEnd::seen(ago, patience)
            }
            _ => FarEnd::Unknown,
        }
    }

    /// When there was last something beside media between two ends that check each other by
    /// STUN.
    #[must_use]
    pub fn checked_ns(&self, local: Endpoint, peer: Endpoint) -> Option<u64> {
        let path = self.between(local, peer)?.latest.path;
        (path.first_check_ns != 0).then_some(path.last_ns)
    }

    /// The reports on a flow, as its sender gets them. In a capture both ends are seen.
    fn report_on(&self, flow: &VoiceFlow) -> Option<&(Report, u64)> {
        let is_of_a_capture = flow.key.socket == SocketCookie(0);
        if flow.key.direction == Direction::Receive && !is_of_a_capture {
            return None;
        }
        let (near, far) = (flow.source(), flow.destination());
        let own = self.of(flow.key.socket, near, far);
        let companion = self.between(next_port(near), next_port(far));
        [own, companion].into_iter().flatten().find_map(|path| {
            path.reports.get(&flow.key.ssrc).filter(|(report, _)| report.blocks > 0)
        })
    }

    /// The path of a flow: in a capture no socket is known, and the ends tell.
    fn of(&self, socket: SocketCookie, local: Endpoint, peer: Endpoint) -> Option<&Tracked> {
        if socket == SocketCookie(0) {
            return self.between(local, peer);
        }
        self.paths.get(&PathKey { socket, peer })
    }

    fn between(&self, local: Endpoint, peer: Endpoint) -> Option<&Tracked> {
        self.paths.get(&(*self.between.get(&(local, peer))?)?)
    }
}

/// RTCP has the next higher port where it has one of its own (RFC 3550 section 11).
fn next_port(end: Endpoint) -> Endpoint {
    Endpoint::new(end.words(), end.port().wrapping_add(1))
}

/// One reading on its way in.
#[derive(Debug)]
pub struct PathUpdate<'a> {
    tracker: &'a mut PathTracker,
    now_ns: u64,
    reading: PathReading,
}

impl PathUpdate<'_> {
    /// Takes in one path.
    pub fn take(&mut self, latest: VoicePath) {
        let known = self.tracker.paths.get_mut(&latest.key);
        let before = known.as_ref().map(|tracked| tracked.latest.path);
        // One that began later only has the name of the one that was known.
        let before = before.filter(|path| path.round_trip.count <= latest.path.round_trip.count);
        if let Some(service) = latest.service {
            let interval = self.reading.services.entry(service).or_default();
            let times = |of: fn(&Path) -> Times| {
                (before.as_ref().map_or(Times::NONE, of), of(&latest.path))
            };
            let (old, new) = times(|path| path.round_trip);
            interval.round_trips.extend(mean(&old, &new).map(|time| (RttSource::Stun, time)));
            let (old, new) = times(|path| path.stall);
            interval.stalls.extend(longest(&old, &new));
        }
        let checks = |path: &Path| path.round_trip.count + path.stall.count;
        let is_heard = checks(&latest.path) > before.as_ref().map_or(0, checks);
        let heard_ns = is_heard.then_some(self.now_ns);
        match known {
            Some(tracked) => {
                tracked.latest = latest;
                tracked.heard_ns = heard_ns.or(tracked.heard_ns);
            }
            None => {
                let ends = (latest.local, latest.key.peer);
                let between = self.tracker.between.entry(ends);
                between.and_modify(|known| *known = None).or_insert(Some(latest.key));
                let tracked = Tracked { latest, reports: BTreeMap::new(), heard_ns };
                self.tracker.paths.insert(latest.key, tracked);
            }
        }
    }

    /// Takes in the reports on one flow. Those of a path that is not known wait for it.
    pub fn take_report(&mut self, report: FlowReport) {
        if self.is_silent(report.report.last_ns) {
            self.reading.ended_reports.push(report);
        }
        let Some(tracked) = self.tracker.paths.get_mut(&report.path()) else { return };
        let ssrc = report.flow.ssrc;
        let known = tracked.reports.get(&ssrc).copied();
        let same = known.filter(|(known, _)| known.blocks == report.report.blocks);
        let heard_ns = same.map_or(self.now_ns, |(_, heard_ns)| heard_ns);
        tracked.reports.insert(ssrc, (report.report, heard_ns));
        let before = known.map_or(Times::NONE, |(known, _)| known.round_trip);
        if let Some(service) = tracked.latest.service
            && let Some(time) = mean(&before, &report.report.round_trip)
        {
            let interval = self.reading.services.entry(service).or_default();
            interval.round_trips.push((RttSource::Rtcp, time));
        }
    }

    /// There are no more. `media` are the flows that there are.
    #[must_use]
    pub fn finish<'f>(mut self, media: impl Iterator<Item = &'f VoiceFlow>) -> PathReading {
        let carried = self.carried(media);
        let silent = |tracked: &Tracked| {
            self.is_silent(tracked.latest.path.last_ns)
                && !carried.contains_key(&tracked.latest.key)
        };
        let ended: Vec<_> =
            self.tracker.paths.values().filter(|one| silent(one)).map(|one| one.latest).collect();
        let (idle_since, reading) = (self.idle_since(), &mut self.reading);
        for tracked in self.tracker.paths.values_mut() {
            tracked.reports.retain(|_, (report, _)| report.last_ns > idle_since);
        }
        let paths = self.tracker.paths.values().map(|tracked| &tracked.latest);
        for (service, phase, time) in self.tracker.setups.advance(paths, &carried) {
            reading.services.entry(service).or_default().setups.push((phase, time));
        }
        for path in ended {
            self.tracker.paths.remove(&path.key);
            self.tracker.between.remove(&(path.local, path.key.peer));
            reading.ended.push(path.key);
        }
        self.reading
    }

    /// The first media on each path.
    fn carried<'f>(&self, media: impl Iterator<Item = &'f VoiceFlow>) -> HashMap<PathKey, u64> {
        let mut carried = HashMap::new();
        if self.tracker.paths.is_empty() {
            return carried;
        }
        for flow in media {
            let path = self.tracker.of(flow.key.socket, flow.local, flow.key.peer);
            let Some(key) = path.map(|tracked| tracked.latest.key) else { continue };
            let first = carried.entry(key).or_insert(u64::MAX);
            *first = flow.stream.first_ns.min(*first);
        }
        carried
    }

    fn idle_since(&self) -> u64 {
        let idle_ns = u64::try_from(self.tracker.idle.as_nanos()).unwrap_or(u64::MAX);
        self.now_ns.saturating_sub(idle_ns)
    }

    fn is_silent(&self, last_ns: u64) -> bool {
        last_ns <= self.idle_since()
    }
}

/// The mean of the times that came in between.
fn mean(before: &Times, after: &Times) -> Option<Duration> {
    let count = after.count.saturating_sub(before.count);
    (count > 0).then(|| ns(after.sum_ns.wrapping_sub(before.sum_ns) / count))
}

/// The longest of the times that came in between, or their mean where it is not known.
fn longest(before: &Times, after: &Times) -> Option<Duration> {
    let mean = mean(before, after)?;
    let grew = before.count == 0 || after.max_ns > before.max_ns;
    Some(if grew { ns(after.max_ns) } else { mean })
}

const fn ns(ns: u64) -> Duration {
    Duration::from_nanos(ns)
}

#[cfg(test)]
mod tests;
