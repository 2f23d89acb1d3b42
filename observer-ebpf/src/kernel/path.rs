//! What is no media on a voice socket: from a datagram to its path.
//!
//! There are few of these, so they may cost what a packet of media may not: global functions
//! that find everything again, a second map for those in probation, and the kernel's lock.

use core::mem::transmute;

use aya_ebpf::{
    bindings::{__sk_buff, BPF_ANY, BPF_NOEXIST},
    helpers::{bpf_spin_lock, bpf_spin_unlock},
    programs::SkBuffContext,
};
use observer_common::{
    abi::{
        FlowKey, RECEIVE, TRANSMIT,
        loss::Count,
        path::{PathCandidate, PathEntry, PathKey, ReportEntry},
    },
    bytes::Bytes,
    demux::{Kind, Seen, What},
    packet::{Address, Ip},
    path::Path,
    rtcp::{self, BLOCK, Block, Compound},
    stun::{MAGIC_COOKIE, Name, Span},
    turn,
};

use super::{
    ledger,
    maps::{PATH_CANDIDATES, PATHS, PLACES, REPORTS},
    skb::{Skb, socket_or_count},
    turn::Turn,
    voice::{self, Ends, LOOK},
};

/// Report blocks of one packet (RFC 3550 section 6.4.1: five bits).
const MAX_BLOCKS: u32 = 31;

/// [`see`] has looked at the datagram, and there is nothing more in it.
const DONE: u32 = 0;
/// [`see`] found RTCP that can be read, on a path that proved to be one.
const REPORTS_TO_READ: u32 = 1;

/// [`read`] found something that a path takes in.
const TAKE_IN: u32 = 1;

/// `-EEXIST`.
const EXISTS: i32 = -17;

/// What is put into a map, to be filled in there. They lie in `.rodata`, not on the stack.
static NO_CANDIDATE: PathCandidate = PathCandidate::EMPTY;
static NO_REPORT: ReportEntry = ReportEntry::EMPTY;

/// Whether a datagram of `length` bytes that begins with these words, and is no RTP, may say
/// something of its path. They tell nearly everything that is none of ours, QUIC and DNS
/// before all, so that it costs no more than this.
#[inline(always)]
pub(super) fn is_ours([first, second]: [u32; 2], length: u32) -> bool {
    const DTLS_HANDSHAKE: u32 = 0x16fe;
    match Kind::of(first) {
        Kind::Stun => second == MAGIC_COOKIE.to_be(),
        Kind::Dtls => u32::from_be(first) >> 16 == DTLS_HANDSHAKE,
        Kind::Channel => turn::channel_data(first, length).is_some(),
        Kind::Rtcp => true,
        _ => false,
    }
}

/// Looks at the datagram at `at` bytes into the packet, and at the one that may be inside it,
/// by way of a relay.
#[inline(always)]
pub(super) fn look<T: Turn>(skb: &Skb<'_>, mut at: u32, mut length: u32, direction: u32, now: u64) {
    let ctx = skb.ctx.skb.skb;
    let mut next = see(ctx, at, length, direction, now);
    if next > REPORTS_TO_READ {
        (at, length) = (at.wrapping_add(next >> 16), next & 0xffff);
        let told = (T::DATAGRAM)(ctx, at, length, direction, now);
        if told != LOOK {
            voice::sample_one(ctx, told, at, now);
            return;
        }
        next = see(ctx, at, length, direction, now);
    }
    if next == REPORTS_TO_READ {
        let blocks = read_reports(ctx, at, length, direction, now);
        if blocks != DONE {
            read_blocks(ctx, blocks >> 8, blocks & 0xff, now);
        }
    }
}

/// A datagram and whose it is. Small, for the frames behind it are large.
struct Sight {
    key: PathKey,
    local: Address,
    local_port: u16,
    direction: u8,
    /// Where it lies in the packet, or the name of a check that was read, and the length, in
    /// bytes.
    at: u32,
    length: u32,
    now: u64,
    /// As in [`Seen`].
    transaction: u32,
    what: What,
    /// Of [`YES`], [`PLAIN`] and [`KNOWN`].
    flags: u32,
    name: Name,
}

/// [`Sight::flags`]: as in [`Seen`].
const YES: u32 = 1;
/// [`Sight::flags`]: its RTCP can be read.
const PLAIN: u32 = 2;
/// [`Sight::flags`]: its RTCP is of the sender of a known flow.
const KNOWN: u32 = 4;

/// Takes in what is `at` bytes into the packet and at most `size` bytes long. Says where a
/// datagram lies inside it, the offset in the upper half, the length in the lower.
#[inline(never)]
#[unsafe(no_mangle)]
pub(super) extern "C" fn see(
    ctx: *mut __sk_buff,
    at: u32,
    size: u32,
    direction: u32,
    now: u64,
) -> u32 {
    let ctx = SkBuffContext::new(ctx);
    let mut sight = Sight {
        key: PathKey { cookie: 0, peer: [0; 4], peer_port: 0, reserved: [0; 6] },
        local: [0; 4],
        local_port: 0,
        direction: direction as u8,
        at,
        length: size,
        now,
        transaction: 0,
        what: What::Hello,
        flags: 0,
        name: Name::NONE,
    };
    if !locate(&ctx, &mut sight) {
        return DONE;
    }
    let next = read(&ctx, &mut sight);
    if next != TAKE_IN {
        return next;
    }
    if sight.what == What::Check {
        read_name(&ctx, &mut sight);
    }
    blur(&Skb::new(&ctx), &mut sight);
    let is_proved = take(&sight) || probe(&sight);
    if is_proved && has_reports(&sight) { REPORTS_TO_READ } else { DONE }
}

/// Has the verifier forget what it knows of a datagram: it would follow each kind, and each
/// length of a name, through the path by itself.
#[inline(always)]
fn blur(skb: &Skb<'_>, sight: &mut Sight) {
    // SAFETY: what comes back is what went in.
    sight.what = unsafe { transmute::<u8, What>(skb.forget(sight.what as u32) as u8) };
    sight.flags = skb.forget(sight.flags);
    sight.transaction = skb.forget(sight.transaction);
    let name = &mut sight.name;
    for word in &mut name.words {
        *word = skb.forget(*word);
    }
    (name.length, name.hash) = (skb.forget(name.length), skb.forget(name.hash));
}

#[inline(never)]
fn has_reports(sight: &Sight) -> bool {
    sight.what == What::Rtcp && sight.flags & PLAIN != 0
}

/// Finds whose the datagram is. A frame of its own, as are the next three: what is needed in
/// the course of it is not needed behind it.
#[inline(never)]
fn locate(ctx: &SkBuffContext, sight: &mut Sight) -> bool {
    let skb = Skb::new(ctx);
    let found = find(&skb, sight.at, sight.length, sight.direction.into());
    let Some((ends, length)) = found else { return false };
    sight.length = length;
    sight.key.cookie = skb.cookie();
    (sight.key.peer, sight.key.peer_port) = (ends.peer, ends.peer_port);
    (sight.local, sight.local_port) = (ends.local, ends.local_port);
    true
}

/// Reads what it says: [`TAKE_IN`], or where another datagram lies in it, or nothing.
#[inline(never)]
fn read(ctx: &SkBuffContext, sight: &mut Sight) -> u32 {
    let Some(seen) = Seen::read(&Skb::new(ctx), sight.at, sight.length) else { return DONE };
    let Seen { what, is_yes, transaction, span, compound } = seen;
    match what {
        What::Relayed => {
            let offset = span.at.wrapping_sub(sight.at);
            let fits = offset < 1 << 14 && span.length < 1 << 16;
            return if fits { offset << 16 | span.length } else { DONE };
        }
        What::Check => (sight.at, sight.length) = (span.at, span.length),
        What::Rtcp if is_flow(&sight.key, compound.ssrc, sight.direction) => sight.flags |= KNOWN,
        What::Rtcp | What::Answer | What::Hello => {}
    }
    (sight.what, sight.transaction) = (what, transaction);
    sight.flags |= if is_yes { YES } else { 0 } | if compound.is_plain { PLAIN } else { 0 };
    TAKE_IN
}

#[inline(never)]
fn read_name(ctx: &SkBuffContext, sight: &mut Sight) {
    let span = Span { at: sight.at, length: sight.length };
    sight.name.fill(&Skb::new(ctx), span);
}

/// Whether a path carries a flow of this source.
#[inline(never)]
fn is_flow(path: &PathKey, ssrc: u32, direction: u8) -> bool {
    let PathKey { cookie, peer, peer_port, .. } = *path;
    let key = FlowKey { cookie, peer, ssrc, peer_port, direction, reserved: 0 };
    PLACES.get_ptr(&key).is_some()
}

/// The two ends of a datagram, and how much there is of the `size` bytes at `at`.
#[inline(always)]
fn find(skb: &Skb<'_>, at: u32, size: u32, direction: u32) -> Option<(Ends, u32)> {
    let ip = Ip::parse(skb).ok()?;
    let ports = skb.head(ip.transport)?;
    let length = skb.length().saturating_sub(at).min(size);
    let socket = socket_or_count(skb)?;
    Some((Ends::of(direction as u8, &ip, ports, socket), length))
}

#[inline(always)]
fn flow_key(skb: &Skb<'_>, ends: &Ends, ssrc: u32, direction: u8) -> FlowKey {
    FlowKey {
        cookie: skb.cookie(),
        peer: ends.peer,
        ssrc,
        peer_port: ends.peer_port,
        direction,
        reserved: 0,
    }
}

/// Takes a datagram into its path; false when there is none.
#[inline(never)]
fn take(sight: &Sight) -> bool {
    let Some(entry) = PATHS.get_ptr_mut(&sight.key) else { return false };
    // SAFETY: the map is preallocated; user space removes a path after long silence only.
    unsafe {
        bpf_spin_lock((&raw mut (*entry).lock).cast());
        advance(&mut (*entry).path, sight);
        bpf_spin_unlock((&raw mut (*entry).lock).cast());
    }
    true
}

#[inline(always)]
fn advance(path: &mut Path, sight: &Sight) {
    let is_known = sight.flags & KNOWN != 0;
    path.take(&seen(sight), &sight.name, is_known, sight.direction, sight.now);
}

#[inline(always)]
fn seen(sight: &Sight) -> Seen {
    let Sight { what, transaction, flags, .. } = *sight;
    let compound = Compound { is_plain: flags & PLAIN != 0, ..Compound::NONE };
    Seen { is_yes: flags & YES != 0, transaction, compound, ..Seen::new(what) }
}

/// Takes a datagram into a path in probation, and says whether that proved to be one.
#[inline(never)]
fn probe(sight: &Sight) -> bool {
    let candidate = match PATH_CANDIDATES.get_ptr_mut(&sight.key) {
        Some(candidate) => candidate,
        None if Path::may_begin(&seen(sight), sight.flags & KNOWN != 0) => {
            let inserted = PATH_CANDIDATES.insert(&sight.key, &NO_CANDIDATE, u64::from(BPF_ANY));
            let Some(candidate) = PATH_CANDIDATES.get_ptr_mut(&sight.key) else {
                ledger::count(Count::PathCandidateFailed);
                return false;
            };
            if inserted.is_err() {
                ledger::count(Count::PathCandidateFailed);
                return false;
            }
            candidate
        }
        None => return false,
    };
    // SAFETY: the entry is valid until this run ends. Two CPUs may race for it: then a check
    // is not known, before there is a path to know it for.
    let candidate = unsafe { &mut *candidate };
    candidate.local = sight.local;
    candidate.local_port = sight.local_port;
    advance(&mut candidate.path, sight);
    candidate.path.is_proved() && promote(&sight.key, candidate)
}

/// Makes a path of a candidate. One that finds no room stays in probation, and tries again.
#[inline(always)]
fn promote(key: &PathKey, candidate: &PathCandidate) -> bool {
    // The candidate is the image of the entry; it goes from map to map.
    // SAFETY: both types have one layout, and every bit pattern is a value.
    let image = unsafe { &*(&raw const *candidate).cast::<PathEntry>() };
    match PATHS.insert(key, image, u64::from(BPF_NOEXIST)) {
        Err(why) if why != EXISTS => {
            ledger::count(Count::PathTableFull);
            false
        }
        _ => {
            let _gone = PATH_CANDIDATES.remove(key);
            true
        }
    }
}

/// Reads what RTCP says of a flow that this end sends: when it told of it. Of what the far end
/// tells, says where its blocks begin in the packet, and in the lowest byte how many they are.
#[inline(never)]
#[unsafe(no_mangle)]
pub(super) extern "C" fn read_reports(
    ctx: *mut __sk_buff,
    at: u32,
    size: u32,
    direction: u32,
    now: u64,
) -> u32 {
    let ctx = SkBuffContext::new(ctx);
    let skb = Skb::new(&ctx);
    let Some((ends, length)) = find(&skb, at, size, direction) else { return DONE };
    let Some(compound) = Compound::read(&skb, at, length) else { return DONE };
    if direction as u8 == TRANSMIT {
        if compound.is_sender_report()
            && let Some(time) = skb.words(at.wrapping_add(rtcp::HEADER))
        {
            let key = flow_key(&skb, &ends, compound.ssrc, TRANSMIT);
            send(&key, rtcp::middle_of_ntp(time), now);
        }
        return DONE;
    }
    let Some(first) = compound.first_block() else { return DONE };
    at.wrapping_add(first) << 8 | compound.blocks
}

/// Takes in so many report blocks, of which the first is at `at` bytes into the packet. Its
/// frame is small, for that behind it is large.
#[inline(never)]
#[unsafe(no_mangle)]
pub(super) extern "C" fn read_blocks(ctx: *mut __sk_buff, at: u32, blocks: u32, now: u64) -> u32 {
    for number in 0..MAX_BLOCKS {
        if number >= blocks {
            break;
        }
        read_block(ctx, at.wrapping_add(number * BLOCK), now);
    }
    0
}

/// Takes in that this end reported on its flow.
#[inline(never)]
fn send(key: &FlowKey, middle: u32, now: u64) {
    let Some(entry) = report_of(key, true) else { return };
    // SAFETY: the map is preallocated; user space removes reports after long silence only.
    unsafe {
        bpf_spin_lock((&raw mut (*entry).lock).cast());
        (*entry).report.send(middle, now);
        bpf_spin_unlock((&raw mut (*entry).lock).cast());
    }
}

/// Takes in the report block at `at` bytes into the packet.
#[inline(never)]
#[unsafe(no_mangle)]
pub(super) extern "C" fn read_block(ctx: *mut __sk_buff, at: u32, now: u64) -> u32 {
    let ctx = SkBuffContext::new(ctx);
    let skb = Skb::new(&ctx);
    let Some((ends, ..)) = find(&skb, 0, 0, RECEIVE.into()) else { return 0 };
    let Some(words) = skb.words(at) else { return 0 };
    let block = Block::parse(words);
    let key = flow_key(&skb, &ends, block.ssrc, TRANSMIT);
    receive(&key, &block, now);
    0
}

#[inline(never)]
fn receive(key: &FlowKey, block: &Block, now: u64) {
    // Anybody can report on anything: there is room for what this end sends.
    let is_known = PLACES.get_ptr(key).is_some();
    let Some(entry) = report_of(key, is_known) else { return };
    // SAFETY: as in `send`.
    unsafe {
        bpf_spin_lock((&raw mut (*entry).lock).cast());
        (*entry).report.receive(block, now);
        bpf_spin_unlock((&raw mut (*entry).lock).cast());
    }
}

/// The reports on a flow, made if there are none and they may be.
#[inline(always)]
fn report_of(key: &FlowKey, may_begin: bool) -> Option<*mut ReportEntry> {
    if let Some(entry) = REPORTS.get_ptr_mut(key) {
        return Some(entry);
    }
    if !may_begin {
        return None;
    }
    if let Err(why) = REPORTS.insert(key, &NO_REPORT, u64::from(BPF_NOEXIST))
        && why != EXISTS
    {
        ledger::count(Count::ReportTableFull);
        return None;
    }
    REPORTS.get_ptr_mut(key)
}
