//! Who has a socket, and whom its figures are counted for.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use super::Place;

/// The task that made a socket, or let go of one that came by accept, as it was then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creator {
    /// When that was, in ns of `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    /// Its cgroup in the v2 hierarchy, by the inode of the directory.
    pub cgroup: u64,
    /// Its process.
    pub pid: u32,
    /// Its name.
    pub comm: String,
}

/// Labels of a container and of its Kubernetes pod, by name.
pub type Labels = BTreeMap<String, String>;

/// A process that has sockets. What could not be learned, because the process was gone
/// or would not show it, is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// Its number, in the initial namespace of process ids.
    pub pid: u32,
    /// Its name (`comm`).
    pub comm: String,
    /// Its executable.
    pub executable: Option<PathBuf>,
    /// Its cgroup, and what that tells.
    pub place: Place,
    /// Labels of its container, where somebody asks for labels and the runtime shows them.
    pub labels: Arc<Labels>,
    /// Inode of its network namespace.
    pub network_namespace: Option<u64>,
    /// The name that its environment gives its service.
    pub service_name: Option<String>,
}

/// Number of a service: small, so that each flow and connection can have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceId(pub u16);

impl ServiceId {
    /// Sockets of which no owner is known.
    pub const UNKNOWN: Self = Self(0);
    /// Every service beyond the most that there may be.
    pub const OVERFLOW: Self = Self(1);
}
