//! Who has a socket: from what the kernel's programs told and what `/proc` shows.

pub mod process;

pub mod cgroups;

pub mod holders;

pub mod labels;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    model::{Creator, Labels, Owner, Place, SocketCookie},
    source::ebpf::cgroup::CgroupRoot,
};
use holders::{Found, Search};
use labels::LabelReader;

/// How long a process is remembered that no socket asks for.
const MEMORY: Duration = Duration::from_secs(60);
/// How long what is known of a process is taken for granted: it may become another program.
const FRESH: Duration = Duration::from_secs(5);

/// The process that opens sockets for services that it has yet to start.
const INIT: u32 = 1;

/// How far the two clocks may be apart, with the tick to which a process' start is known.
const SLACK_NS: u64 = 20_000_000;

/// Everyone who has sockets.
#[derive(Debug)]
pub struct Owners {
    root: Option<CgroupRoot>,
    /// Whether the programs' numbers of processes are those of `/proc`.
    pids_agree: bool,
    most: usize,
    search: Search,
    /// By the last search, made at this time of `CLOCK_BOOTTIME`.
    held: HashMap<SocketCookie, u32>,
    searched_ns: u64,
    searches: u32,
    processes: HashMap<u32, Known>,
    /// `None` when nobody asks for labels.
    labels: Option<LabelReader>,
    readings: u64,
}

#[derive(Debug)]
struct Known {
    owner: Arc<Owner>,
    started_ns: u64,
    /// When it was there last, by its number and start.
    seen_reading: u64,
    seen: Instant,
    read: Instant,
}

/// Who a socket's owner is, as far as that is known.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Them.
    pub owner: Option<Arc<Owner>>,
    /// Whether a search may know better.
    pub is_provisional: bool,
}

impl Owners {
    /// Finds who holds the sockets that there are, at most `most`. The paths of
    /// cgroups are those below `root`.
    #[must_use]
    pub fn start(root: Option<CgroupRoot>, most: usize) -> Self {
        let mut owners = Self {
            root,
            pids_agree: process::sees_all(),
            most,
            search: Search::default(),
            held: HashMap::new(),
            searched_ns: 0,
            searches: 0,
            processes: HashMap::new(),
            labels: None,
            readings: 0,
        };
        owners.searched_ns = boot_ns();
        owners.search.begin(most);
        if let Some(found) = owners.search.wait() {
            owners.take(found);
        }
        owners
    }

    /// A reading begins: takes what a search found since the last one, begins another if
    /// one is `wanted`, and forgets who was not asked for in a while.
    pub fn begin(&mut self, wanted: bool) {
        self.readings += 1;
        if let Some(found) = self.search.poll() {
            self.take(found);
        }
        if wanted {
            let now = boot_ns();
            if self.search.begin(self.most) {
                self.searched_ns = now;
            }
        }
        self.processes.retain(|_, known| known.seen.elapsed() < MEMORY);
        if let Some(labels) = &mut self.labels {
            labels.forget_unused();
        }
    }

    /// Says from here on what labels the containers of processes have, if that is `wanted`.
    pub fn read_labels(&mut self, wanted: bool) {
        if self.labels.is_some() != wanted {
            self.labels = wanted.then(LabelReader::default);
            self.processes.clear();
        }
    }

    fn take(&mut self, found: Found) {
        if found.hidden > 0 {
            tracing::debug!(namespaces = found.hidden, "sockets may have holders unseen");
        }
        self.held = found.processes;
        self.searches += 1;
    }

    /// How many searches have ended.
    #[must_use]
    pub const fn searches(&self) -> u32 {
        self.searches
    }

    /// Who has `socket`, which came by `listener` if it was accepted. `creator` tells what
    /// the programs know of a socket.
    pub fn of(
        &mut self,
        socket: SocketCookie,
        listener: Option<SocketCookie>,
        creator: &dyn Fn(SocketCookie) -> Option<Creator>,
    ) -> Answer {
        if let Some(owner) = self.holder(socket) {
            return Answer { owner: Some(owner), is_provisional: false };
        }
        // One process may listen and another, its child, have the connection: a search knows
        // that. Who lets go of it last may be any child that came to have it too.
        if let Some(listener) = listener {
            let holder = self.holder(listener);
            let owner = holder.or_else(|| Some(self.by_creator(&creator(listener)?)));
            if owner.as_ref().is_some_and(|owner| owner.pid != INIT) {
                return Answer { owner, is_provisional: true };
            }
        }
        match creator(socket) {
            Some(creator) => Answer {
                owner: Some(self.by_creator(&creator)),
                is_provisional: creator.pid == INIT,
            },
            None => Answer { owner: None, is_provisional: true },
        }
    }

    fn holder(&mut self, socket: SocketCookie) -> Option<Arc<Owner>> {
        let pid = *self.held.get(&socket)?;
        self.process(pid, self.searched_ns)
    }

    fn by_creator(&mut self, creator: &Creator) -> Arc<Owner> {
        let at_ns = creator.at_ns + suspended_ns();
        let process = self.pids_agree.then(|| self.process(creator.pid, at_ns)).flatten();
        process.unwrap_or_else(|| {
            let path = self.root.as_ref().and_then(|root| cgroups::path(root, creator.cgroup));
            let place = path.map(|path| Place::of(&path)).unwrap_or_default();
            Arc::new(Owner {
                pid: creator.pid,
                comm: creator.comm.clone(),
                labels: self.labels_of(&place),
                place,
                ..Owner::default()
            })
        })
    }

    /// The process of this number that lived at `at_ns` of `CLOCK_BOOTTIME`. A number is
    /// used again: one that began later is another.
    fn process(&mut self, pid: u32, at_ns: u64) -> Option<Arc<Owner>> {
        if let Some(known) = self.processes.get_mut(&pid)
            && known.read.elapsed() < FRESH
        {
            let is_there = known.seen_reading == self.readings
                || process::started_ns(pid) == Some(known.started_ns);
            if is_there {
                known.seen_reading = self.readings;
                known.seen = Instant::now();
                return (known.started_ns <= at_ns + SLACK_NS).then(|| Arc::clone(&known.owner));
            }
        }
        self.processes.remove(&pid);
        let started_ns = process::started_ns(pid)?;
        let mut owner = process::read(pid)?;
        // Else it ended in between, and another has its number.
        if process::started_ns(pid)? != started_ns || started_ns > at_ns + SLACK_NS {
            return None;
        }
        owner.labels = self.labels_of(&owner.place);
        let owner = Arc::new(owner);
        let known = Known {
            owner: Arc::clone(&owner),
            started_ns,
            seen_reading: self.readings,
            seen: Instant::now(),
            read: Instant::now(),
        };
        self.processes.insert(pid, known);
        Some(owner)
    }

    fn labels_of(&mut self, place: &Place) -> Arc<Labels> {
        match (&mut self.labels, &place.container) {
            (Some(reader), Some(container)) => reader.of(container),
            _ => Arc::default(),
        }
    }
}

/// `CLOCK_BOOTTIME`, which goes on while the machine sleeps, in ns.
fn boot_ns() -> u64 {
    clock_ns(libc::CLOCK_BOOTTIME)
}

/// How long the machine has slept since it was booted.
fn suspended_ns() -> u64 {
    boot_ns().saturating_sub(clock_ns(libc::CLOCK_MONOTONIC))
}

fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure lives for the call, and these clocks always exist.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0)
}
