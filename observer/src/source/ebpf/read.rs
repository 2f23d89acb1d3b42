//! The maps, as measurements.

use std::{
    io,
    num::{NonZeroU32, NonZeroU64},
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
    time::Duration,
};

use aya::maps::{Array, MapData, PerCpuArray, RingBuf};
use aya_log::EbpfLogger;
use observer_common::{
    abi::{
        Candidate, FlowEntry, FlowKey, RECEIVE, TRANSMIT, creator,
        loss::{Count, EVICTED},
        map,
        socket::{ADOPTED, Closed, ROLE_CLIENT, ROLE_SERVER, Socket},
    },
    packet::Address,
};
use zerocopy::FromBytes as _;

use super::{
    adopt::{Adoption, adopt},
    flows::Flows,
    load::{LoadError, Loaded, Options, ProbeState, load},
    paths::Paths,
    table::{Inserted, Table},
};
use crate::model::{
    Connection, ConnectionKey, Creator, Direction, Endpoint, HopDelay, Losses, ProbeCost, Role,
    ServiceId, SocketCookie, Totals, Transport, VoiceFlow, VoiceKey, VoicePath,
};

/// An entry of the table of flows.
#[expect(clippy::large_enum_variant, reason = "nearly every entry is a flow")]
#[derive(Clone, Copy, Debug)]
pub enum FlowRow {
    /// A flow.
    Flow(VoiceFlow),
    /// A flow that nobody asks about: its packets are not counted.
    Excluded {
        /// It.
        key: VoiceKey,
        /// Since when, in ns of `CLOCK_MONOTONIC`.
        since_ns: u64,
    },
}

/// The programs at work, and what they have counted. They detach when this goes.
pub struct Kernel {
    loaded: Loaded,
    flows: Flows,
    paths: Paths,
    sockets: Table<u64, Socket>,
    creators: Creators,
    forwarders: Table<u64, u32>,
    probation: Probation,
    exclusions: Array<MapData, u32>,
    looks_for_excluded: bool,
    ledger: PerCpuArray<MapData, u64>,
    events: RingBuf<MapData>,
}

impl Kernel {
    /// Loads the programs and attaches them.
    ///
    /// # Errors
    /// [`LoadError`] when nothing can be observed.
    pub fn start(options: &Options) -> Result<Self, LoadError> {
        let mut loaded = load(options)?;
        let flows = Flows::new(&mut loaded.ebpf)?;
        let paths = Paths::new(&mut loaded.ebpf)?;
        let mut take = |name: &'static str| {
            loaded.ebpf.take_map(name).ok_or(LoadError::Map { name, reason: "is missing" })
        };
        let strange = |name| LoadError::Map { name, reason: "is not of the expected type" };
        let sockets = Table::new(take(map::SOCKETS)?, false).ok_or(strange(map::SOCKETS))?;
        let creators = Table::new(take(map::CREATORS)?, false).ok_or(strange(map::CREATORS))?;
        let creators = Creators(creators);
        let forwarders =
            Table::new(take(map::FORWARDERS)?, false).ok_or(strange(map::FORWARDERS))?;
        let ledger = PerCpuArray::try_from(take(map::LEDGER)?).map_err(|_| strange(map::LEDGER))?;
        let exclusions =
            Array::try_from(take(map::EXCLUSIONS)?).map_err(|_| strange(map::EXCLUSIONS))?;
        let events = RingBuf::try_from(take(map::EVENTS)?).map_err(|_| strange(map::EVENTS))?;
        let candidates =
            Table::new(take(map::CANDIDATES)?, false).ok_or(strange(map::CANDIDATES))?;
        let probation =
            Probation { candidates, room: options.limits.candidates.into(), evicted: 0 };
        Ok(Self {
            loaded,
            flows,
            paths,
            sockets,
            creators,
            forwarders,
            probation,
            exclusions,
            looks_for_excluded: false,
            ledger,
            events,
        })
    }

    /// What became of each probe.
    #[must_use]
    pub fn probes(&self) -> &[ProbeState] {
        &self.loaded.probes
    }

    /// What each probe's program has cost. A program of which the kernel tells nothing is
    /// left out.
    #[must_use]
    pub fn costs(&self) -> Vec<ProbeCost> {
        let cost = |state: &ProbeState| {
            let info = self.loaded.ebpf.program(state.program)?.info().ok()?;
            Some(ProbeCost {
                probe: state.probe.name,
                runs: info.run_count(),
                time: info.run_time(),
            })
        };
        self.loaded.probes.iter().filter_map(cost).collect()
    }

    /// Where the programs are attached.
    #[must_use]
    pub fn cgroup(&self) -> &Path {
        &self.loaded.cgroup
    }

    /// What the programs say, if they were loaded to say anything. Its `flush` passes it
    /// to the log.
    pub fn logger(&mut self) -> Option<EbpfLogger<&'static dyn log::Log>> {
        EbpfLogger::init(&mut self.loaded.ebpf)
            .inspect_err(|error| tracing::warn!(%error, "no diagnostics of the programs"))
            .ok()
    }

    /// Puts the connections that are older than the programs into the table, as they stand.
    /// One that carries a packet meanwhile adopts itself.
    pub fn adopt(&mut self) -> Adoption {
        adopt(&mut self.sockets)
    }

    /// The loaded object and where it is attached, for tests.
    pub const fn loaded_mut(&mut self) -> &mut Loaded {
        &mut self.loaded
    }

    /// Who made the sockets.
    #[must_use]
    pub const fn creators(&self) -> &Creators {
        &self.creators
    }

    /// Calls `each` with every entry of the table of flows, each of one moment.
    ///
    /// # Errors
    /// What the kernel said; entries read till then were passed to `each`.
    pub fn read_flows(&mut self, mut each: impl FnMut(&Creators, FlowRow)) -> io::Result<()> {
        let mut excluded = 0_u64;
        let creators = &self.creators;
        self.flows.read(|entry| {
            excluded += u64::from(entry.excluded);
            each(creators, flow_row(entry));
        })?;
        self.look_for_excluded(excluded > 0)
    }

    /// Every voice flow at once.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn flows(&mut self) -> io::Result<Vec<VoiceFlow>> {
        let mut flows = Vec::new();
        self.read_flows(|_, row| match row {
            FlowRow::Flow(flow) => flows.push(flow),
            FlowRow::Excluded { .. } => {}
        })?;
        Ok(flows)
    }

    /// Passes over a flow's packets from `now_ns` of `CLOCK_MONOTONIC` on, until it is
    /// removed.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn exclude_flow(&mut self, key: &VoiceKey, now_ns: u64) -> io::Result<()> {
        self.look_for_excluded(true)?;
        self.flows.exclude(&flow_key(key), now_ns)
    }

    /// Whether the programs look for flows that nobody asks about.
    fn look_for_excluded(&mut self, look: bool) -> io::Result<()> {
        if self.looks_for_excluded != look {
            self.exclusions.set(0, u32::from(look), 0).map_err(io::Error::other)?;
            self.looks_for_excluded = look;
        }
        Ok(())
    }

    /// Forgets a flow that has ended.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn remove_flow(&mut self, key: &VoiceKey) -> io::Result<()> {
        self.flows.remove(&flow_key(key))
    }

    /// Has the delay measured between packets that a socket receives and the same ones that
    /// another of the same `forwarder` transmits, or, without one, no longer.
    ///
    /// # Errors
    /// What the kernel said; that there is no room among it.
    pub fn forward(
        &mut self,
        socket: SocketCookie,
        forwarder: Option<NonZeroU32>,
    ) -> io::Result<()> {
        match forwarder {
            Some(forwarder) => match self.forwarders.insert_absent(&socket.0, &forwarder.get())? {
                Inserted::Yes | Inserted::Known => Ok(()),
                Inserted::Full => Err(io::ErrorKind::StorageFull.into()),
            },
            None => self.forwarders.remove(&socket.0),
        }
    }

    /// Calls `each` with every path of voice, each of one moment.
    ///
    /// # Errors
    /// What the kernel said; paths read till then were passed to `each`.
    pub fn read_paths(&mut self, each: impl FnMut(&Creators, VoicePath)) -> io::Result<()> {
        self.paths.read(&self.creators, each)
    }

    /// The tables of paths and of reports.
    pub const fn paths_mut(&mut self) -> &mut Paths {
        &mut self.paths
    }

    /// Calls `each` with every TCP connection that stands, or whose end found no room in
    /// the ring.
    ///
    /// # Errors
    /// What the kernel said; connections read till then were passed to `each`.
    pub fn read_connections(
        &mut self,
        mut each: impl FnMut(&Creators, Connection),
    ) -> io::Result<()> {
        self.sockets.read(|cookie, socket| each(&self.creators, connection(cookie, &socket)))
    }

    /// All of them at once.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn connections(&mut self) -> io::Result<Vec<Connection>> {
        let mut connections = Vec::new();
        self.read_connections(|_, connection| connections.push(connection))?;
        Ok(connections)
    }

    /// Forgets a connection. Another that its socket has become meanwhile stays.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn remove_connection(&mut self, (socket, opened_ns): &ConnectionKey) -> io::Result<()> {
        match self.sockets.get(&socket.0)? {
            Some(entry) if NonZeroU64::new(entry.opened_ns) == *opened_ns => {
                self.sockets.remove(&socket.0)
            }
            _ => Ok(()),
        }
    }

    /// The next connection that was closed, with its final figures.
    pub fn next_closed(&mut self) -> Option<Connection> {
        while let Some(item) = self.events.next() {
            if let Ok(closed) = Closed::read_from_bytes(&item) {
                return Some(connection(closed.cookie, &closed.socket));
            }
        }
        None
    }

    /// A descriptor that is readable when [`Kernel::next_closed`] has something.
    ///
    /// # Errors
    /// When this process has no descriptors left.
    pub fn events_fd(&self) -> io::Result<OwnedFd> {
        self.events.as_fd().try_clone_to_owned()
    }

    /// What the programs could not count, since they were loaded.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn losses(&mut self) -> io::Result<Losses> {
        let mut losses = Losses::new();
        let inserted = self.count(Count::CandidateInserted)?;
        let removed = self.count(Count::CandidateRemoved)?;
        losses.insert(EVICTED, self.probation.evicted(inserted, removed)?);
        for count in Count::ALL {
            if let Some(labels) = count.labels() {
                losses.insert(labels, self.count(count)?);
            }
        }
        Ok(losses)
    }

    /// How often `count` happened since the programs were loaded, on all CPUs.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn count(&self, count: Count) -> io::Result<u64> {
        let values = self.ledger.get(&(count as u32), 0).map_err(io::Error::other)?;
        Ok(values.iter().sum())
    }
}

/// Who made the sockets that there were lately.
pub struct Creators(Table<u64, creator::Creator>);

impl Creators {
    /// Who made a socket, or let go of one that came by accept.
    #[must_use]
    pub fn get(&self, socket: SocketCookie) -> Option<Creator> {
        let creator = self.0.get(&socket.0).inspect_err(|error| {
            tracing::debug!(%error, "who made a socket could not be read");
        });
        let creator = creator.ok().flatten()?;
        Some(Creator {
            at_ns: creator.at_ns,
            cgroup: creator.cgroup,
            pid: creator.pid,
            comm: creator.comm().to_owned(),
        })
    }
}

/// The flows in probation. Their table evicts without a sign, but it can be worked out.
struct Probation {
    candidates: Table<FlowKey, Candidate>,
    room: u64,
    evicted: u64,
}

impl Probation {
    /// Candidates evicted until now: those that came, less those that left and those
    /// that are there. Nothing is evicted from a table that is half empty, so the table
    /// is read only when there can be something to find.
    fn evicted(&mut self, inserted: u64, removed: u64) -> io::Result<u64> {
        let gone_or_there = inserted.saturating_sub(removed);
        if gone_or_there > self.room / 2 {
            let evicted = gone_or_there.saturating_sub(self.candidates.count()?);
            self.evicted = self.evicted.max(evicted);
        }
        Ok(self.evicted)
    }
}

fn flow_row(entry: &FlowEntry) -> FlowRow {
    let key = &entry.key;
    let direction = if key.direction == RECEIVE { Direction::Receive } else { Direction::Transmit };
    let local = Endpoint::new(entry.local, entry.local_port);
    let key = VoiceKey {
        socket: SocketCookie(key.cookie),
        peer: Endpoint::new(key.peer, key.peer_port),
        ssrc: key.ssrc,
        direction,
    };
    match entry.excluded_since_ns() {
        Some(since_ns) => FlowRow::Excluded { key, since_ns },
        None => FlowRow::Flow(VoiceFlow {
            transport: Transport::of(entry.transport),
            extensions: entry.extensions,
            hop: HopDelay {
                sum_ns: entry.hop.sum_ns,
                max_ns: entry.hop.max_ns,
                count: entry.hop.count,
            },
            ..VoiceFlow::new(key, local, entry.stream())
        }),
    }
}

fn flow_key(key: &VoiceKey) -> FlowKey {
    let direction = match key.direction {
        Direction::Receive => RECEIVE,
        Direction::Transmit => TRANSMIT,
    };
    FlowKey {
        cookie: key.socket.0,
        peer: key.peer.words(),
        ssrc: key.ssrc,
        peer_port: key.peer.port(),
        direction,
        reserved: 0,
    }
}

fn connection(cookie: u64, socket: &Socket) -> Connection {
    let end =
        |words: Address, port| (words != [0; 4] || port != 0).then(|| Endpoint::new(words, port));
    let before = Totals {
        retransmits: socket.retransmits_before,
        bytes_received: socket.bytes_received_before,
        bytes_acked: socket.bytes_acked_before,
    };
    Connection {
        socket: SocketCookie(cookie),
        listener: (socket.listener != 0).then_some(SocketCookie(socket.listener)),
        service: Some(ServiceId::UNKNOWN),
        local: end(socket.local, socket.local_port),
        remote: end(socket.remote, socket.remote_port),
        role: match socket.role {
            ROLE_CLIENT => Role::Client,
            ROLE_SERVER => Role::Server,
            _ => Role::Unknown,
        },
        adopted: socket.flags & ADOPTED != 0,
        opened_ns: NonZeroU64::new(socket.opened_ns),
        established_ns: NonZeroU64::new(socket.established_ns),
        closed_ns: NonZeroU64::new(socket.closed_ns),
        close_reason: socket.close_reason(),
        srtt: (socket.srtt_q3_us != 0)
            .then(|| Duration::from_nanos(u64::from(socket.srtt_q3_us) * 125)),
        // The kernel's value before the first sample is the largest there is.
        min_rtt: (socket.srtt_q3_us != 0 && socket.min_rtt_us != u32::MAX)
            .then(|| Duration::from_micros(socket.min_rtt_us.into())),
        retransmits: socket.retransmits.saturating_sub(before.retransmits),
        bytes_received: socket.bytes_received.saturating_sub(before.bytes_received),
        bytes_acked: socket.bytes_acked.saturating_sub(before.bytes_acked),
        before,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_as_they_went() {
        for peer in ["10.1.2.3:5004", "[2001:db8::1]:9"] {
            let key = VoiceKey {
                socket: SocketCookie(7),
                peer: peer.parse().unwrap(),
                ssrc: 0xdead_beef,
                direction: Direction::Transmit,
            };
            let abi = flow_key(&key);
            assert_eq!(Endpoint::new(abi.peer, abi.peer_port), key.peer);
            assert_eq!((abi.cookie, abi.ssrc, abi.direction), (7, 0xdead_beef, TRANSMIT));
        }
    }

    #[test]
    fn figures_begin_at_adoption() {
        let socket = Socket { bytes_received: 7, bytes_acked: 8, retransmits: 9, ..Socket::EMPTY };
        let now = connection(1, &Socket { bytes_received: 10, ..socket.adopted() });
        assert_eq!((now.bytes_received, now.bytes_acked, now.retransmits), (3, 0, 0));
        assert_eq!((now.adopted, now.totals().bytes_received), (true, 10));
    }

    #[test]
    fn what_is_not_known_is_none() {
        let nothing = connection(1, &Socket::EMPTY);
        assert_eq!((nothing.srtt, nothing.min_rtt, nothing.local), (None, None, None));
        let some = connection(1, &Socket { srtt_q3_us: 800, min_rtt_us: 90, ..Socket::EMPTY });
        assert_eq!(some.srtt, Some(Duration::from_micros(100)));
        assert_eq!(some.min_rtt, Some(Duration::from_micros(90)));
    }
}
