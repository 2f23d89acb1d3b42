//! A packet of voice.

/// RTP header and 20 ms of G.711.
pub(crate) const PACKET: usize = 172;

/// Ticks of 20 ms at 8 kHz.
const TICKS: u32 = 160;

/// One buffer for all packets, filled in place.
pub(crate) struct Packet([u8; PACKET]);

impl Packet {
    pub(crate) fn new() -> Self {
        let mut bytes = [0xd5; PACKET];
        // Version 2; payload type 8, G.711 A-law (RFC 3551 table 4).
        bytes[..2].copy_from_slice(&[0x80, 8]);
        Self(bytes)
    }

    /// The packet of a stream that follows so many others.
    pub(crate) fn of(&mut self, ssrc: u32, turn: u32) -> &[u8; PACKET] {
        self.0[2..4].copy_from_slice(&(turn as u16).to_be_bytes());
        self.0[4..8].copy_from_slice(&turn.wrapping_mul(TICKS).to_be_bytes());
        self.0[8..12].copy_from_slice(&ssrc.to_be_bytes());
        &self.0
    }
}
