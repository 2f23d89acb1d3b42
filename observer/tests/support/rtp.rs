//! RTP packets.

/// Length of the fixed header in bytes.
const HEADER: usize = 12;

/// Timestamp ticks from one packet to the next: 20 ms at 8 kHz.
const TICKS: u32 = 160;

/// A stream to take packets from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    /// Synchronisation source.
    pub(crate) ssrc: u32,
    /// Payload type.
    pub(crate) payload_type: u8,
    /// Bytes after the header.
    pub(crate) payload: usize,
}

impl Stream {
    /// 20 ms of G.711 a packet.
    pub(crate) const fn pcmu(ssrc: u32) -> Self {
        Self { ssrc, payload_type: 0, payload: 160 }
    }

    /// Length of a packet in bytes.
    pub(crate) const fn length(self) -> usize {
        HEADER + self.payload
    }

    /// The packet with this number; its sequence number is the low half of it.
    pub(crate) fn packet(self, number: u32) -> Vec<u8> {
        let mut packet = vec![0x80, self.payload_type];
        packet.extend((number as u16).to_be_bytes());
        packet.extend(number.wrapping_mul(TICKS).to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        packet.resize(self.length(), 0xd5);
        packet
    }
}
