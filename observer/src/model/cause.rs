//! What on the host itself makes voice bad or sockets slow: counts since the observer's
//! start.

use std::time::Duration;

/// All of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostCauses {
    /// Of every network namespace.
    pub udp: UdpErrors,
    /// Of every network namespace.
    pub listen: ListenDrops,
    /// Of every CPU.
    pub softnet: Softnet,
    /// Of every observed cgroup.
    pub throttling: Throttling,
}

/// Datagrams that UDP gave up, over IPv4 and IPv6. Each is counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpErrors {
    /// Received, and no room in the socket's buffer.
    pub buffer_full: u64,
    /// Received with a wrong checksum.
    pub checksum: u64,
    /// Received, and no memory for it. A kernel before 5.11 counts these among the others.
    pub memory: u64,
    /// Received, and given up for another reason, such as a socket filter.
    pub other: u64,
    /// Not sent: no room in the socket's buffer, or no memory.
    pub send: u64,
}

/// Segments of handshakes that a listener gave up. Each is counted once; a client sends
/// again, so one attempt may be several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenDrops {
    /// The queue of connections that wait for `accept` was full.
    pub queue_full: u64,
    /// Another reason.
    pub other: u64,
}

/// The kernel's work on packets that came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Softnet {
    /// Packets for which a CPU's backlog had no room.
    pub drops: u64,
    /// Times that a CPU stopped with packets left, its time or number of packets used up.
    pub squeezes: u64,
}

/// What a CPU quota has cost a cgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttling {
    /// Periods of the quota in which the cgroup was held back.
    pub periods: u64,
    /// For how long, added up over CPUs.
    pub time: Duration,
}
