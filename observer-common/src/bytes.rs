//! How a state machine reads a packet, wherever the packet lies.

/// A packet, from its IP header on.
///
/// Headers are read in words of four bytes, as they lie in memory: a field is then
/// a shift of a word, and an address is copied as it is. Byte by byte, the eBPF
/// compiler would keep each byte in a register of its own.
pub trait Bytes {
    /// Length of the packet in bytes.
    fn length(&self) -> u32;

    /// The `N` words at `offset` bytes; `None` when the packet ends before them or
    /// when they cannot be reached.
    fn words<const N: usize>(&self, offset: u32) -> Option<[u32; N]>;

    /// The word at `offset` bytes; 0 when the packet ends before it or it cannot be reached.
    #[inline(always)]
    fn word(&self, offset: u32) -> u32 {
        self.words(offset).map_or(0, |[word]| word)
    }

    /// The byte at `offset` bytes; 0 when the packet ends before it or it cannot be reached.
    fn byte(&self, offset: u32) -> u8;

    /// As [`Bytes::words`], for headers that nearly every packet has near its start:
    /// there may be a faster way to them.
    #[inline(always)]
    fn head<const N: usize>(&self, offset: u32) -> Option<[u32; N]> {
        self.words(offset)
    }

    /// The same offset, of which the eBPF verifier knows nothing any more. It follows
    /// each path to here by the offsets it can tell apart; a bound read again from
    /// memory makes them one.
    #[inline(always)]
    fn forget(&self, offset: u32) -> u32 {
        offset
    }
}

/// All ones for what is negative as a signed number, else 0.
#[inline(always)]
pub(crate) const fn negative(number: u32) -> u32 {
    (number.cast_signed() >> 31).cast_unsigned()
}

/// All ones for 0, and 0 for every number up to 2^31.
#[inline(always)]
pub(crate) const fn is_zero(number: u32) -> u32 {
    negative(number.wrapping_sub(1))
}

impl Bytes for &[u8] {
    fn length(&self) -> u32 {
        u32::try_from(self.len()).unwrap_or(u32::MAX)
    }

    fn words<const N: usize>(&self, offset: u32) -> Option<[u32; N]> {
        let rest = self.get(usize::try_from(offset).ok()?..)?;
        let mut words = [0; N];
        let mut bytes = rest.chunks_exact(4);
        for word in &mut words {
            *word = u32::from_ne_bytes(*bytes.next()?.first_chunk()?);
        }
        Some(words)
    }

    fn byte(&self, offset: u32) -> u8 {
        usize::try_from(offset).ok().and_then(|at| self.get(at)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::Bytes;

    #[test]
    fn reads_stop_at_the_end() {
        let packet: &[u8] = &[1, 2, 3, 4, 5, 6, 7, 8, 9];
        assert_eq!(packet.length(), 9);
        assert_eq!(packet.words(1), Some([[2, 3, 4, 5], [6, 7, 8, 9]].map(u32::from_ne_bytes)));
        assert_eq!(packet.words::<2>(2), None);
        assert_eq!(packet.words::<1>(6), None);
        assert_eq!(packet.words::<1>(u32::MAX), None);
        assert_eq!(packet.words::<0>(9), Some([]));
        assert_eq!([0, 8, 9, u32::MAX].map(|at| packet.byte(at)), [1, 9, 0, 0]);
    }
}
