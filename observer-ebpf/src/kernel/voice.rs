//! RTP over UDP: from a packet to its flow.

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_NOEXIST, bpf_sock},
    helpers::{bpf_ktime_get_ns, bpf_spin_lock, bpf_spin_unlock},
    programs::SkBuffContext,
};
use aya_log_ebpf::debug;
use observer_common::{
    abi::{FlowEntry, FlowKey, RECEIVE, bpf_spin_lock as Lock, loss::Count},
    bytes::Bytes,
    packet::{Address, Ip, UDP_HEADER, Udp, mapped},
    rtp::{Header, probation::Candidate},
};

use super::{
    ledger,
    maps::{CANDIDATES, FLOWS},
    skb::{Skb, address, field, socket_or_count},
};

/// Most segments of one datagram: `UDP_MAX_SEGMENTS`, 64 before kernel 6.9 and 128
/// since (`include/linux/udp.h`).
const MAX_SEGMENTS: u32 = 128;

/// `-EEXIST`.
const EXISTS: i32 = -17;

/// One end's view of a datagram.
struct Ends {
    local: Address,
    local_port: u16,
    peer: Address,
    peer_port: u16,
}

impl Ends {
    #[inline(always)]
    fn of<const DIRECTION: u8>(ip: &Ip, udp: &Udp) -> Self {
        if DIRECTION == RECEIVE {
            Self {
                local: ip.destination,
                local_port: udp.destination,
                peer: ip.source,
                peer_port: udp.source,
            }
        } else {
            Self {
                local: ip.source,
                local_port: udp.source,
                peer: ip.destination,
                peer_port: udp.destination,
            }
        }
    }

    /// The peer of a connected socket is what the socket says: the egress header
    /// has been through NAT, the ingress header has not.
    #[inline(always)]
    fn ask(&mut self, socket: *mut bpf_sock, is_v4: bool) {
        // SAFETY: the socket is not null, and these fields may be read of any.
        unsafe {
            // 2 bytes in network order, then, before 5.18 in one field, 2 of nothing.
            let port = field!(socket, bpf_sock, dst_port) as u16;
            if port == 0 {
                return;
            }
            self.peer_port = u16::from_be(port);
            self.peer = if is_v4 {
                mapped(field!(socket, bpf_sock, dst_ip4))
            } else {
                address!(socket, bpf_sock, dst_ip6)
            };
        }
    }
}

/// One RTP packet on its way into its flow.
struct Packet {
    key: FlowKey,
    local: Address,
    local_port: u16,
    header: Header,
    length: u32,
    now: u64,
}

/// Looks at one datagram, which may hold many segments.
#[inline(always)]
pub(super) fn observe<const DIRECTION: u8>(skb: &Skb<'_>, ip: &Ip) {
    let Some([ports, sum, first, timestamp, ssrc]) = skb.head(ip.transport) else {
        return; // shorter than any RTP packet
    };
    let Some(header) = Header::parse([first, timestamp, ssrc]) else { return };
    let Some(socket) = socket_or_count(skb) else { return };
    let udp = Udp::parse([ports, sum]);
    let mut ends = Ends::of::<DIRECTION>(ip, &udp);
    ends.ask(socket, ip.is_v4);
    let payload = ip.transport + UDP_HEADER;
    let length = skb.length().saturating_sub(payload);
    let (count, size) = skb.segments();
    let mut packet = Packet {
        key: FlowKey {
            cookie: skb.cookie(),
            peer: ends.peer,
            ssrc: header.ssrc,
            peer_port: ends.peer_port,
            direction: DIRECTION,
            reserved: 0,
        },
        local: ends.local,
        local_port: ends.local_port,
        header,
        length: if count == 1 { length } else { size },
        // SAFETY: the helper has no preconditions.
        now: unsafe { bpf_ktime_get_ns() },
    };
    advance(skb.ctx, &packet);
    if count == 1 {
        return;
    }
    let (payload, length, size) = (skb.forget(payload), skb.forget(length), skb.forget(size));
    let mut offset = 0;
    for _ in 1..MAX_SEGMENTS {
        offset += size;
        if offset >= length {
            return;
        }
        if let Some(header) = skb.words(payload + offset).and_then(Header::parse) {
            packet.key.ssrc = header.ssrc;
            packet.header = header;
            packet.length = size.min(length - offset);
            advance(skb.ctx, &packet);
        }
    }
    if offset + size < length {
        ledger::count(Count::SegmentCap);
    }
}

/// Takes one RTP packet into its flow, if there is one or this makes one. Not
/// inlined, so that the verifier walks it once for each segment and not once for
/// each path that leads to a segment.
#[inline(never)]
fn advance(ctx: &SkBuffContext, packet: &Packet) {
    if !advance_flow(packet) && probe(packet) {
        announce(ctx, packet.key.ssrc);
        advance_flow(packet);
    }
}

/// A frame of its own, for the stack of all frames together is 512 bytes.
#[inline(never)]
fn announce(ctx: &SkBuffContext, ssrc: u32) {
    debug!(ctx, "voice flow began: ssrc {}", ssrc);
}

/// False when there is no flow for the packet.
#[inline(never)]
fn advance_flow(packet: &Packet) -> bool {
    let Some(entry) = FLOWS.get_ptr_mut(&packet.key) else { return false };
    // SAFETY: the entry is never freed, for the map is preallocated; only the
    // holder of its lock moves the flow.
    unsafe {
        let lock = (&raw mut (*entry).lock).cast();
        bpf_spin_lock(lock);
        (*entry).flow.advance(&packet.header, packet.length, packet.now);
        bpf_spin_unlock(lock);
    }
    true
}

/// A packet without a flow: does it follow the one in probation? Then that one is a
/// flow, and this packet is its second.
#[inline(always)]
fn probe(packet: &Packet) -> bool {
    let Some(candidate) = CANDIDATES.get_ptr_mut(&packet.key) else {
        let next = Candidate::new(&packet.header, packet.length, packet.now);
        match CANDIDATES.insert(&packet.key, &next, u64::from(BPF_ANY)) {
            Ok(()) => ledger::count(Count::CandidateInserted),
            Err(_) => ledger::count(Count::CandidateFailed),
        }
        return false;
    };
    // SAFETY: the entry is valid until this run ends. Two CPUs may race for it: then
    // one packet is not counted, before there is a flow to count it for.
    let candidate = unsafe { &mut *candidate };
    if !candidate.is_confirmed_by(&packet.header) {
        candidate.replace(&packet.header, packet.length, packet.now);
        return false;
    }
    let entry = FlowEntry {
        lock: Lock { val: 0 },
        reserved: [0; 2],
        local_port: packet.local_port,
        local: packet.local,
        flow: candidate.flow(),
    };
    match FLOWS.insert(&packet.key, &entry, u64::from(BPF_NOEXIST)) {
        Ok(()) => {
            if CANDIDATES.remove(&packet.key).is_ok() {
                ledger::count(Count::CandidateRemoved);
            }
            true
        }
        // Another CPU was first: this packet is one more of its flow.
        Err(EXISTS) => true,
        Err(_) => {
            ledger::count(Count::FlowTableFull);
            false
        }
    }
}
