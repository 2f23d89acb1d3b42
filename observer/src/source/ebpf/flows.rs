//! The table of flows: an array of entries, and a hash map that says where each lies.

use std::io;

use aya::{
    Ebpf,
    maps::{MapData, Stack},
};
use observer_common::abi::{FlowEntry, FlowKey, Taken, map};

use super::{load::LoadError, table::Table};

/// The flows of the host.
pub struct Flows {
    entries: Table<u32, FlowEntry>,
    places: Table<FlowKey, u32>,
    taken: Table<u32, Taken>,
    free: Stack<MapData, u32>,
}

impl Flows {
    /// Takes the maps of a loaded object.
    ///
    /// # Errors
    /// [`LoadError::Map`] when one is missing, or not what this program was built for.
    pub fn new(ebpf: &mut Ebpf) -> Result<Self, LoadError> {
        let strange = |name| LoadError::Map { name, reason: "is not of the expected type" };
        let mut take =
            |name| ebpf.take_map(name).ok_or(LoadError::Map { name, reason: "is missing" });
        Ok(Self {
            entries: Table::new(take(map::FLOWS)?, true).ok_or(strange(map::FLOWS))?,
            places: Table::new(take(map::PLACES)?, false).ok_or(strange(map::PLACES))?,
            taken: Table::new(take(map::TAKEN)?, true).ok_or(strange(map::TAKEN))?,
            free: Stack::try_from(take(map::FREE)?).map_err(|_| strange(map::FREE))?,
        })
    }

    /// Calls `each` with every flow, each of one moment. A flow that is made meanwhile may
    /// be seen or not.
    ///
    /// # Errors
    /// What the kernel said; flows read till then were passed to `each`.
    pub fn read(&mut self, mut each: impl FnMut(&FlowEntry)) -> io::Result<()> {
        let mut moving = Vec::new();
        let taken = self.taken.get(&0)?.map_or(0, |taken| taken.places);
        self.entries.read_first(taken, |place, entry| {
            if !entry.is_somebodys() {
            } else if entry.is_whole() {
                each(&entry);
            } else {
                moving.push(place);
            }
        })?;
        for place in moving {
            if let Some(entry) = self.at_rest(place)? {
                each(&entry);
            }
        }
        Ok(())
    }

    /// A flow that moved while it was copied. The last of many copies is taken as it is:
    /// what is wrong with it is one packet, until the next reading.
    fn at_rest(&self, place: u32) -> io::Result<Option<FlowEntry>> {
        const ATTEMPTS: usize = 100;
        let mut last = None;
        for _ in 0..ATTEMPTS {
            last = self.entries.get(&place)?;
            if last.as_ref().is_none_or(FlowEntry::is_whole) {
                break;
            }
        }
        Ok(last.filter(FlowEntry::is_somebodys))
    }

    /// Passes over a flow's packets from `now_ns` of `CLOCK_MONOTONIC` on; one that is
    /// gone already is no error.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn exclude(&mut self, key: &FlowKey, now_ns: u64) -> io::Result<()> {
        match self.places.get(key)? {
            Some(place) => self.entries.replace(&place, &FlowEntry::excluded(*key, now_ns)),
            None => Ok(()),
        }
    }

    /// Gives a flow's place back; one that is gone already is no error.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn remove(&mut self, key: &FlowKey) -> io::Result<()> {
        let Some(place) = self.places.get(key)? else { return Ok(()) };
        self.places.remove(key)?;
        self.entries.replace(&place, &FlowEntry::NOBODYS)?;
        self.free.push(place, 0).map_err(io::Error::other)
    }
}
