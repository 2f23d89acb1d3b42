//! The host as it is known: what is read of the kernel, tracked and exported.

mod moment;

use std::{
    io,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use crate::{
    export::{
        metrics::Metrics,
        otlp::{self, QUEUE_FULL, Queue, Record},
        snapshot::Snapshot,
    },
    ledger::Ledger,
    model::{Connection, IceSession, MapFill, SettingUp, VoiceFlow, VoiceKey},
    source::{
        cause::Causes,
        ebpf::{
            adopt,
            load::Limits,
            read::{FlowRow, Kernel},
        },
        process,
    },
    track::{
        connections::{ConnectionReading, ConnectionTracker},
        forwarding::Forwarding,
        moves::{Moves, Whole},
        paths::PathTracker,
        targets::{RuleError, Targets},
        voice::{Course, VoiceReading, VoiceTracker, interruption::Ends},
    },
};

use super::{
    clock::{now_ns, wall},
    config::Config,
    who::Who,
};
pub(super) use moment::Moment;
use moment::Owned;

/// Closed connections that are taken from the ring before they are counted: some 100
/// bytes each.
const BATCH: usize = 1_024;

/// Readings after which it is not asked any more who has a flow.
const OWNER_ATTEMPTS: u32 = 20;

/// What can be lost on this side of the kernel.
const OWN_LOSSES: [(&str, &str); 8] = [
    ("voice", "forwarder_failed"),
    ("voice", "read_failed"),
    ("path", "read_failed"),
    ("tcp", "read_failed"),
    ("ledger", "read_failed"),
    ("tcp", "end_unseen"),
    ("owner", "unknown"),
    ("host", "read_failed"),
];

/// Everything between the kernel and the exports.
pub(super) struct Host {
    voice: VoiceTracker,
    paths: PathTracker,
    connections: ConnectionTracker,
    who: Who,
    targets: Targets,
    causes: Causes,
    ledger: Ledger,
    metrics: Metrics,
    /// Where records of flows go, if they go anywhere.
    records: Option<Arc<Queue>>,
    limits: Limits,
    interval: Duration,
    /// How long a flow is passed over that nobody asks about.
    excluded_for: Duration,
    /// How long audio may go one way.
    patience: Duration,
    forwarding: Forwarding,
    moves: Moves<IceSession>,
    /// Flows of which it is not known who has them, and how often more that is asked.
    unowned_flows: Vec<(VoiceKey, u32)>,
    /// Whether other flows are asked about since the last reading.
    reconsider: bool,
    readings: u64,
    /// The last reading of which nothing failed.
    last_whole_ns: Option<u64>,
    taken_at: Option<SystemTime>,
}

/// What one reading found, for the log.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) began: usize,
    pub(super) ended: usize,
}

impl Host {
    pub(super) fn new(config: &Config, records: Option<Arc<Queue>>) -> anyhow::Result<Self> {
        let metrics = Metrics::new()?;
        let mut ledger = Ledger::default();
        for (stage, reason) in OWN_LOSSES.into_iter().chain(adopt::LOSSES).chain(otlp::LOSSES) {
            ledger.add(stage, reason, 0);
        }
        metrics.ledger(&ledger);
        let mut voice = VoiceTracker::new(config.flow_idle_timeout);
        voice.assume(config.voice.clone());
        voice.set_patience(config.patience);
        Ok(Self {
            voice,
            paths: PathTracker::new(config.flow_idle_timeout),
            connections: ConnectionTracker::new(config.connection_idle_timeout),
            who: Who::start(config, config.targets.select()?),
            targets: config.targets.clone(),
            causes: Causes::default(),
            ledger,
            metrics,
            records,
            limits: config.options(false).limits,
            interval: config.interval,
            excluded_for: config.flow_idle_timeout,
            patience: config.patience.one_way,
            forwarding: Forwarding::default(),
            moves: Moves::default(),
            unowned_flows: Vec::new(),
            reconsider: false,
            readings: 0,
            last_whole_ns: None,
            taken_at: None,
        })
    }

    pub(super) const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Counts what was lost after it was read.
    pub(super) fn add_loss(&mut self, (stage, reason): (&'static str, &'static str), count: u64) {
        self.ledger.add(stage, reason, count);
        self.metrics.ledger(&self.ledger);
    }

    /// Goes by another configuration from here on, as far as that can be.
    pub(super) fn reconfigure(&mut self, config: &Config) -> Result<(), RuleError> {
        if config.targets != self.targets {
            self.who.select(config.targets.select()?);
            self.targets = config.targets.clone();
            self.reconsider = true;
        }
        self.excluded_for = config.flow_idle_timeout;
        self.interval = config.interval;
        self.voice.set_idle(config.flow_idle_timeout);
        self.voice.assume(config.voice.clone());
        self.voice.set_patience(config.patience);
        self.patience = config.patience.one_way;
        self.paths.set_idle(config.flow_idle_timeout);
        self.connections.set_idle(config.connection_idle_timeout);
        Ok(())
    }

    /// Whether there has been a whole reading, and not long ago.
    pub(super) fn is_alive(&self) -> bool {
        self.last_whole_ns.is_some_and(|then| {
            let age = Duration::from_nanos(now_ns().saturating_sub(then));
            age < self.interval * 3 + Duration::from_secs(2)
        })
    }

    /// Takes in the connections that are older than the programs, and says how many.
    pub(super) fn adopt(&mut self, kernel: &mut Kernel) -> u64 {
        let adoption = kernel.adopt();
        for ((stage, reason), count) in adoption.losses {
            self.ledger.add(stage, reason, count);
        }
        self.metrics.ledger(&self.ledger);
        adoption.connections
    }

    /// Takes the connections that were closed from the ring, so that it has room.
    pub(super) fn drain(&mut self, kernel: &mut Kernel) {
        let mut reading = ConnectionReading::default();
        let mut taken = 0;
        while let Some(mut connection) = kernel.next_closed() {
            connection.service = self.who.connection(&connection, kernel.creators());
            self.connections.close(connection, &mut reading);
            taken += 1;
            if taken == BATCH {
                self.count(&std::mem::take(&mut reading));
                taken = 0;
            }
        }
        self.count(&reading);
    }

    /// Reads every table once.
    pub(super) fn read(&mut self, kernel: &mut Kernel) -> Reading {
        let begun = Instant::now();
        let mut reading = Reading::default();
        self.taken_at = Some(SystemTime::now());
        let unowned = self.who.begin(now_ns());
        self.ledger.add("owner", "unknown", unowned);
        for service in self.who.take_gone() {
            self.metrics.forget(&service);
        }
        self.drain(kernel);
        let outcomes = [
            ("voice", self.read_voice(kernel, &mut reading)),
            ("path", self.read_paths(kernel)),
            ("tcp", self.read_connections(kernel)),
            ("ledger", self.read_losses(kernel)),
        ];
        let is_whole = outcomes.iter().all(|(_, outcome)| outcome.is_ok());
        for (stage, outcome) in outcomes {
            if let Err(error) = outcome {
                self.fail(stage, &error);
            }
        }
        self.look_for_one_way_audio();
        self.read_causes(begun);
        self.metrics.ledger(&self.ledger);
        self.metrics.probe_costs(&kernel.costs());
        match process::usage() {
            Ok(usage) => self.metrics.process(&usage),
            Err(error) => tracing::debug!(%error, "what the observer itself uses is not known"),
        }
        self.metrics.reading(begun.elapsed());
        self.readings += 1;
        if is_whole {
            self.last_whole_ns = Some(now_ns());
        }
        reading
    }

    /// Reads every table for the last time: flows that have not ended are recorded as they
    /// are.
    pub(super) fn read_last(&mut self, kernel: &mut Kernel) {
        self.read(kernel);
        let standing: Vec<_> = self.voice.flows().map(|(flow, _)| *flow).collect();
        self.record(&standing, false);
    }

    /// Number of the last reading.
    pub(super) const fn readings(&self) -> u64 {
        self.readings
    }

    /// What there is at this moment, as it was read.
    pub(super) fn moment(&self) -> Moment {
        let name = |service| self.who.name(service).map(str::to_owned);
        let flow = |(one, course): (&VoiceFlow, Course)| Owned {
            one: (*one, self.paths.figures(one), course),
            service: name(one.service),
            owner: self.who.owner(one.key.socket),
        };
        let setting_up = |one: &SettingUp| Owned {
            one: *one,
            service: name(one.service),
            owner: self.who.owner(one.key.socket),
        };
        let connection = |one: &Connection| Owned {
            one: *one,
            service: name(one.service),
            owner: self.who.owner(one.socket),
        };
        Moment {
            taken_at: self.taken_at,
            flows: self.voice.flows().map(flow).collect(),
            setting_up: self.paths.setting_up().iter().map(setting_up).collect(),
            now_ns: now_ns(),
            assumptions: self.voice.assumptions(),
            open: self.connections.open().map(connection).collect(),
            losses: self.ledger.losses(),
            completeness: self.ledger.completeness(),
        }
    }

    /// What there is at this moment.
    pub(super) fn snapshot(&self) -> Snapshot {
        self.moment().snapshot()
    }

    fn read_voice(&mut self, kernel: &mut Kernel, reading: &mut Reading) -> io::Result<()> {
        let mut entries = 0;
        let now_ns = now_ns();
        // What was excluded shows itself again from time to time: its socket may be gone.
        let reconsider = std::mem::take(&mut self.reconsider);
        let excluded_for_ns = if reconsider { 0 } else { self.excluded_for.as_nanos() as u64 };
        let mut excluded = Vec::new();
        let mut done = Vec::new();
        let mut update = self.voice.begin(now_ns);
        let outcome = kernel.read_flows(|creators, row| {
            entries += 1;
            match row {
                FlowRow::Flow(mut flow) => {
                    flow.service = self.who.flow(&flow, creators);
                    if flow.service.is_none() && self.who.is_excluded(flow.key.socket) {
                        update.forget(&flow.key);
                        self.forwarding.end(&flow.key);
                        excluded.push(flow.key);
                        self.moves.end(&flow.key);
                    } else {
                        (flow.rtt, flow.far_loss) = self.paths.quality(&flow);
                        let session = || self.paths.session(&flow);
                        match self.moves.take(&flow, session, |key| update.latest(key)) {
                            None => update.take(flow),
                            Some(Whole { flow: whole, was }) => update.join(was, flow, whole),
                        }
                    }
                }
                FlowRow::Excluded { key, since_ns } => {
                    if now_ns.saturating_sub(since_ns) >= excluded_for_ns {
                        done.push(key);
                    }
                }
            }
        });
        let read = update.finish();
        self.fill("flows", entries, self.limits.flows);
        for flow in &read.ended {
            let paths = self.moves.end(&flow.key);
            paths.iter().for_each(|path| self.forwarding.end(path));
            done.extend(paths);
        }
        let excluded = excluded.iter().map(|key| kernel.exclude_flow(key, now_ns));
        for error in excluded.filter_map(Result::err) {
            self.fail("voice", &error);
        }
        for key in &done {
            if let Err(error) = kernel.remove_flow(key) {
                self.fail("voice", &error);
            }
        }
        for (service, interval) in &read.services {
            let service = self.who.name(Some(*service)).unwrap_or_default();
            expect_made(self.metrics.voice(service, interval));
            let packets = interval.counts.values().map(|counts| counts.packets).sum();
            self.ledger.add_counted(packets);
        }
        let standing = read.standing.iter().filter_map(|((service, kind), count)| {
            Some((self.who.name(Some(*service))?, *kind, *count))
        });
        expect_made(self.metrics.voice_flows(standing));
        self.record(&read.ended, true);
        reading.began = read.began.len();
        self.forward(kernel, &read);
        reading.ended = read.ended.len();
        outcome
    }

    fn look_for_one_way_audio(&mut self) {
        let now_ns = now_ns();
        let (paths, patience) = (&self.paths, self.patience);
        let far_end = |ends: &Ends| paths.far_end(ends, patience, now_ns);
        for ((service, direction), count) in self.voice.one_way(now_ns, far_end) {
            let service = self.who.name(Some(service)).unwrap_or_default();
            expect_made(self.metrics.voice_one_way(service, direction, count));
        }
    }

    /// Has the delay of what is forwarded measured. Who has a socket is not known at once.
    fn forward(&mut self, kernel: &mut Kernel, read: &VoiceReading) {
        self.unowned_flows.extend(read.began.iter().map(|flow| (*flow, OWNER_ATTEMPTS)));
        self.unowned_flows.retain_mut(|(flow, attempts)| {
            *attempts -= 1;
            let owner = self.who.owner(flow.socket);
            if let Some(owner) = &owner {
                self.forwarding.begin(*flow, owner.pid);
            }
            owner.is_none() && *attempts > 0
        });
        for (socket, forwarder) in self.forwarding.take_changed() {
            if let Err(error) = kernel.forward(socket, forwarder.and_then(NonZeroU32::new)) {
                tracing::debug!(%error, "what a socket forwards is not measured");
                self.ledger.add("voice", "forwarder_failed", 1);
            }
        }
    }

    /// Hands on what is known of flows.
    fn record(&mut self, flows: &[VoiceFlow], has_ended: bool) {
        let Some(queue) = &self.records else { return };
        let clock = wall();
        // Of what is not watched nothing was counted.
        for flow in flows.iter().filter(|flow| flow.service.is_some()) {
            let service = self.who.name(flow.service).map(str::to_owned);
            let assumptions = self.voice.assumptions();
            let path = self.paths.figures(flow);
            let record = Record { flow: *flow, path, service, assumptions, clock, has_ended };
            let has_room = queue.push(record);
            self.ledger.add(QUEUE_FULL.0, QUEUE_FULL.1, u64::from(!has_room));
        }
    }

    fn read_paths(&mut self, kernel: &mut Kernel) -> io::Result<()> {
        let mut update = self.paths.begin(now_ns());
        let outcome = kernel.read_paths(|creators, mut path| {
            path.service = self.who.path(&path, creators);
            update.take(path);
        });
        let reports = kernel.paths_mut().read_reports(|report| update.take_report(report));
        let read = update.finish(self.voice.flows().map(|(flow, _)| flow));
        for key in &read.ended {
            if let Err(error) = kernel.paths_mut().remove(key) {
                self.fail("path", &error);
            }
        }
        for report in &read.ended_reports {
            if let Err(error) = kernel.paths_mut().remove_reports(report) {
                self.fail("path", &error);
            }
        }
        for (service, interval) in &read.services {
            let service = self.who.name(Some(*service)).unwrap_or_default();
            expect_made(self.metrics.paths(service, interval));
        }
        outcome.and(reports)
    }

    fn read_connections(&mut self, kernel: &mut Kernel) -> io::Result<()> {
        let mut entries = 0;
        let mut update = self.connections.begin(now_ns());
        let outcome = kernel.read_connections(|creators, mut connection| {
            entries += 1;
            connection.service = self.who.connection(&connection, creators);
            update.take(connection);
        });
        let read = update.finish();
        self.fill("sockets", entries, self.limits.sockets);
        for key in &read.done {
            if let Err(error) = kernel.remove_connection(key) {
                self.fail("tcp", &error);
            }
        }
        self.count(&read);
        let open = read.open.iter().filter_map(|((service, role), count)| {
            Some((self.who.name(Some(*service))?, *role, *count))
        });
        expect_made(self.metrics.tcp_open(open));
        outcome
    }

    fn fill(&self, map: &str, entries: u64, limit: u32) {
        self.metrics.map(map, MapFill { entries, limit: limit.into() });
    }

    fn read_losses(&mut self, kernel: &mut Kernel) -> io::Result<()> {
        self.ledger.set_kernel(kernel.losses()?);
        Ok(())
    }

    fn count(&mut self, reading: &ConnectionReading) {
        for (service, interval) in &reading.services {
            let service = self.who.name(Some(*service)).unwrap_or_default();
            expect_made(self.metrics.tcp(service, interval));
            self.ledger.add_counted(interval.closed.len() as u64);
        }
        self.ledger.add("tcp", "end_unseen", reading.unseen_ends);
    }

    fn read_causes(&mut self, now: Instant) {
        let (causes, failures) = self.causes.read(now, || self.who.pids());
        self.metrics.host_causes(&causes);
        for failure in failures {
            tracing::debug!(failure, "a cause on the host is not known");
            self.ledger.add("host", "read_failed", 1);
        }
    }

    fn fail(&mut self, stage: &'static str, error: &io::Error) {
        tracing::warn!(stage, %error, "a table of the kernel could not be read");
        self.ledger.add(stage, "read_failed", 1);
    }
}

/// Instruments of a service are made with its first figures, each service in a registry of
/// its own: what was made for one service can be made for every other.
fn expect_made(outcome: prometheus::Result<()>) {
    if let Err(error) = outcome {
        tracing::error!(%error, "an instrument cannot be made: please report this");
    }
}
