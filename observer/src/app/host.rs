//! The host as it is known: what is read of the kernel, tracked and exported.

use std::{
    io,
    time::{Duration, Instant, SystemTime},
};

use crate::{
    export::{
        metrics::Metrics,
        snapshot::{Ledger as LedgerLines, Snapshot, Tcp, Voice},
    },
    ledger::Ledger,
    model::{Connection, Losses, MapFill, VoiceFlow},
    source::{
        ebpf::{adopt, load::Limits, read::Kernel},
        process,
    },
    track::{
        connections::{ConnectionInterval, ConnectionTracker},
        voice::VoiceTracker,
    },
};

use super::config::Config;

/// Closed connections that are taken from the ring before they are counted: some 100
/// bytes each.
const BATCH: usize = 1_024;

/// What can be lost on this side of the kernel.
const OWN_LOSSES: [(&str, &str); 4] = [
    ("voice", "read_failed"),
    ("tcp", "read_failed"),
    ("ledger", "read_failed"),
    ("tcp", "end_unseen"),
];

/// Everything between the kernel and the exports.
pub(super) struct Host {
    voice: VoiceTracker,
    connections: ConnectionTracker,
    ledger: Ledger,
    metrics: Metrics,
    limits: Limits,
    interval: Duration,
    readings: u64,
    /// The last reading of which nothing failed.
    last_whole_ns: Option<u64>,
    taken_at: Option<SystemTime>,
}

/// A copy of what was read: to make it takes far less time than to put it into words,
/// which need not keep the host from its next reading.
pub(super) struct Moment {
    taken_at: Option<SystemTime>,
    flows: Vec<VoiceFlow>,
    open: Vec<Connection>,
    losses: Losses,
    completeness: f64,
}

/// What one reading found, for the log.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) began: usize,
    pub(super) ended: usize,
}

impl Host {
    pub(super) fn new(config: &Config) -> Result<Self, prometheus::Error> {
        let metrics = Metrics::new()?;
        let mut ledger = Ledger::default();
        for (stage, reason) in OWN_LOSSES.into_iter().chain(adopt::LOSSES) {
            ledger.add(stage, reason, 0);
        }
        metrics.ledger(&ledger);
        Ok(Self {
            voice: VoiceTracker::new(config.flow_idle_timeout),
            connections: ConnectionTracker::new(config.connection_idle_timeout),
            ledger,
            metrics,
            limits: config.options(false).limits,
            interval: config.interval,
            readings: 0,
            last_whole_ns: None,
            taken_at: None,
        })
    }

    pub(super) const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Readings are `interval` apart from here on.
    pub(super) const fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
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
        let mut interval = ConnectionInterval::default();
        while let Some(connection) = kernel.next_closed() {
            self.connections.close(connection, &mut interval);
            if interval.closed.len() == BATCH {
                self.count(&std::mem::take(&mut interval));
            }
        }
        self.count(&interval);
    }

    /// Reads every table once.
    pub(super) fn read(&mut self, kernel: &mut Kernel) -> Reading {
        let begun = Instant::now();
        let mut reading = Reading::default();
        self.taken_at = Some(SystemTime::now());
        self.drain(kernel);
        let outcomes = [
            ("voice", self.read_voice(kernel, &mut reading)),
            ("tcp", self.read_connections(kernel)),
            ("ledger", self.read_losses(kernel)),
        ];
        let is_whole = outcomes.iter().all(|(_, outcome)| outcome.is_ok());
        for (stage, outcome) in outcomes {
            if let Err(error) = outcome {
                self.fail(stage, &error);
            }
        }
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

    /// Number of the last reading.
    pub(super) const fn readings(&self) -> u64 {
        self.readings
    }

    /// What there is at this moment, as it was read.
    pub(super) fn moment(&self) -> Moment {
        Moment {
            taken_at: self.taken_at,
            flows: self.voice.flows().copied().collect(),
            open: self.connections.open().copied().collect(),
            losses: self.ledger.losses(),
            completeness: self.ledger.completeness(),
        }
    }

    /// What there is at this moment.
    pub(super) fn snapshot(&self) -> Snapshot {
        self.moment().snapshot()
    }

    fn read_voice(&mut self, kernel: &mut Kernel, reading: &mut Reading) -> io::Result<()> {
        let flows = kernel.flows()?;
        self.fill("flows", flows.len(), self.limits.flows);
        let interval = self.voice.update(flows, now_ns());
        for flow in &interval.ended {
            if let Err(error) = kernel.remove_flow(&flow.key) {
                self.fail("voice", &error);
            }
        }
        self.metrics.voice(&interval);
        self.metrics.voice_flows(self.voice.flows());
        self.ledger.add_counted(interval.counts.values().map(|counts| counts.packets).sum());
        reading.began = interval.began.len();
        reading.ended = interval.ended.len();
        Ok(())
    }

    fn read_connections(&mut self, kernel: &mut Kernel) -> io::Result<()> {
        let connections = kernel.connections()?;
        self.fill("sockets", connections.len(), self.limits.sockets);
        let interval = self.connections.update(connections, now_ns());
        for socket in &interval.done {
            if let Err(error) = kernel.remove_connection(*socket) {
                self.fail("tcp", &error);
            }
        }
        self.count(&interval);
        self.metrics.tcp_open(self.connections.open());
        Ok(())
    }

    fn fill(&self, map: &str, entries: usize, limit: u32) {
        self.metrics.map(map, MapFill { entries: entries as u64, limit: limit.into() });
    }

    fn read_losses(&mut self, kernel: &mut Kernel) -> io::Result<()> {
        self.ledger.set_kernel(kernel.losses()?);
        Ok(())
    }

    fn count(&mut self, interval: &ConnectionInterval) {
        self.metrics.tcp(interval);
        self.ledger.add_counted(interval.closed.len() as u64);
        self.ledger.add("tcp", "end_unseen", interval.unseen_ends);
    }

    fn fail(&mut self, stage: &'static str, error: &io::Error) {
        tracing::warn!(stage, %error, "a table of the kernel could not be read");
        self.ledger.add(stage, "read_failed", 1);
    }
}

impl Moment {
    /// It as the exports have it.
    pub(super) fn snapshot(mut self) -> Snapshot {
        self.flows.sort_by_key(|flow| (flow.stream.first_ns, flow.key.ssrc, flow.key.direction));
        self.open.sort_by_key(|connection| (connection.established_ns, connection.socket));
        Snapshot {
            taken_at: self.taken_at,
            voice: self.flows.iter().map(|flow| Voice::new(flow, true)).collect(),
            websockets: Vec::new(),
            tcp: self.open.iter().map(Tcp::from).collect(),
            ledger: LedgerLines::new(&self.losses, self.completeness),
        }
    }
}

/// `CLOCK_MONOTONIC`, the kernel programs' clock, in ns.
fn now_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure lives for the call, and this clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0)
}
