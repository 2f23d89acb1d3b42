//! The first bytes of a frame, which may come in two segments.

use crate::bytes::{Bytes, negative};

/// Bytes at the start of a frame that say all that is asked: the header of a channel and that
/// of RTP.
pub const HEAD: u32 = 16;

/// The first bytes of a frame, as far as they came.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// In network order: the first byte is the highest.
    bytes: [u64; 2],
    /// How many came.
    pub(super) came: u32,
    reserved: u32,
}

impl Head {
    pub(super) const NONE: Self = Self { bytes: [0; 2], came: 0, reserved: 0 };

    /// With the next `left` bytes of the stream, which lie at `at`.
    #[inline(always)]
    pub(super) fn read<B: Bytes>(&self, packet: &B, at: u32, left: u32) -> Self {
        if self.came == 0
            && left >= HEAD
            && let Some(words) = packet.words(at)
        {
            return Self::of(words);
        }
        self.append(packet, at, left)
    }

    /// As they lie in memory.
    #[inline(always)]
    pub(super) const fn words(&self) -> [u32; 4] {
        let [first, last] = self.bytes;
        [
            ((first >> 32) as u32).to_be(),
            (first as u32).to_be(),
            ((last >> 32) as u32).to_be(),
            (last as u32).to_be(),
        ]
    }

    #[inline(always)]
    const fn of(words: [u32; 4]) -> Self {
        let [first, second, third, fourth] = words;
        Self { bytes: [pair(first, second), pair(third, fourth)], came: HEAD, reserved: 0 }
    }

    /// Byte by byte: it is not wholly there, or begins in another segment. Without a branch,
    /// for the eBPF verifier walks two ways through a loop as two to the power of its length.
    /// So what lies behind the `left` bytes is read too, and counts for nothing.
    #[inline(never)]
    fn append<B: Bytes>(&self, packet: &B, at: u32, left: u32) -> Self {
        let [mut upper, mut lower] = self.bytes;
        let mut bytes = [0_u64; 2];
        for place in 0..HEAD {
            let ahead = place.wrapping_sub(self.came);
            let has_come = u64::from(negative(ahead) & 0xff);
            let next = u64::from(packet.byte(at.wrapping_add(ahead)));
            let byte = upper >> 56 & has_come | next & !has_come;
            upper = upper << 8 | lower >> 56;
            lower <<= 8;
            bytes = [bytes[0] << 8 | bytes[1] >> 56, bytes[1] << 8 | byte];
        }
        Self { bytes, came: (self.came.saturating_add(left)).min(HEAD), reserved: 0 }
    }
}

/// Two words as they lie in memory, in network order.
#[inline(always)]
const fn pair(upper: u32, lower: u32) -> u64 {
    (u32::from_be(upper) as u64) << 32 | u32::from_be(lower) as u64
}
