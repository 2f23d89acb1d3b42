//! The first bytes of a frame, which may come in two segments.

use crate::bytes::{Bytes, negative};

/// Bytes at the start of a frame that say all that is asked: the header of a channel and that
/// of RTP.
pub const HEAD: u32 = 16;

/// The first bytes of a frame, as far as they came.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// As they lie in memory.
    pub(super) words: [u32; 4],
    /// How many came.
    pub(super) came: u32,
}

impl Head {
    pub(super) const NONE: Self = Self { words: [0; 4], came: 0 };

    /// With the next `left` bytes of the stream, which lie at `at`.
    #[inline(always)]
    pub(super) fn read<B: Bytes>(&self, packet: &B, at: u32, left: u32) -> Self {
        if self.came == 0
            && left >= HEAD
            && let Some(words) = packet.words(at)
        {
            return Self { words, came: HEAD };
        }
        self.append(packet, at, left)
    }

    /// Byte by byte: it is not wholly there, or begins in another segment. Without a branch,
    /// for the eBPF verifier walks two ways through a loop as two to the power of its length.
    /// So what lies behind the `left` bytes is read too, and counts for nothing.
    #[inline(never)]
    fn append<B: Bytes>(&self, packet: &B, at: u32, left: u32) -> Self {
        let [first, second, third, fourth] = self.words.map(u32::from_be);
        let [mut upper, mut lower] = [pair(first, second), pair(third, fourth)];
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
        let [upper, lower] = bytes;
        let words = [(upper >> 32) as u32, upper as u32, (lower >> 32) as u32, lower as u32];
        Self { words: words.map(u32::to_be), came: self.came.saturating_add(left).min(HEAD) }
    }
}

#[inline(always)]
const fn pair(upper: u32, lower: u32) -> u64 {
    (upper as u64) << 32 | lower as u64
}
