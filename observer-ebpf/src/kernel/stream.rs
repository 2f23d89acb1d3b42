//! TCP segments: what the kernel knows of the connection, kept up with each.

use aya_ebpf::{
    bindings::{BPF_NOEXIST, bpf_sock, bpf_tcp_sock},
    helpers::bpf_tcp_sock as tcp_sock,
};
use observer_common::{
    abi::{
        RECEIVE,
        loss::Count,
        socket::{RESET_RECEIVED, Socket, state},
    },
    bytes::Bytes,
    packet::{Ip, mapped},
};

use super::{
    frames, ledger,
    maps::{LISTENER, SOCKETS},
    skb::{INET6, Skb, address, field, socket_or_count},
    turn::Turn,
};

/// The word of a TCP header that has the flags (RFC 9293 section 3.1), and RST in it.
const FLAGS: u32 = 12;
const RST: u32 = 4 << 16;

/// Looks at one segment, or at many that the kernel handles as one.
#[inline(always)]
pub(super) fn observe<T: Turn, const DIRECTION: u8>(skb: &Skb<'_>, ip: &Ip) {
    let Some(socket) = socket_or_count(skb) else { return };
    // SAFETY: the socket is not null; the helper returns null for what is no full
    // TCP socket, such as a request.
    let tcp = unsafe { tcp_sock(socket) };
    if tcp.is_null() {
        return;
    }
    let reset = DIRECTION == RECEIVE
        && skb.head(ip.transport + FLAGS).is_some_and(|[word]| u32::from_be(word) & RST != 0);
    let cookie = skb.cookie();
    if let Some(entry) = SOCKETS.get_ptr_mut(cookie) {
        // SAFETY: the entry is never freed, for the map is preallocated; see
        // `Socket` for what two CPUs may do to each other here.
        unsafe {
            refresh(entry, tcp);
            if reset {
                (*entry).flags |= RESET_RECEIVED;
            }
            if (*entry).looks != 0 {
                frames::observe::<T, DIRECTION>(skb);
            }
        }
        return;
    }
    adopt(cookie, socket, tcp, reset);
}

/// Copies what the kernel knows. Its smoothed round trip, and not the callback of each
/// sample, whose arguments are zero before 6.12.
///
/// # Safety
/// Both pointers are valid.
#[inline(always)]
pub(super) unsafe fn refresh(entry: *mut Socket, tcp: *const bpf_tcp_sock) {
    // SAFETY: the caller's.
    unsafe {
        (*entry).srtt_q3_us = (*tcp).srtt_us;
        (*entry).min_rtt_us = (*tcp).rtt_min;
        (*entry).retransmits = (*tcp).total_retrans;
        (*entry).bytes_received = (*tcp).bytes_received;
        (*entry).bytes_acked = (*tcp).bytes_acked;
    }
}

/// The packet that completes a handshake passes here with its listener, right before
/// `sockops` tells of the connection, on the same CPU.
#[inline(always)]
fn remember_listener(cookie: u64) {
    if let Some(slot) = LISTENER.get_ptr_mut(0) {
        // SAFETY: the slot is this CPU's.
        unsafe { *slot = cookie };
    }
}

/// A connection that is older than the observer. Handshakes are not: their packets
/// carry the listener's cookie, or reach `sockops` first.
#[inline(never)]
fn adopt(cookie: u64, socket: *mut bpf_sock, tcp: *mut bpf_tcp_sock, reset: bool) {
    // SAFETY: both are not null.
    let mut entry = unsafe {
        let state = field!(socket, bpf_sock, state) as u8;
        if state == state::LISTEN {
            remember_listener(cookie);
        }
        if matches!(state, state::LISTEN | state::CLOSE | state::SYN_SENT | state::SYN_RECV) {
            return;
        }
        let mut entry = Socket { state, ..Socket::EMPTY };
        refresh(&raw mut entry, tcp);
        entry = entry.adopted();
        entry.local_port = field!(socket, bpf_sock, src_port) as u16;
        entry.remote_port = u16::from_be(field!(socket, bpf_sock, dst_port) as u16);
        if field!(socket, bpf_sock, family) == INET6 {
            entry.local = address!(socket, bpf_sock, src_ip6);
            entry.remote = address!(socket, bpf_sock, dst_ip6);
        } else {
            entry.local = mapped(field!(socket, bpf_sock, src_ip4));
            entry.remote = mapped(field!(socket, bpf_sock, dst_ip4));
        }
        entry
    };
    if reset {
        entry.flags |= RESET_RECEIVED;
    }
    if SOCKETS.insert(cookie, entry, u64::from(BPF_NOEXIST)).is_err() {
        ledger::count(Count::SocketTableFull);
    }
}
