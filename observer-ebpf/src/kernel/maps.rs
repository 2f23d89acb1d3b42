//! The maps. Their sizes are set at load time, from the configuration.

use aya_ebpf::{
    btf_maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf, SkStorage, Stack},
    macros::btf_map,
};
use observer_common::abi::{
    Candidate, FlowEntry, FlowKey, Passage, Taken,
    creator::Creator,
    loss::Count,
    path::{PathCandidate, PathEntry, PathKey, ReportEntry},
    socket::{Closed, Socket},
};

use super::{flows::Near, frames::Courses};

/// Confirmed flows, by place. Only user space removes: a living flow is never evicted.
#[btf_map]
pub(super) static FLOWS: Array<FlowEntry, 65536> = Array::new();

/// The place of each flow. Preallocated.
#[btf_map]
pub(super) static PLACES: HashMap<FlowKey, u32, 65536> = HashMap::new();

/// Places that were given back: what is free of those that were ever taken.
#[btf_map]
pub(super) static FREE: Stack<u32, 65536> = Stack::new();

/// How many places were ever taken.
#[btf_map]
pub(super) static TAKEN: Array<Taken, 1> = Array::new();

/// What a socket remembers of its flows.
#[btf_map]
pub(super) static NEAR: SkStorage<Near> = SkStorage::new();

/// How far a TCP connection that carries datagrams was read.
#[btf_map]
pub(super) static COURSES: SkStorage<Courses> = SkStorage::new();

/// Flows in probation. An LRU map evicts without a sign, so nothing that counts
/// lives here.
#[btf_map]
pub(super) static CANDIDATES: LruHashMap<FlowKey, Candidate, 16384> = LruHashMap::new();

/// Who forwards, by the cookie of each of its sockets. User space writes it.
#[btf_map]
pub(super) static FORWARDERS: HashMap<u64, u32, 4096> = HashMap::new();

/// When sampled packets were received that may be forwarded.
#[btf_map]
pub(super) static PASSAGES: LruHashMap<Passage, u64, 16384> = LruHashMap::new();

/// Paths that proved to be one. Preallocated; only user space removes.
#[btf_map]
pub(super) static PATHS: HashMap<PathKey, PathEntry, 16384> = HashMap::new();

/// Paths in probation. An LRU map, for anybody can send a check.
#[btf_map]
pub(super) static PATH_CANDIDATES: LruHashMap<PathKey, PathCandidate, 4096> = LruHashMap::new();

/// What the far end reports of flows that are sent. Preallocated; only user space removes.
#[btf_map]
pub(super) static REPORTS: HashMap<FlowKey, ReportEntry, 16384> = HashMap::new();

/// TCP connections by socket cookie.
#[btf_map]
pub(super) static SOCKETS: HashMap<u64, Socket, 65536> = HashMap::new();

/// When the SYN of a handshake in progress came in, by the cookie its connection will
/// have. An LRU map, because a flood of SYNs must not push out connections that stand.
#[btf_map]
pub(super) static REQUESTS: LruHashMap<u64, u64, 16384> = LruHashMap::new();

/// Who made a socket, by its cookie. An LRU map: most sockets carry nothing that is
/// followed, and user space asks soon after one does.
#[btf_map]
pub(super) static CREATORS: LruHashMap<u64, Creator, 65536> = LruHashMap::new();

/// Cookie of the listener whose packet a CPU looked at last.
#[btf_map]
pub(super) static LISTENER: PerCpuArray<u64, 1> = PerCpuArray::new();

/// Whether there may be flows that nobody asks about.
#[btf_map]
pub(super) static EXCLUSIONS: Array<u32, 1> = Array::new();

/// Connections that ended.
#[btf_map]
pub(super) static EVENTS: RingBuf<Closed, 1048576> = RingBuf::new();

/// What went uncounted.
#[btf_map]
pub(super) static LEDGER: PerCpuArray<u64, { Count::SLOTS }> = PerCpuArray::new();

/// How many diagnostics a CPU sent in the second that began at `since_ns`.
#[repr(C)]
pub(super) struct LogLimit {
    pub(super) since_ns: u64,
    pub(super) sent: u64,
}

/// The rate limit of diagnostics.
#[btf_map]
pub(super) static LOG_LIMIT: PerCpuArray<LogLimit, 1> = PerCpuArray::new();
