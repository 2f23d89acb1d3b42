//! TCP segments that carry datagrams: voice where UDP is not let through.

use aya_ebpf::{
    bindings::{__sk_buff, BPF_SK_STORAGE_GET_F_CREATE, bpf_sock},
    helpers::generated::bpf_sk_storage_get,
    programs::SkBuffContext,
};
use observer_common::{
    abi::{
        loss::Count,
        socket::{FRAMED, LOOKS, Socket},
    },
    bytes::Bytes,
    framing::{Course, Found, Framing, Step},
    packet::{Ip, Tcp},
};

use super::{
    ledger,
    maps::{COURSES, SOCKETS},
    skb::{Skb, socket_or_count},
    turn::Turn,
    voice::{self, CUT, LOOK, MAX_STOPS, NOWHERE, now},
};

/// Most frames of one packet: 64 KiB of packets of 128 bytes.
const MAX_FRAMES: u32 = 512;

/// What [`begin`] says of a segment without frames.
const NO_FRAMES: u32 = 0;
/// What [`begin`] says of a segment that has frames, or the rest of one.
const FRAMES: u32 = 1;
/// What [`frame`] says when there is none, or when its end does not tell.
const LAST: u64 = 0;

/// What a socket remembers of the datagrams in its stream, by
/// [`observer_common::abi::FlowKey::direction`].
#[repr(C)]
pub(super) struct Courses([Side; 2]);

/// One direction.
#[repr(C)]
struct Side {
    course: Course,
    /// The first words of a packet of media that came in two segments.
    cut: [u32; 3],
}

/// With what is kept of any connection, less than 512 bytes.
const _: () = assert!(size_of::<Courses>() + size_of::<Socket>() < 512);

impl Courses {
    #[inline(always)]
    fn side<'a>(socket: *mut bpf_sock, direction: u32, flags: u32) -> Option<&'a mut Side> {
        // SAFETY: the socket is not null; the kernel asks for no more. What is new is zero,
        // which is a course. Two CPUs may race for it when segments overtake each other: then
        // the stream is given up, and known again.
        unsafe {
            let courses: *mut Self = bpf_sk_storage_get(
                (&raw const COURSES).cast_mut().cast(),
                socket.cast(),
                core::ptr::null_mut(),
                flags.into(),
            )
            .cast();
            if courses.is_null() { None } else { Some(&mut (*courses).0[direction as usize & 1]) }
        }
    }
}

/// The first words of the packet of media that lies at [`CUT`].
#[inline(always)]
pub(super) fn cut(skb: &Skb<'_>, direction: u8) -> Option<[u32; 3]> {
    Some(Courses::side(skb.socket()?, direction.into(), 0)?.cut)
}

/// Looks at a segment of a connection that carries datagrams, or may yet.
#[inline(always)]
pub(super) fn observe<T: Turn, const DIRECTION: u8>(skb: &Skb<'_>) {
    let direction = DIRECTION.into();
    let ctx = skb.ctx.skb.skb;
    if begin(ctx, direction) == NO_FRAMES {
        return;
    }
    let now = now();
    for _ in 0..MAX_STOPS {
        let stop = (T::FRAMES)(ctx, direction, now);
        if stop == NOWHERE {
            return;
        }
        voice::look_at::<T>(skb, stop, direction, now);
    }
    ledger::count(Count::SegmentCap);
}

/// Goes from frame to frame: takes in media, and stops where more is to be looked at.
#[inline(always)]
pub(super) fn frames<T: Turn>(ctx: *mut __sk_buff, direction: u32, now: u64) -> u64 {
    for _ in 0..MAX_FRAMES {
        let found = frame(ctx, direction);
        if found == LAST {
            return NOWHERE;
        }
        let (at, length) = ((found >> 32) as u32, found as u32);
        let told = (T::DATAGRAM)(ctx, at, length, direction, now);
        if told >= LOOK && at != CUT {
            return voice::stop(told, at, length);
        }
    }
    ledger::count(Count::SegmentCap);
    NOWHERE
}

/// A segment with payload.
struct Segment {
    socket: *mut bpf_sock,
    /// TCP sequence number of its first byte.
    sequence: u32,
    /// Where that lies in the packet.
    at: u32,
    /// In bytes.
    length: u32,
}

impl Segment {
    #[inline(always)]
    fn of(skb: &Skb<'_>) -> Option<Self> {
        let ip = Ip::parse(skb).ok()?;
        let Tcp { sequence, length: header } = Tcp::parse(skb.words(ip.transport)?);
        let at = ip.transport.wrapping_add(header);
        let length = skb.length().saturating_sub(at);
        if length == 0 {
            return None;
        }
        Some(Self { socket: socket_or_count(skb)?, sequence, at, length })
    }
}

/// Says whether the segment is one of a stream of datagrams: known before, or from here on.
#[inline(never)]
#[unsafe(no_mangle)]
pub(super) extern "C" fn begin(ctx: *mut __sk_buff, direction: u32) -> u32 {
    let ctx = SkBuffContext::new(ctx);
    let skb = Skb::new(&ctx);
    let Some(segment) = Segment::of(&skb) else { return NO_FRAMES };
    let Segment { socket, sequence, at, length } = segment;
    let Some(entry) = SOCKETS.get_ptr_mut(skb.cookie()) else { return NO_FRAMES };
    // SAFETY: the map is preallocated.
    let looks = unsafe { &mut (*entry).looks };
    let framing = Framing::recognize(&skb, at, length);
    let known = if *looks == FRAMED { Courses::side(socket, direction, 0) } else { None };
    if let Some(Side { course, .. }) = known
        && course.framing() != Framing::None
    {
        if let Some(place) = course.behind(&skb, sequence)
            && (framing != course.framing() || !course.leap(&skb, place, sequence))
            && course.is_proved()
        {
            ledger::count(Count::StreamGap);
        }
        return FRAMES;
    }
    *looks = if *looks == FRAMED { LOOKS } else { looks.saturating_sub(1) };
    if framing == Framing::None {
        return NO_FRAMES;
    }
    let created = Courses::side(socket, direction, BPF_SK_STORAGE_GET_F_CREATE);
    let Some(Side { course, .. }) = created else {
        ledger::count(Count::CandidateFailed);
        return NO_FRAMES;
    };
    course.begin(framing, sequence);
    *looks = FRAMED;
    FRAMES
}

/// Goes behind the next frame of a segment. Says where its datagram lies, in the upper half, and
/// how long it is. What began in the segment before and is no media has no length: it cannot be
/// read.
#[inline(never)]
#[unsafe(no_mangle)]
pub(super) extern "C" fn frame(ctx: *mut __sk_buff, direction: u32) -> u64 {
    let ctx = SkBuffContext::new(ctx);
    let skb = Skb::new(&ctx);
    let Some(Segment { socket, sequence, at, length }) = Segment::of(&skb) else { return LAST };
    let Some(Side { course, cut }) = Courses::side(socket, direction, 0) else { return LAST };
    let framing = course.framing();
    let Some((place, offset, left)) = course.next(&skb, sequence, length) else { return LAST };
    let Step::Frame(found) = course.read(place, &skb, at.wrapping_add(offset), left) else {
        return LAST;
    };
    let Found { head, frame, before, at } = found;
    let media = framing.media(head, &frame);
    let (skip, length) =
        media.map_or((frame.skip, frame.length), |media| (media.skip, media.length));
    if before == 0 {
        return place_of(at.wrapping_add(skip), length);
    }
    let Some(media) = media else { return place_of(CUT, 0) };
    *cut = media.words;
    place_of(CUT, length)
}

/// As [`frame`] says it.
#[inline(always)]
fn place_of(at: u32, length: u32) -> u64 {
    u64::from(at) << 32 | u64::from(length)
}
