//! Datagrams in a TCP stream: where each begins, whatever segments the stream comes in.
//!
//! ICE over TCP puts two bytes of length before each (RFC 4571, RFC 6544 section 10.1).
//! TURN over TCP sends its messages as they are, for each says how long it is (RFC 8489
//! section 6.2.2, RFC 8656 section 12.5). Neither is announced: a stream is known by a frame
//! at the start of a segment, and given up at the first that is none.

mod course;
mod head;

pub use course::{Course, Found, PLACES, Step};
pub use head::HEAD;

use crate::{
    bytes::Bytes,
    demux::Kind,
    rtcp,
    rtp::{HEADER, Header},
    stun::{self, MAGIC_COOKIE},
    turn::{self, CHANNEL_HEADER},
};

/// How the datagrams of a stream are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum Framing {
    /// They are not, or there are none.
    #[default]
    None = 0,
    /// By two bytes of length before each.
    Length = 1,
    /// By their own: STUN messages and channel data.
    Own = 2,
}

/// What the first four bytes of a frame say, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its length in the stream, with what frames it.
    pub size: u32,
    /// Where its datagram begins in it.
    pub skip: u32,
    /// Length of its datagram.
    pub length: u32,
}

/// A packet of media in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Media {
    /// Its first words, as they lie in memory.
    pub words: [u32; 3],
    /// Where it begins in the frame, in bytes.
    pub skip: u32,
    /// Its length in bytes.
    pub length: u32,
}

impl Framing {
    /// How the stream is framed of which `length` bytes of payload begin at `at`, if they
    /// begin with a frame that tells: a STUN message, or RTP that is wholly there.
    #[inline(always)]
    pub fn recognize<B: Bytes>(packet: &B, at: u32, length: u32) -> Self {
        let Some(head) = packet.words(at) else { return Self::None };
        if Self::Length.tells(head, length) {
            Self::Length
        } else if Self::Own.tells(head, length) {
            Self::Own
        } else {
            Self::None
        }
    }

    /// Bytes of a frame that say how long it is.
    #[inline(always)]
    #[must_use]
    pub const fn prefix(self) -> u32 {
        if matches!(self, Self::Length) { 2 } else { 4 }
    }

    /// The frame that begins with this word.
    #[inline(always)]
    #[must_use]
    pub const fn frame(self, first: u32) -> Option<Frame> {
        let first = u32::from_be(first);
        let (upper, lower) = (first >> 16, first & 0xffff);
        match self {
            Self::Length => Some(Frame { size: upper + 2, skip: 2, length: upper }),
            Self::Own if first >> 30 == 0 => {
                let length = stun::HEADER + lower;
                Some(Frame { size: length, skip: 0, length })
            }
            Self::Own if first >> 28 == 4 => {
                let length = CHANNEL_HEADER + lower;
                Some(Frame { size: (length + 3) & !3, skip: 0, length })
            }
            Self::Own | Self::None => None,
        }
    }

    /// The packet of media in a frame that begins with these words, by way of a channel or not.
    #[inline(always)]
    #[must_use]
    pub fn media(self, head: [u32; 4], frame: &Frame) -> Option<Media> {
        let [first, rest @ ..] = head;
        let media = match self {
            Self::Own => {
                let length = turn::channel_data(first, frame.length)?;
                Media { words: rest, skip: CHANNEL_HEADER, length }
            }
            Self::Length | Self::None => {
                Media { words: self.datagram(head), skip: frame.skip, length: frame.length }
            }
        };
        Header::parse(media.words, media.length).is_some().then_some(media)
    }

    /// The first three words of the datagram in a frame that begins with these.
    #[inline(always)]
    #[must_use]
    pub const fn datagram(self, head: [u32; 4]) -> [u32; 3] {
        let [first, second, third, fourth] = head;
        match self {
            Self::Length => [halves(first, second), halves(second, third), halves(third, fourth)],
            Self::Own | Self::None => [first, second, third],
        }
    }

    /// Whether a frame that begins with these words can be one.
    #[inline(always)]
    fn is_frame(self, head: [u32; 4], frame: &Frame) -> bool {
        let [first, second, _] = self.datagram(head);
        match Kind::of(first) {
            Kind::Stun => second == MAGIC_COOKIE.to_be() && is_message(first, frame.length),
            Kind::Channel => matches!(self, Self::Own),
            Kind::Rtp => frame.length >= HEADER,
            Kind::Rtcp => frame.length >= rtcp::HEADER,
            Kind::Dtls => true,
            _ => false,
        }
    }

    /// Whether payload of `length` bytes that begins with these words tells that the stream is
    /// framed so.
    #[inline(always)]
    fn tells(self, head: [u32; 4], length: u32) -> bool {
        let Some(frame) = self.frame(head[0]) else { return false };
        let [first, ..] = self.datagram(head);
        let is_check = matches!(Kind::of(first), Kind::Stun) && self.is_frame(head, &frame);
        is_check || frame.size <= length && self.media(head, &frame).is_some()
    }
}

/// The word that lies over the border of two.
#[inline(always)]
const fn halves(before: u32, after: u32) -> u32 {
    (u32::from_be(before) << 16 | u32::from_be(after) >> 16).to_be()
}

/// Whether a STUN message that begins with this word has this length (RFC 8489 section 5).
#[inline(always)]
const fn is_message(first: u32, length: u32) -> bool {
    let attributes = u32::from_be(first) & 0xffff;
    attributes & 3 == 0 && length == stun::HEADER + attributes
}

#[cfg(test)]
mod tests;
