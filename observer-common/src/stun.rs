//! STUN (RFC 8489): the checks by which ICE (RFC 8445) finds a pair of addresses and keeps
//! asking whether it still works.

use crate::bytes::{Bytes, is_zero, negative};

/// Length of the header in bytes.
pub const HEADER: u32 = 20;
/// The second word of every message, as a number.
pub const MAGIC_COOKIE: u32 = 0x2112_a442;
/// Method of a connectivity check, and of a question for one's own address.
pub const BINDING: u16 = 0x001;
/// Longest user name that is kept whole, in bytes. Chromium's and aiortc's have 9, pion's
/// 33, mediasoup's 37; RFC 8445 section 5.3 allows 513.
pub const NAME_ROOM: u32 = 64;

const USERNAME: u32 = 0x0006;
const DATA: u32 = 0x0013;
const USE_CANDIDATE: u32 = 0x0025;

/// Attributes that are walked before giving up. A check of Chromium's has 7, and `USERNAME`
/// is its first.
const MAX_ATTRIBUTES: u32 = 16;

/// What kind of message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Wants an answer.
    Request,
    /// Wants none.
    Indication,
    /// The answer to a request that was granted.
    Success,
    /// The answer to one that was not.
    Error,
}

/// A message's header (section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What kind of message it is.
    pub class: Class,
    /// What is asked for.
    pub method: u16,
    /// Tells which answer belongs to which request; as it lies in the packet.
    pub transaction: [u32; 3],
}

impl Header {
    /// Reads the header of a datagram of `length` bytes: the magic cookie, and a length that
    /// is the datagram's own.
    #[inline(always)]
    #[must_use]
    pub const fn parse(words: [u32; 5], length: u32) -> Option<Self> {
        let [first, cookie, a, b, c] = words;
        let first = u32::from_be(first);
        let (kind, attributes) = (first >> 16, first & 0xffff);
        if kind >> 14 != 0
            || cookie != MAGIC_COOKIE.to_be()
            || attributes % 4 != 0
            || HEADER + attributes != length
        {
            return None;
        }
        let class = match (kind >> 8 & 1, kind >> 4 & 1) {
            (0, 0) => Class::Request,
            (0, _) => Class::Indication,
            (_, 0) => Class::Success,
            _ => Class::Error,
        };
        let method = kind & 0xf | kind >> 1 & 0x70 | kind >> 2 & 0xf80;
        Some(Self { class, method: method as u16, transaction: [a, b, c] })
    }

    /// The 96 bits of the transaction folded into 31, and never 0: few are in flight at once
    /// on a path.
    #[inline(always)]
    #[must_use]
    pub const fn folded(&self) -> u32 {
        let [a, b, c] = self.transaction;
        (a ^ b.rotate_left(11) ^ c.rotate_left(22)) | 1
    }
}

/// A piece of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Where it begins, in bytes; 0 when there is none.
    pub at: u32,
    /// Its length in bytes.
    pub length: u32,
}

impl Span {
    /// What is not there.
    pub const NONE: Self = Self { at: 0, length: 0 };

    /// Whether it is there.
    #[inline(always)]
    #[must_use]
    pub const fn is_some(&self) -> bool {
        self.at != 0
    }

    /// The other one where the mask is all ones, this one where it is 0.
    #[inline(always)]
    const fn or(self, other: Self, mask: u32) -> Self {
        Self {
            at: self.at & !mask | other.at & mask,
            length: self.length & !mask | other.length & mask,
        }
    }
}

/// The attributes that say something about a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// `USERNAME`: in a check the ufrag of who is asked, a colon, and that of who asks
    /// (RFC 8445 section 7.2.2).
    pub username: Span,
    /// `DATA`: what a relay is to pass on, or passed on.
    pub data: Span,
    /// `USE-CANDIDATE`: the controlling side chooses this pair.
    pub nominates: bool,
}

impl Attributes {
    /// Walks the attributes of a message that begins at `at` and is `length` bytes long.
    /// What lies beyond the message, or beyond what was captured, is not there.
    ///
    /// Without a branch: of a loop that has one, kernels up to 6.1 forget where the ways came
    /// together, and walk two to the power of its length.
    #[inline(always)]
    pub fn read<B: Bytes>(packet: &B, at: u32, length: u32) -> Self {
        let (mut username, mut data, mut nominates) = (Span::NONE, Span::NONE, 0);
        let mut left = length.saturating_sub(HEADER);
        let mut at = at.wrapping_add(HEADER);
        for _ in 0..MAX_ATTRIBUTES {
            let head = u32::from_be(packet.word(at));
            let (kind, length) = (head >> 16, head & 0xffff);
            let whole = 4 + ((length + 3) & 0x1_fffc);
            let fits = packet.forget(negative(whole.wrapping_sub(left).wrapping_sub(1)));
            let is = |other: u32| packet.forget(is_zero(kind ^ other) & fits);
            let span = Span { at: at.wrapping_add(4), length };
            username = username.or(span, is(USERNAME));
            data = data.or(span, is(DATA));
            nominates |= is(USE_CANDIDATE);
            at = at.wrapping_add(whole & fits);
            left = left.wrapping_sub(whole) & fits;
        }
        Self { username, data, nominates: nominates != 0 }
    }
}

/// A user name, as far as there is room for it. Aligned so that a copy is no call: there may be
/// none while a path is locked.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
pub struct Name {
    /// Its first [`NAME_ROOM`] bytes, as they lie in the packet; zeros behind its end.
    pub words: [u32; (NAME_ROOM / 4) as usize],
    /// Its whole length in bytes, 0 when there is none.
    pub length: u32,
    /// A hash of what is kept, in all but its lowest two bits, and never 0 where there is a
    /// name. It tells two names apart, not for certain.
    pub hash: u32,
}

impl Name {
    /// No name.
    pub const NONE: Self = Self { words: [0; 16], length: 0, hash: 0 };
    /// The bits of a hash that are not its own.
    pub const SPARE: u32 = 3;

    /// Reads the name at `span`; none where it cannot be read.
    #[inline(always)]
    pub fn read<B: Bytes>(packet: &B, span: Span) -> Self {
        let mut name = Self::NONE;
        name.fill(packet, span);
        name
    }

    /// [`Name::read`], where there is no room for another: this one is [`Name::NONE`].
    #[inline(always)]
    pub fn fill<B: Bytes>(&mut self, packet: &B, span: Span) {
        // FNV-1a (draft-eastlake-fnv) over words.
        const BASIS: u32 = 0x811c_9dc5;
        const PRIME: u32 = 0x0100_0193;
        let mut hash = BASIS ^ span.length;
        let mut left = if span.length < NAME_ROOM { span.length } else { NAME_ROOM };
        for (word, at) in self.words.iter_mut().zip((0_u32..).step_by(4)) {
            if left == 0 {
                break;
            }
            let Some([read]) = packet.words(span.at.wrapping_add(at)) else { return };
            let beyond = 4_u32.saturating_sub(left);
            // Padding may be any bytes.
            *word = (u32::from_be(read) & u32::MAX << (8 * beyond)).to_be();
            hash = (hash ^ *word).wrapping_mul(PRIME);
            left = left.saturating_sub(4);
        }
        self.length = span.length;
        self.hash = if span.length == 0 { 0 } else { (hash | 4) & !Self::SPARE };
    }

    /// The bytes that are kept, and their number.
    #[must_use]
    pub fn bytes(&self) -> ([u8; NAME_ROOM as usize], usize) {
        let mut bytes = [0; NAME_ROOM as usize];
        for (to, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(self.words) {
            *to = word.to_ne_bytes();
        }
        (bytes, self.length.min(NAME_ROOM) as usize)
    }
}

#[cfg(test)]
mod tests;
