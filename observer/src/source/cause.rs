//! What on the host itself makes voice bad or sockets slow, as the kernel counts it.
//!
//! Figures are what was added since the first reading. What comes later, be it a network
//! namespace, a CPU or a cgroup, counts from when it is first seen, and what goes leaves
//! behind what it had added.

pub mod growth;

pub mod network;

pub mod snmp;

pub mod softnet;

pub mod throttle;

use std::{
    collections::{BTreeSet, HashSet},
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use thiserror::Error;

use self::{
    network::{Network, Places},
    softnet::Cpus,
    throttle::{Throttles, of_processes},
};
use crate::model::HostCauses;

/// How long namespaces and cgroups are taken to be those that were found. To find them
/// takes some 27 µs a process: 15 ms for 573 of them, on a busy machine of two cores. To
/// read a namespace, which each reading does, takes some 180 µs: 9 ms for 51 of them.
const FINDING: Duration = Duration::from_secs(10);

/// Why a cause is not known.
#[derive(Debug, Error)]
pub enum CauseError {
    /// A file of the kernel's cannot be read.
    #[error("cannot read {path}: {source}. Run the observer as root, with the host's /proc")]
    Read {
        /// Which one.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file of the kernel's is not what it should be.
    #[error("{file} has {what}: report this, with the file and the kernel's version")]
    Malformed {
        /// Which one.
        file: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A namespace cannot be looked at.
    #[error("a network namespace is hidden: give the observer CAP_SYS_PTRACE and the host's /proc")]
    Hidden,
    /// A namespace cannot be entered.
    #[error("cannot enter the network namespace {path}: {source}. Give the observer CAP_SYS_ADMIN")]
    Enter {
        /// Where it is mounted.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// No mount shows a cgroup.
    #[error(
        "a cgroup is on no mount that this process sees: mount the host's /sys/fs/cgroup, or share the host's cgroup namespace"
    )]
    Unmounted,
}

impl CauseError {
    fn read(path: &Path, source: io::Error) -> Self {
        Self::Read { path: path.to_owned(), source }
    }
}

/// Reads the causes, and keeps what it takes to add them up.
#[derive(Debug, Default)]
pub struct Causes {
    places: Places,
    found_at: Option<Instant>,
    network: Network,
    cpus: Cpus,
    throttles: Throttles,
    /// What could not be found, until it is looked for again.
    unfound: Vec<String>,
    /// What failed at the last reading.
    failing: HashSet<String>,
}

impl Causes {
    /// The causes at `now`, and what could not be read that could be at the last reading.
    /// A failure that lasts is named once. What fails leaves its figures as they were,
    /// and the others go on. The cgroups are those of the processes that `observed` names.
    pub fn read(
        &mut self,
        now: Instant,
        observed: impl FnOnce() -> BTreeSet<u32>,
    ) -> (HostCauses, Vec<String>) {
        if self.found_at.is_none_or(|then| now.duration_since(then) >= FINDING) {
            self.found_at = Some(now);
            let errors = self.find(&observed());
            self.unfound = errors.iter().map(ToString::to_string).collect();
        }
        let mut errors = self.network.update(&self.places);
        errors.extend(self.cpus.update().err());
        errors.extend(self.throttles.update());
        let failing: HashSet<_> =
            errors.iter().map(ToString::to_string).chain(self.unfound.iter().cloned()).collect();
        let begun = failing.difference(&self.failing).cloned().collect();
        self.failing = failing;
        let causes = HostCauses {
            udp: self.network.udp(),
            listen: self.network.listen(),
            softnet: self.cpus.sum(),
            throttling: self.throttles.sum(),
        };
        (causes, begun)
    }

    fn find(&mut self, observed: &BTreeSet<u32>) -> Vec<CauseError> {
        let mut errors = Vec::new();
        match Places::find() {
            Ok(places) => {
                errors.extend(places.is_some_hidden.then_some(CauseError::Hidden));
                self.places = places;
            }
            Err(error) => errors.push(error),
        }
        errors.extend(self.throttles.observe(&of_processes(observed)));
        errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_begin_at_zero_and_never_fall() {
        let mut causes = Causes::default();
        let begun = Instant::now();
        assert_eq!(causes.read(begun, BTreeSet::new).0, HostCauses::default());
        let (mut last, _) = causes.read(begun + FINDING / 2, BTreeSet::new);
        for seconds in 0..3 {
            let (now, _) =
                causes.read(begun + FINDING + Duration::from_secs(seconds), BTreeSet::new);
            assert!(now.softnet.squeezes >= last.softnet.squeezes);
            assert!(now.udp.buffer_full >= last.udp.buffer_full);
            last = now;
        }
    }

    #[test]
    fn a_failure_that_lasts_is_named_once() {
        let mut causes = Causes::default();
        let now = Instant::now();
        causes.read(now, BTreeSet::new);
        causes.unfound = vec!["the same".to_owned()];
        assert!(causes.read(now, BTreeSet::new).1.contains(&"the same".to_owned()));
        assert!(!causes.read(now, BTreeSet::new).1.contains(&"the same".to_owned()));
        causes.unfound.clear();
        causes.read(now, BTreeSet::new);
        causes.unfound = vec!["the same".to_owned()];
        assert!(causes.read(now, BTreeSet::new).1.contains(&"the same".to_owned()));
    }
}
