//! Who makes a socket.

use aya_ebpf::{
    helpers::{
        bpf_get_current_cgroup_id, bpf_get_current_comm, bpf_get_current_pid_tgid,
        bpf_get_socket_cookie, bpf_ktime_get_ns,
    },
    programs::SockContext,
};
use observer_common::abi::{creator::Creator, loss::Count};

use super::{ledger, maps::CREATORS};

/// A task makes a socket.
#[inline(always)]
pub(super) fn create(ctx: &SockContext) {
    insert(cookie(ctx));
}

/// A task closes a socket for good. One that came by accept was made by no task, so
/// this is the first, and the last, that is known to have had it.
#[inline(always)]
pub(super) fn release(ctx: &SockContext) {
    let cookie = cookie(ctx);
    if CREATORS.get_ptr(cookie).is_none() {
        insert(cookie);
    }
}

#[inline(always)]
fn cookie(ctx: &SockContext) -> u64 {
    // SAFETY: the context is valid.
    unsafe { bpf_get_socket_cookie(ctx.sock.cast()) }
}

#[inline(always)]
fn insert(cookie: u64) {
    // SAFETY: the helpers have no preconditions.
    let (at_ns, cgroup, pid) = unsafe {
        (bpf_ktime_get_ns(), bpf_get_current_cgroup_id(), bpf_get_current_pid_tgid() >> 32)
    };
    let comm = bpf_get_current_comm().unwrap_or_default();
    let creator = Creator { at_ns, cgroup, pid: pid as u32, reserved: 0, comm };
    if CREATORS.insert(cookie, creator, 0).is_err() {
        ledger::count(Count::CreatorFailed);
    }
}
