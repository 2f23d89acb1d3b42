//! TCP streams of a capture that carry datagrams.

use std::collections::{HashMap, hash_map::Entry};

use observer_common::{
    framing::{Course, Found, Framing},
    packet::{Ip, Tcp},
};

use super::paths::End;

/// How far they were read, by source and destination.
#[derive(Debug)]
pub(super) struct Streams {
    most: usize,
    courses: HashMap<(End, End), Course>,
}

/// Payload of a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment<'a> {
    /// The packet.
    pub(super) bytes: &'a [u8],
    /// Where the payload begins in it.
    pub(super) at: u32,
    /// Its length in bytes, of which fewer may have been captured.
    pub(super) length: u32,
    /// TCP sequence number of its first byte.
    pub(super) sequence: u32,
}

impl<'a> Segment<'a> {
    /// That of a packet, if there is any.
    pub(super) fn of(bytes: &'a [u8], ip: &Ip, header: [u32; 4], wire_length: u32) -> Option<Self> {
        let Tcp { sequence, length } = Tcp::parse(header);
        let at = ip.transport.saturating_add(length);
        let length = wire_length.checked_sub(at)?;
        (length != 0).then_some(Self { bytes, at, length, sequence })
    }
}

/// Frames were passed over: they lie behind a gap, were not captured, or the stream found no
/// room.
pub(super) struct PassedOver;

impl Streams {
    /// Follows at most so many.
    pub(super) fn new(most: usize) -> Self {
        Self { most, courses: HashMap::new() }
    }

    /// Takes in a segment, and tells of each frame.
    pub(super) fn take(
        &mut self,
        ends: (End, End),
        segment: &Segment<'_>,
        tell: impl FnMut(Framing, Found),
    ) -> Result<(), PassedOver> {
        let Segment { bytes, at, length, sequence } = *segment;
        let is_full = self.courses.len() >= self.most;
        let mut course = match self.courses.entry(ends) {
            Entry::Occupied(course) => course,
            Entry::Vacant(_) if Framing::recognize(&bytes, at, length) == Framing::None => {
                return Ok(());
            }
            Entry::Vacant(_) if is_full => return Err(PassedOver),
            Entry::Vacant(place) => place.insert_entry(Course::NONE),
        };
        let is_followed = course.get_mut().follow(&bytes, at, sequence, length, tell);
        if course.get().framing() == Framing::None {
            course.remove();
        }
        if is_followed { Ok(()) } else { Err(PassedOver) }
    }
}
