//! RTP over UDP: from a packet to its flow.

use aya_ebpf::{
    bindings::{__sk_buff, BPF_ANY, bpf_sock},
    helpers::{bpf_ktime_get_ns, bpf_sk_fullsock},
    programs::SkBuffContext,
};
use aya_log_ebpf::{
    debug,
    macro_support::{Level, level_enabled},
};
use observer_common::{
    abi::{Candidate, FlowEntry, FlowKey, RECEIVE, loss::Count},
    bytes::Bytes,
    packet::{Address, Ip, UDP_HEADER, Udp, mapped},
    rtp::{Header, extension, flow::Flow, may_be_rtp, probation},
    turn::{self, CHANNEL_HEADER},
};

use super::{
    flows::{self, Made},
    frames, ledger,
    maps::{CANDIDATES, EXCLUSIONS},
    path, sample,
    skb::{Skb, address, field, socket_or_count},
    turn::Turn,
};

/// Most segments of one datagram: `UDP_MAX_SEGMENTS`, 64 before kernel 6.9 and 128
/// since (`include/linux/udp.h`).
const MAX_SEGMENTS: u32 = 128;

/// What [`datagram`] tells: there is no more to be done.
const DONE: u32 = 0;
/// It is media, of no flow.
const MEDIA: u32 = 1;
/// It may say something of its path.
pub(super) const LOOK: u32 = 2;
/// It is media of a flow, of which more is looked at. The place of the flow is added.
const SAMPLED: u32 = 3;

/// Most times that a walk through the datagrams of a packet stops to look at more.
pub(super) const MAX_STOPS: u32 = 40;
/// A walk has come to its end.
pub(super) const NOWHERE: u64 = 0;
/// Marks a stop at media.
const TO_SAMPLE: u64 = 1 << 63;

/// Where a datagram lies whose beginning came in two segments: what there is of it was kept.
pub(super) const CUT: u32 = u32::MAX;

/// What a candidate is before it is filled in. It lies in `.rodata`, not on the stack.
static NO_CANDIDATE: Candidate = Candidate::EMPTY;

/// One end's view of a datagram.
pub(super) struct Ends {
    pub(super) local: Address,
    pub(super) local_port: u16,
    pub(super) peer: Address,
    pub(super) peer_port: u16,
}

impl Ends {
    #[inline(always)]
    pub(super) fn of(direction: u8, ip: &Ip, ports: [u32; 2], socket: *mut bpf_sock) -> Self {
        let udp = Udp::parse(ports);
        let mut ends = if direction == RECEIVE {
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
        };
        ends.ask(socket, ip.is_v4);
        ends
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

    /// The flow of a packet between them.
    #[inline(always)]
    fn key(&self, cookie: u64, direction: u8, header: &Header) -> FlowKey {
        FlowKey {
            cookie,
            peer: self.peer,
            ssrc: header.ssrc,
            peer_port: self.peer_port,
            direction,
            reserved: 0,
        }
    }
}

/// One RTP packet on its way into its flow.
struct Packet {
    key: FlowKey,
    local: Address,
    local_port: u16,
    transport: u8,
    header: Header,
    length: u32,
    now: u64,
}

/// Looks at one datagram, which may hold many segments.
#[inline(always)]
pub(super) fn observe<T: Turn, const DIRECTION: u8>(skb: &Skb<'_>, ip: &Ip) {
    let size = skb.segment_size();
    if size == 0 {
        observe_one::<T>(skb, ip, DIRECTION);
        return;
    }
    let payload = ip.transport + UDP_HEADER;
    let Some([first, second]) = skb.words(payload) else { return };
    let length = skb.length().saturating_sub(payload);
    if !may_be_rtp(first) && !path::is_ours([first, second], size.min(length)) {
        return; // QUIC, mostly: its segments need not be walked
    }
    let now = now();
    let mut offset = 0;
    for _ in 0..MAX_STOPS {
        let stop = (T::SEGMENTS)(skb.ctx.skb.skb, offset, size, DIRECTION.into(), now);
        if stop == NOWHERE {
            return;
        }
        look_at::<T>(skb, stop, DIRECTION.into(), now);
        offset = at_stop(stop).wrapping_sub(payload).wrapping_add(size);
    }
    ledger::count(Count::SegmentCap);
}

/// Goes through the segments of a datagram from `offset` bytes into its payload on: takes in
/// media, and stops where more is to be looked at.
#[inline(always)]
pub(super) fn segments<T: Turn>(
    ctx: *mut __sk_buff,
    mut offset: u32,
    size: u32,
    direction: u32,
    now: u64,
) -> u64 {
    let context = SkBuffContext::new(ctx);
    let skb = Skb::new(&context);
    let Ok(ip) = Ip::parse(&skb) else { return NOWHERE };
    let payload = ip.transport + UDP_HEADER;
    let length = skb.length().saturating_sub(payload);
    for _ in 0..MAX_SEGMENTS {
        if offset >= length {
            return NOWHERE;
        }
        let (at, length) = (payload.wrapping_add(offset), size.min(length - offset));
        let told = (T::DATAGRAM)(ctx, at, length, direction, now);
        if told >= LOOK {
            return stop(told, at, length);
        }
        offset = offset.wrapping_add(size);
    }
    if offset < length {
        ledger::count(Count::SegmentCap);
    }
    NOWHERE
}

/// A datagram that is one packet, as nearly all are. A packet of a known flow makes no
/// call to here or from here: a call costs more than the arithmetic of a packet. One
/// without a flow is treated as the only segment of its datagram.
#[inline(always)]
fn observe_one<T: Turn>(skb: &Skb<'_>, ip: &Ip, direction: u8) {
    let Some([ports, sum, first, timestamp, ssrc]) = skb.head(ip.transport) else {
        return; // shorter than any RTP packet
    };
    let payload = ip.transport + UDP_HEADER;
    let length = skb.length().saturating_sub(payload);
    let Some(header) = Header::parse([first, timestamp, ssrc], length) else {
        if path::is_ours([first, timestamp], length) {
            take::<T>(skb, payload, length, direction.into(), now());
        }
        return;
    };
    let Some(socket) = socket_or_count(skb) else { return };
    let mut key = Ends::of(direction, ip, [ports, sum], socket).key(0, direction, &header);
    // The clock costs as much as a look-up, and a flow that nobody asks about does without.
    // But it waits for the memory that was asked for before it: after a look-up that no cache
    // answers it costs the other flows a fifth more. So it comes after the look-up only where
    // there may be such a flow.
    let early = if may_be_excluded() { 0 } else { now() };
    match flows::find_near(&mut key, skb, socket, header.sequence) {
        Some((entry, place)) => {
            let now = advance_flow::<T>(entry, &header, length, early);
            if header.sequence.is_multiple_of(extension::SAMPLED) && now != 0 {
                sample::look(skb.ctx.skb.skb, place, payload, now);
            }
        }
        None => {
            take::<T>(skb, payload, length, direction.into(), now());
        }
    }
}

/// Takes in the datagram of `length` bytes at `at` bytes into the packet.
#[inline(always)]
fn take<T: Turn>(skb: &Skb<'_>, at: u32, length: u32, direction: u32, now: u64) {
    let told = (T::DATAGRAM)(skb.ctx.skb.skb, at, length, direction, now);
    if told >= LOOK {
        look_at::<T>(skb, stop(told, at, length), direction, now);
    }
}

/// Where a walk through the datagrams of a packet has stopped, because [`datagram`] told to look
/// at more: in the upper half, and the length or, marked, the place of a flow in the lower.
#[inline(always)]
pub(super) const fn stop(told: u32, at: u32, length: u32) -> u64 {
    match told {
        LOOK => (at as u64) << 32 | length as u64,
        _ => TO_SAMPLE | (at as u64) << 32 | told as u64,
    }
}

#[inline(always)]
const fn at_stop(stop: u64) -> u32 {
    ((stop & !TO_SAMPLE) >> 32) as u32
}

/// Looks at what is at a stop.
#[inline(always)]
pub(super) fn look_at<T: Turn>(skb: &Skb<'_>, stop: u64, direction: u32, now: u64) {
    if stop & TO_SAMPLE == 0 {
        path::look::<T>(skb, at_stop(stop), stop as u32, direction, now);
    } else {
        sample_one(skb.ctx.skb.skb, stop as u32, at_stop(stop), now);
    }
}

/// Looks at more of a packet of media than its header, if [`datagram`] told to.
#[inline(always)]
pub(super) fn sample_one(ctx: *mut __sk_buff, told: u32, at: u32, now: u64) {
    if told >= SAMPLED {
        sample::look(ctx, told - SAMPLED, at, now);
    }
}

/// Takes in the datagram of `length` bytes at `at` bytes into the packet, or [`CUT`], if it is
/// media, by way of a channel or not: a packet whose sequence number is one of those to be
/// sampled has told [`SAMPLED`] and the place of its flow. One that may say something of its
/// path has told to [`LOOK`].
#[inline(always)]
pub(super) fn datagram<T: Turn>(
    ctx: *mut __sk_buff,
    at: u32,
    length: u32,
    direction: u32,
    now: u64,
) -> u32 {
    let ctx = SkBuffContext::new(ctx);
    let mut packet = Packet {
        key: FlowKey { direction: direction as u8, ..FlowKey::NOBODYS },
        local: [0; 4],
        local_port: 0,
        transport: 0,
        header: Header { payload_type: 0, marker: false, sequence: 0, timestamp: 0, ssrc: 0 },
        length,
        now,
    };
    let at = open(&ctx, at, &mut packet.length);
    let told = read(&ctx, at, &mut packet);
    if told == MEDIA && locate(&ctx, &mut packet) { advance::<T>(&ctx, &packet) } else { told }
}

/// Opens channel data that holds media: gives where that lies, and sets its length.
#[inline(never)]
fn open(ctx: &SkBuffContext, at: u32, length: &mut u32) -> u32 {
    let skb = Skb::new(ctx);
    let inner = at.wrapping_add(CHANNEL_HEADER);
    if at != CUT
        && let Some([first]) = skb.words(at)
        && let Some(inner_length) = turn::channel_data(first, *length)
        && skb.words(inner).is_some_and(|words| Header::parse(words, inner_length).is_some())
    {
        *length = inner_length;
        return inner;
    }
    at
}

/// Reads the header of a packet of media. What is none may say something of its path.
#[inline(never)]
fn read(ctx: &SkBuffContext, at: u32, packet: &mut Packet) -> u32 {
    let skb = Skb::new(ctx);
    let words = if at == CUT { frames::cut(&skb, packet.key.direction) } else { skb.words(at) };
    let Some(words) = words else { return DONE };
    if let Some(header) = Header::parse(words, packet.length) {
        packet.header = header;
        return MEDIA;
    }
    let [first, second, _] = words;
    if path::is_ours([first, second], packet.length) { LOOK } else { DONE }
}

/// Finds whose the packet is. A frame of its own, as is the one before: what is needed in the
/// course of it is not needed behind it.
#[inline(never)]
fn locate(ctx: &SkBuffContext, packet: &mut Packet) -> bool {
    let skb = Skb::new(ctx);
    let direction = packet.key.direction;
    let Some(socket) = socket_or_count(&skb) else { return false };
    let Ok(ip) = Ip::parse(&skb) else { return false };
    let Some(ports) = skb.head(ip.transport) else { return false };
    packet.transport = ip.protocol;
    let ends = Ends::of(direction, &ip, ports, socket);
    packet.key = ends.key(skb.cookie(), direction, &packet.header);
    (packet.local, packet.local_port) = (ends.local, ends.local_port);
    true
}

/// Takes one RTP packet into its flow, if there is one or this makes one. Not
/// inlined, so that the verifier walks it once for each segment and not once for
/// each path that leads to a segment.
#[inline(never)]
fn advance<T: Turn>(ctx: &SkBuffContext, packet: &Packet) -> u32 {
    let told = advance_flow_apart::<T>(packet);
    if told != MEDIA || !probe(ctx, packet) {
        return told;
    }
    announce(ctx, packet.key.ssrc, packet.now);
    advance_flow_apart::<T>(packet)
}

/// [`advance_flow`] by a call; [`MEDIA`] when there is no flow for the packet.
#[inline(never)]
fn advance_flow_apart<T: Turn>(packet: &Packet) -> u32 {
    let Some((entry, place)) = flows::find(&packet.key) else { return MEDIA };
    let now = advance_flow::<T>(entry, &packet.header, packet.length, packet.now);
    let is_sampled = now != 0 && packet.header.sequence.is_multiple_of(extension::SAMPLED);
    if is_sampled { SAMPLED + place } else { DONE }
}

/// `CLOCK_MONOTONIC`, in ns.
#[inline(always)]
pub(super) fn now() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_ns() }
}

/// A frame of its own, for the stack of all frames together is 512 bytes.
#[inline(never)]
fn announce(ctx: &SkBuffContext, ssrc: u32, now: u64) {
    if level_enabled(Level::Debug) && ledger::may_log(now) {
        debug!(ctx, "voice flow began: ssrc {}", ssrc);
    }
}

/// Takes a packet into its flow, and gives its time; 0 if nobody asks about the flow. The
/// time is asked for when `now` is 0.
#[inline(always)]
fn advance_flow<T: Turn>(entry: *mut FlowEntry, header: &Header, length: u32, now: u64) -> u64 {
    // SAFETY: the table is an array, so an entry is memory for as long as the map is. User
    // space removes a flow after long silence only; a packet that ends the silence in that
    // very moment may go into whatever the entry holds next.
    unsafe {
        if (*entry).excluded != 0 {
            return 0;
        }
        let now = if now == 0 { self::now() } else { now };
        if let Some(turn) = T::begin(entry) {
            (*entry).flow.advance(header, length, now);
            T::end(entry, turn);
        } else {
            put_aside(entry, length);
        }
        now
    }
}

#[inline(always)]
fn may_be_excluded() -> bool {
    // SAFETY: the word is valid; user space writes it.
    EXCLUSIONS.get_ptr(0).is_some_and(|word| unsafe { word.read_volatile() } != 0)
}

/// Counts a packet whose turn did not come: its place in the order stays unknown.
#[inline(always)]
unsafe fn put_aside(entry: *mut FlowEntry, length: u32) {
    ledger::count(Count::FlowContended);
    // SAFETY: the caller's; both words are aligned.
    unsafe {
        ledger::add(&raw mut (*entry).aside_packets, 1);
        ledger::add(&raw mut (*entry).aside_bytes, u64::from(length));
    }
}

/// A packet without a flow: does it follow the one in probation? Then that one is a
/// flow, and this packet is its second.
#[inline(always)]
fn probe(ctx: &SkBuffContext, packet: &Packet) -> bool {
    let Some(candidate) = CANDIDATES.get_ptr_mut(&packet.key) else {
        if packet.key.direction == RECEIVE && is_raw(ctx) {
            return false;
        }
        if CANDIDATES.insert(&packet.key, &NO_CANDIDATE, u64::from(BPF_ANY)).is_err() {
            ledger::count(Count::CandidateFailed);
            return false;
        }
        ledger::count(Count::CandidateInserted);
        if let Some(candidate) = CANDIDATES.get_ptr_mut(&packet.key) {
            // SAFETY: the entry is valid until this run ends.
            unsafe { hold(&mut *candidate, packet) };
        }
        return false;
    };
    // SAFETY: the entry is valid until this run ends. Two CPUs may race for it: then
    // one packet is not counted, before there is a flow to count it for.
    let candidate = unsafe { &mut *candidate };
    if !probation::confirms(&candidate.flow, &packet.header) {
        hold(candidate, packet);
        return false;
    }
    match flows::make(&packet.key, candidate) {
        Made::New => {
            if CANDIDATES.remove(&packet.key).is_ok() {
                ledger::count(Count::CandidateRemoved);
            }
            true
        }
        // Another CPU was first: this packet is one more of its flow.
        Made::Before => true,
        Made::NoRoom => {
            ledger::count(Count::FlowTableFull);
            // Else the next packet would not follow it, and not be counted.
            hold(candidate, packet);
            false
        }
    }
}

/// Whether the packet is at a raw socket. Such a socket is handed a copy of every
/// datagram that reaches its namespace, so on receipt its flows are those of others,
/// seen twice.
#[inline(always)]
fn is_raw(ctx: &SkBuffContext) -> bool {
    const SOCK_RAW: u32 = 3;
    // SAFETY: the context is valid, and both pointers are checked for null.
    unsafe {
        let socket = (*ctx.skb.skb).__bindgen_anon_2.sk;
        if socket.is_null() {
            return false;
        }
        let full = bpf_sk_fullsock(socket);
        !full.is_null() && field!(full, bpf_sock, type_) == SOCK_RAW
    }
}

/// Holds a packet as the one to be followed.
#[inline(always)]
fn hold(candidate: &mut Candidate, packet: &Packet) {
    candidate.transport = packet.transport;
    candidate.local_port = packet.local_port;
    candidate.local = packet.local;
    candidate.flow = Flow::new(&packet.header, packet.length, packet.now);
}
