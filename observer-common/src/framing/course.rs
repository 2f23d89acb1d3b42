//! One direction of a TCP connection, followed from frame to frame.

use super::{Frame, Framing, HEAD, head::Head};
use crate::{
    bytes::{Bytes, is_zero, negative},
    demux::Kind,
};

/// Places in the stream where a frame begins that has not come: the end, and gaps that segments
/// left which were lost, or came out of order.
pub const PLACES: usize = 6;

/// The place that has no end.
const END: usize = 0;
/// Frames in a row that other bytes hardly look like: each does so in two of five cases.
const PROOF: u32 = 16;
/// No place.
const NOWHERE: u32 = PLACES as u32;

/// Where a frame begins.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    /// TCP sequence number of the next byte that is wanted.
    next: u32,
    /// TCP sequence number behind the last one. A gap of none is no gap.
    until: u32,
    /// What came of the frame before it.
    head: Head,
}

impl Place {
    const NONE: Self = Self { next: 0, until: 0, head: Head::NONE };

    /// Bytes of a gap that did not come. A frame may reach over its end.
    #[inline(always)]
    const fn missing(&self) -> u32 {
        let missing = self.until.wrapping_sub(self.next);
        missing & !negative(missing)
    }
}

/// The number of a place that is one, so that the eBPF verifier sees it.
#[inline(always)]
const fn bounded(number: u32) -> usize {
    if number < PLACES as u32 { number as usize } else { END }
}

/// All ones where `number` is below `limit`, both of them below 2^31, else 0.
#[inline(always)]
const fn below(number: u32, limit: u32) -> u32 {
    negative(number.wrapping_sub(limit)) & !negative(number)
}

/// How far a direction of a connection has been read.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Course {
    framing: Framing,
    /// Which gap gives way to the next.
    oldest: u32,
    /// Frames that were read; a check makes them [`PROOF`].
    frames: u32,
    places: [Place; PLACES],
}

/// A frame whose beginning has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its first bytes, as they lie in memory, and what comes behind its end.
    pub head: [u32; 4],
    /// What they say.
    pub frame: Frame,
    /// Bytes of it that came in a segment before.
    pub before: u32,
    /// Where the rest lies in this one.
    pub at: u32,
}

const _: () = assert!(size_of::<Course>() == 180);

/// What lies at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A frame.
    Frame(Found),
    /// The segment ends before the frame tells what it is: the next one goes on.
    Cut,
    /// No frame: the stream is not known any more.
    Lost,
}

impl Course {
    /// Of a stream of which nothing is known: all zero.
    pub const NONE: Self =
        Self { framing: Framing::None, oldest: 0, frames: 0, places: [Place::NONE; PLACES] };

    /// How it is framed.
    #[inline(always)]
    #[must_use]
    pub const fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether the stream has proved to be one of datagrams, by a check or by many frames: what is
    /// missing of another is no loss.
    #[inline(always)]
    #[must_use]
    pub const fn is_proved(&self) -> bool {
        self.frames >= PROOF
    }

    /// Begins with the frame at a sequence number.
    #[inline(always)]
    pub fn begin(&mut self, framing: Framing, sequence: u32) {
        self.framing = framing;
        self.frames = 0;
        for place in &mut self.places {
            place.next = sequence;
            place.until = sequence;
            place.head.came = 0;
        }
    }

    /// A place whose next bytes are among the `length` from `sequence` on, of a known stream:
    /// where they lie, and how many of them.
    #[inline(always)]
    #[must_use]
    pub fn next<B: Bytes>(
        &self,
        packet: &B,
        sequence: u32,
        length: u32,
    ) -> Option<(usize, u32, u32)> {
        let number = self.last(packet, |place, end| {
            below(place.next.wrapping_sub(sequence), length) & (!is_zero(place.missing()) | end)
        });
        if number == NOWHERE || matches!(self.framing, Framing::None) {
            return None;
        }
        let number = bounded(number);
        let place = &self.places[number];
        let offset = place.next.wrapping_sub(sequence);
        let left = length.wrapping_sub(offset);
        let left = if number == END { left } else { left.min(place.missing()) };
        Some((number, offset, left))
    }

    /// The place that `sequence` lies behind: bytes are missing before it.
    #[inline(always)]
    #[must_use]
    pub fn behind<B: Bytes>(&self, packet: &B, sequence: u32) -> Option<usize> {
        let number = self.last(packet, |place, end| {
            let ahead = sequence.wrapping_sub(place.next);
            below(ahead, place.missing() & !end | i32::MAX as u32 & end) & !is_zero(ahead)
        });
        (number != NOWHERE).then_some(number as usize)
    }

    /// Goes on with the frame at `sequence`, which lies behind a place; what is missing before
    /// it may come yet. False when another gap gave way, whose frames are not seen if they come.
    #[inline(always)]
    pub fn leap<B: Bytes>(&mut self, packet: &B, behind: usize, sequence: u32) -> bool {
        let mut gap = self.last(packet, |place, end| is_zero(place.missing()) & !end);
        let has_room = gap != NOWHERE;
        if !has_room {
            gap = self.oldest + 1;
            if gap >= PLACES as u32 {
                gap = END as u32 + 1;
            }
            self.oldest = gap;
        }
        let behind = bounded(behind as u32);
        let gap = bounded(packet.forget(gap));
        self.places[gap] = Place { until: sequence, ..self.places[behind] };
        self.places[behind].next = sequence;
        self.places[behind].head.came = 0;
        has_room
    }

    /// The last place that is one, or [`NOWHERE`]. `is_one` says so in all ones, and is told in
    /// all ones that a place is the [`END`]. Without a branch, for the eBPF verifier walks two
    /// ways through a loop as two to the power of its length.
    #[inline(always)]
    fn last<B: Bytes>(&self, packet: &B, is_one: impl Fn(&Place, u32) -> u32) -> u32 {
        let mut last = NOWHERE;
        for (number, place) in self.places.iter().enumerate() {
            let one = is_one(place, is_zero(number as u32));
            last = last & !one | number as u32 & one;
        }
        packet.forget(last)
    }

    /// Takes in a segment that begins with `sequence`, of which `length` bytes lie at `at`, and
    /// tells of each frame of a known stream. Where segments are missing it goes on with the
    /// frame that a segment begins with, if it does; false when the bytes of one are passed over,
    /// or were not captured.
    pub fn follow<B: Bytes>(
        &mut self,
        packet: &B,
        at: u32,
        sequence: u32,
        length: u32,
        mut tell: impl FnMut(Framing, Found),
    ) -> bool {
        let mut is_followed = true;
        let framing = Framing::recognize(packet, at, length);
        if self.framing == Framing::None {
            self.begin(framing, sequence);
        } else if let Some(place) = self.behind(packet, sequence) {
            let is_read = framing == self.framing && self.leap(packet, place, sequence);
            is_followed = is_read || !self.is_proved();
        }
        let known = self.framing;
        while let Some((place, offset, left)) = self.next(packet, sequence, length) {
            let at = at.wrapping_add(offset);
            let here = packet.length().saturating_sub(at);
            if here == 0 {
                return !self.is_proved();
            }
            let Step::Frame(found) = self.read(place, packet, at, left.min(here)) else { break };
            tell(known, found);
        }
        is_followed
    }

    /// Reads what begins at a place, of which the next `left` bytes lie at `at`, and moves the
    /// place behind it.
    #[inline(always)]
    pub fn read<B: Bytes>(&mut self, place: usize, packet: &B, at: u32, left: u32) -> Step {
        let framing = self.framing;
        let place = &mut self.places[bounded(place as u32)];
        let before = place.head.came;
        let head = place.head.read(packet, at, left);
        let words = head.words;
        if head.came >= framing.prefix() {
            let Some(frame) = framing.frame(words[0]) else { return self.lose() };
            if head.came >= frame.size.min(HEAD) {
                let rest = frame.size.wrapping_sub(before);
                // A frame of nothing (RFC 4571 section 2) keeps a connection alive, so nothing
                // follows at once. There are many of them where zeros are sent that are no frames.
                let is_frame =
                    if frame.length == 0 { rest == left } else { framing.is_frame(words, &frame) };
                if !is_frame {
                    return self.lose();
                }
                place.next = place.next.wrapping_add(rest);
                place.head.came = 0;
                let is_check = matches!(Kind::of(framing.datagram(words)[0]), Kind::Stun);
                self.frames = if is_check { PROOF } else { self.frames.saturating_add(1) };
                return Step::Frame(Found { head: words, frame, before, at });
            }
        }
        place.next = place.next.wrapping_add(left);
        place.head = head;
        Step::Cut
    }

    #[inline(always)]
    fn lose(&mut self) -> Step {
        self.framing = Framing::None;
        Step::Lost
    }
}
