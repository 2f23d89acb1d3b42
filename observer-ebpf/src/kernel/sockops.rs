//! The life of a TCP connection: handshake, states, end.

use aya_ebpf::{
    bindings::{
        BPF_ANY, BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB,
        BPF_SOCK_OPS_STATE_CB, BPF_SOCK_OPS_STATE_CB_FLAG, BPF_SOCK_OPS_TCP_CONNECT_CB,
        BPF_SOCK_OPS_TIMEOUT_INIT, bpf_sock_ops,
    },
    helpers::{bpf_get_socket_cookie, bpf_ktime_get_ns, bpf_tcp_sock},
    programs::SockOpsContext,
};
use observer_common::{
    abi::{
        loss::Count,
        socket::{
            ADOPTED, Closed, FIN_RECEIVED, FIN_SENT, RETRANSMITTING, ROLE_CLIENT, ROLE_SERVER,
            ROLE_UNKNOWN, Socket, WAS_ESTABLISHED, state,
        },
    },
    packet::mapped,
};

use super::{
    ledger,
    maps::{EVENTS, LISTENER, REQUESTS, SOCKETS},
    skb::{INET6, address as address_of, field},
    stream::refresh,
};

/// Looks at one callback.
#[inline(always)]
pub(super) fn observe(ctx: &SockOpsContext) {
    match ctx.op() {
        BPF_SOCK_OPS_TCP_CONNECT_CB => open(ctx),
        BPF_SOCK_OPS_TIMEOUT_INIT if !is_full(ctx) => request(ctx),
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB => establish(ctx, ROLE_CLIENT),
        BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB => establish(ctx, ROLE_SERVER),
        BPF_SOCK_OPS_STATE_CB => change(ctx),
        _ => {}
    }
}

/// A request socket is not a full one; it has its child's cookie already.
#[inline(always)]
fn is_full(ctx: &SockOpsContext) -> bool {
    // SAFETY: the kernel hands every run a valid context.
    unsafe { field!(ctx.ops, bpf_sock_ops, is_fullsock) != 0 }
}

#[inline(always)]
fn cookie(ctx: &SockOpsContext) -> u64 {
    // SAFETY: the context is valid.
    unsafe { bpf_get_socket_cookie(ctx.ops.cast()) }
}

#[inline(always)]
fn now() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_ns() }
}

/// Connect was called.
#[inline(always)]
fn open(ctx: &SockOpsContext) {
    arm(ctx);
    let mut entry =
        Socket { opened_ns: now(), state: state::SYN_SENT, role: ROLE_CLIENT, ..Socket::EMPTY };
    address(ctx, &mut entry);
    insert(cookie(ctx), &entry);
}

/// A SYN came in.
#[inline(always)]
fn request(ctx: &SockOpsContext) {
    if REQUESTS.insert(cookie(ctx), now(), u64::from(BPF_ANY)).is_err() {
        ledger::count(Count::RequestFailed);
    }
}

/// The handshake is over.
#[inline(always)]
fn establish(ctx: &SockOpsContext, role: u8) {
    let cookie = cookie(ctx);
    arm(ctx);
    if let Some(entry) = SOCKETS.get_ptr_mut(cookie) {
        // SAFETY: the entry is never freed, for the map is preallocated.
        let entry = unsafe { &mut *entry };
        entry.established_ns = now();
        entry.state = state::ESTABLISHED;
        entry.role = role;
        entry.flags = (entry.flags | WAS_ESTABLISHED) & !ADOPTED;
        entry.listener = listener(role);
        address(ctx, entry);
        return;
    }
    // Its beginning is not known when it is older than the observer, came by a SYN
    // cookie or fast open, or when a flood of SYNs pushed it out.
    let mut entry = Socket {
        established_ns: now(),
        state: state::ESTABLISHED,
        role,
        flags: WAS_ESTABLISHED,
        listener: listener(role),
        ..Socket::EMPTY
    };
    if let Some(opened) = REQUESTS.get_ptr(cookie) {
        // SAFETY: the entry is valid until this run ends.
        entry.opened_ns = unsafe { *opened };
        // It can only be gone already.
        let _gone = REQUESTS.remove(cookie);
    } else if role == ROLE_SERVER {
        ledger::count(Count::RequestUnknown);
    }
    address(ctx, &mut entry);
    insert(cookie, &entry);
}

/// The listener that a server's connection came by.
#[inline(always)]
fn listener(role: u8) -> u64 {
    match LISTENER.get(0) {
        Some(cookie) if role == ROLE_SERVER => *cookie,
        _ => 0,
    }
}

/// The state changed from the first argument to the second.
#[inline(always)]
fn change(ctx: &SockOpsContext) {
    let new = ctx.arg(1) as u8;
    let cookie = cookie(ctx);
    let Some(entry) = SOCKETS.get_ptr_mut(cookie) else { return };
    // SAFETY: the entry is never freed, for the map is preallocated.
    let entry = unsafe { &mut *entry };
    entry.state = new;
    match new {
        state::FIN_WAIT1 => entry.flags |= FIN_SENT,
        state::CLOSE_WAIT => entry.flags |= FIN_RECEIVED,
        state::CLOSE => close(ctx, cookie, entry),
        _ => {}
    }
}

/// Ships the final figures and frees the entry. Without room in the ring the entry
/// stays, marked closed, for the next reading of the table.
#[inline(always)]
fn close(ctx: &SockOpsContext, cookie: u64, entry: &mut Socket) {
    if entry.role == ROLE_UNKNOWN {
        entry.flags |= ADOPTED;
    }
    // SAFETY: the context is valid, and the socket checked for null.
    unsafe {
        let socket = (*ctx.ops).__bindgen_anon_2.sk;
        if !socket.is_null() {
            let tcp = bpf_tcp_sock(socket);
            if !tcp.is_null() {
                refresh(entry, tcp);
                if (*tcp).icsk_retransmits > 0 {
                    entry.flags |= RETRANSMITTING;
                }
            }
        }
    }
    let Some(mut slot) = EVENTS.reserve(0) else {
        ledger::count(Count::RingFull);
        entry.closed_ns = now();
        return;
    };
    // In the table the entry is not marked: a reading in between would tell of its end,
    // and the ring once more.
    slot.write(Closed { cookie, socket: *entry }).socket.closed_ns = now();
    slot.submit(0);
    // It can only be gone already.
    let _gone = SOCKETS.remove(cookie);
}

/// Asks for the callbacks of state changes. The call replaces the flags, so those
/// of others are kept.
#[inline(always)]
fn arm(ctx: &SockOpsContext) {
    let flags = ctx.cb_flags() | BPF_SOCK_OPS_STATE_CB_FLAG;
    if ctx.set_cb_flags(flags as i32).is_err() {
        ledger::count(Count::CallbackRefused);
    }
}

#[inline(always)]
fn insert(cookie: u64, entry: &Socket) {
    if SOCKETS.insert(cookie, entry, u64::from(BPF_ANY)).is_err() {
        ledger::count(Count::SocketTableFull);
    }
}

#[inline(always)]
fn address(ctx: &SockOpsContext, entry: &mut Socket) {
    let ops = ctx.ops;
    // SAFETY: the context is valid.
    unsafe {
        entry.local_port = field!(ops, bpf_sock_ops, local_port) as u16;
        entry.remote_port = u32::from_be(field!(ops, bpf_sock_ops, remote_port)) as u16;
        if field!(ops, bpf_sock_ops, family) == INET6 {
            entry.local = address_of!(ops, bpf_sock_ops, local_ip6);
            entry.remote = address_of!(ops, bpf_sock_ops, remote_ip6);
        } else {
            entry.local = mapped(field!(ops, bpf_sock_ops, local_ip4));
            entry.remote = mapped(field!(ops, bpf_sock_ops, remote_ip4));
        }
    }
}
