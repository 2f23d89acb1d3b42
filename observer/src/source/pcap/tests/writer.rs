//! Capture files by hand.

/// Writes files in either byte order.
pub(super) struct Writer {
    pub(super) bytes: Vec<u8>,
    big_endian: bool,
}

impl Writer {
    pub(super) fn new(big_endian: bool) -> Self {
        Self { bytes: Vec::new(), big_endian }
    }

    pub(super) fn words(mut self, words: &[u32]) -> Self {
        for word in words {
            let order = if self.big_endian { u32::to_be_bytes } else { u32::to_le_bytes };
            self.bytes.extend(order(*word));
        }
        self
    }

    /// Two 16-bit values in a word's place.
    pub(super) fn halves(self, first: u16, second: u16) -> Self {
        let (first, second) = (u32::from(first), u32::from(second));
        let word = if self.big_endian { first << 16 | second } else { second << 16 | first };
        self.words(&[word])
    }

    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self
    }

    pub(super) fn block(self, kind: u32, body: Self) -> Self {
        let pad = vec![0; body.bytes.len().next_multiple_of(4) - body.bytes.len()];
        let length = (body.bytes.len() + pad.len() + 12) as u32;
        self.words(&[kind, length]).raw(&body.bytes).raw(&pad).words(&[length])
    }

    pub(super) fn section(self) -> Self {
        let body = Self::new(self.big_endian).words(&[0x1A2B_3C4D]).halves(1, 0);
        self.block(0x0A0D_0D0A, body.words(&[u32::MAX, u32::MAX]))
    }

    pub(super) fn interface(self, link: u16, resolution: Option<u8>, offset_s: i64) -> Self {
        let mut body = Self::new(self.big_endian).halves(link, 0).words(&[0]);
        if let Some(resolution) = resolution {
            body = body.halves(9, 1).raw(&[resolution, 0, 0, 0]);
        }
        if offset_s != 0 {
            let order = if self.big_endian { i64::to_be_bytes } else { i64::to_le_bytes };
            body = body.halves(14, 8).raw(&order(offset_s)).halves(0, 0);
        }
        self.block(1, body)
    }

    pub(super) fn packet(self, interface: u32, ticks: u64, frame: &[u8], wire_len: u32) -> Self {
        let body = Self::new(self.big_endian)
            .words(&[interface, (ticks >> 32) as u32, ticks as u32])
            .words(&[frame.len() as u32, wire_len])
            .raw(frame);
        self.block(6, body)
    }
}

/// An IPv4 packet of `length` bytes, told apart by `mark`.
pub(super) fn ip(mark: u8, length: u8) -> Vec<u8> {
    let mut packet = vec![mark; length.into()];
    packet[..4].copy_from_slice(&[0x45, 0, 0, length]);
    packet
}

/// A file of the classic format: seconds, fraction and bytes of each frame.
pub(super) fn pcap(
    magic: u32,
    big_endian: bool,
    link: u32,
    frames: &[(u32, u32, Vec<u8>)],
) -> Vec<u8> {
    let mut file =
        Writer::new(big_endian).words(&[magic]).halves(2, 4).words(&[0, 0, 65_535, link]);
    for (seconds, fraction, frame) in frames {
        let length = frame.len() as u32;
        file = file.words(&[*seconds, *fraction, length, length]);
        if magic == 0xA1B2_CD34 {
            file = file.words(&[1, 0]);
        }
        file = file.raw(frame);
    }
    file.bytes
}
