//! The tables of paths and of the reports on what is sent over them.

use std::io;

use aya::Ebpf;
use observer_common::abi::{
    FlowKey, TRANSMIT, map,
    path::{PathEntry, PathKey as Key, ReportEntry},
};

use super::{load::LoadError, read::Creators, table::Table};
use crate::model::{Direction, Endpoint, FlowReport, PathKey, SocketCookie, VoiceKey, VoicePath};

/// The paths of the host.
pub struct Paths {
    paths: Table<Key, PathEntry>,
    reports: Table<FlowKey, ReportEntry>,
}

impl Paths {
    /// Takes the maps of a loaded object.
    ///
    /// # Errors
    /// [`LoadError::Map`] when one is missing, or not what this program was built for.
    pub fn new(ebpf: &mut Ebpf) -> Result<Self, LoadError> {
        let strange = |name| LoadError::Map { name, reason: "is not of the expected type" };
        let mut take =
            |name| ebpf.take_map(name).ok_or(LoadError::Map { name, reason: "is missing" });
        Ok(Self {
            paths: Table::new(take(map::PATHS)?, true).ok_or(strange(map::PATHS))?,
            reports: Table::new(take(map::REPORTS)?, true).ok_or(strange(map::REPORTS))?,
        })
    }

    /// Calls `each` with every path, each of one moment.
    ///
    /// # Errors
    /// What the kernel said; paths read till then were passed to `each`.
    pub fn read(
        &mut self,
        creators: &Creators,
        mut each: impl FnMut(&Creators, VoicePath),
    ) -> io::Result<()> {
        self.paths.read(|key, entry| {
            let key = PathKey {
                socket: SocketCookie(key.cookie),
                peer: Endpoint::new(key.peer, key.peer_port),
            };
            let local = Endpoint::new(entry.local, entry.local_port);
            each(creators, VoicePath::new(key, local, entry.path));
        })
    }

    /// Calls `each` with the reports on every flow.
    ///
    /// # Errors
    /// As [`Paths::read`].
    pub fn read_reports(&mut self, mut each: impl FnMut(FlowReport)) -> io::Result<()> {
        self.reports.read(|key, entry| {
            let flow = VoiceKey {
                socket: SocketCookie(key.cookie),
                peer: Endpoint::new(key.peer, key.peer_port),
                ssrc: key.ssrc,
                direction: Direction::Transmit,
            };
            each(FlowReport { flow, report: entry.report });
        })
    }

    /// Forgets a path; one that is gone already is no error.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn remove(&mut self, key: &PathKey) -> io::Result<()> {
        self.paths.remove(&Key {
            cookie: key.socket.0,
            peer: key.peer.words(),
            peer_port: key.peer.port(),
            reserved: [0; 6],
        })
    }

    /// Forgets the reports on a flow; those that are gone already are no error.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn remove_reports(&mut self, report: &FlowReport) -> io::Result<()> {
        let key = &report.flow;
        self.reports.remove(&FlowKey {
            cookie: key.socket.0,
            peer: key.peer.words(),
            ssrc: key.ssrc,
            peer_port: key.peer.port(),
            direction: TRANSMIT,
            reserved: 0,
        })
    }
}
