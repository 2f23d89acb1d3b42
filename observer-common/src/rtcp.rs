//! RTCP (RFC 3550 section 6): what the far end says of what it received. With SRTP only
//! the first header is readable (RFC 3711 section 3.4).

pub mod report;

use crate::bytes::Bytes;

/// Length of a packet's header with the SSRC of its sender, in bytes.
pub const HEADER: u32 = 8;
/// Length of a report block in bytes (section 6.4.1).
pub const BLOCK: u32 = 24;
/// Length of what a sender report says of the sender, in bytes.
pub const SENDER: u32 = 20;
/// Packet type of a sender report.
pub const SENDER_REPORT: u8 = 200;
/// Packet type of a receiver report.
pub const RECEIVER_REPORT: u8 = 201;

/// Least that SRTCP puts behind a packet, in bytes: its index, and a tag of 32 bits.
const MIN_TRAILER: u32 = 8;
/// Packets of a compound that are walked before giving up. Two or three are usual.
const MAX_PACKETS: u32 = 16;

/// One datagram of RTCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compound {
    /// Type of its first packet.
    pub kind: u8,
    /// Report blocks of its first packet, where that is a report; at most 31.
    pub blocks: u32,
    /// Length of its first packet in bytes.
    pub first: u32,
    /// Synchronisation source of who sends it.
    pub ssrc: u32,
    /// Whether it can be read: the lengths of its packets add up to the datagram's.
    /// Encryption hides all lengths but the first.
    pub is_plain: bool,
}

impl Compound {
    /// What is none.
    pub const NONE: Self = Self { kind: 0, blocks: 0, first: 0, ssrc: 0, is_plain: false };

    /// Reads the datagram of `length` bytes that begins at `at`; `None` when it is neither
    /// RTCP nor SRTCP.
    #[inline(always)]
    pub fn read<B: Bytes>(packet: &B, at: u32, length: u32) -> Option<Self> {
        let [head, ssrc] = packet.words(at)?;
        let head = u32::from_be(head);
        let first = packet_length(head)?;
        if first < HEADER || first > length {
            return None;
        }
        let is_plain = adds_up(packet, at, first, length);
        if !is_plain && first + MIN_TRAILER > length {
            return None;
        }
        Some(Self {
            kind: (head >> 16) as u8,
            blocks: head >> 24 & 0x1f,
            first,
            ssrc: u32::from_be(ssrc),
            is_plain,
        })
    }

    /// Where the report blocks begin, in bytes from the start of the datagram; `None` when
    /// there are none, or the first packet is too short for those it claims.
    #[inline(always)]
    #[must_use]
    pub const fn first_block(&self) -> Option<u32> {
        let begin = match self.kind {
            SENDER_REPORT => HEADER + SENDER,
            RECEIVER_REPORT => HEADER,
            _ => return None,
        };
        if self.is_plain && self.blocks > 0 && begin + self.blocks * BLOCK <= self.first {
            Some(begin)
        } else {
            None
        }
    }

    /// Whether its first packet is a sender report that can be read.
    #[inline(always)]
    #[must_use]
    pub const fn is_sender_report(&self) -> bool {
        self.is_plain && self.kind == SENDER_REPORT && self.first >= HEADER + SENDER
    }
}

/// Length of a packet in bytes by its first word, if it is RTCP's: version 2, and a type of
/// 192–223 (RFC 5761 section 4).
#[inline(always)]
const fn packet_length(head: u32) -> Option<u32> {
    if head >> 30 == 2 && head >> 16 & 0xe0 == 0xc0 { Some(4 * (head & 0xffff) + 4) } else { None }
}

/// Whether whole packets follow each other from the end of the first one to that of the
/// datagram.
#[inline(always)]
fn adds_up<B: Bytes>(packet: &B, at: u32, first: u32, length: u32) -> bool {
    let mut done = first;
    for _ in 1..MAX_PACKETS {
        if done >= length {
            break;
        }
        let Some([head]) = packet.words(at.wrapping_add(done)) else { return false };
        let Some(next) = packet_length(u32::from_be(head)) else { return false };
        done = packet.forget(done.wrapping_add(next));
    }
    done == length
}

/// The middle 32 bits of the NTP time in a sender report, which a receiver gives back
/// (section 6.4.1): units of 1/65,536 s. The two words follow [`HEADER`].
#[inline(always)]
#[must_use]
pub const fn middle_of_ntp(time: [u32; 2]) -> u32 {
    u32::from_be(time[0]) << 16 | u32::from_be(time[1]) >> 16
}

/// A report block (section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// The source that is reported on.
    pub ssrc: u32,
    /// Share lost since the report before, in 1/256.
    pub fraction: u8,
    /// Packets lost since the beginning; late and double ones may make it negative.
    pub lost: i32,
    /// Highest sequence number, extended by the number of cycles.
    pub highest: u32,
    /// Interarrival jitter in ticks of the stream's clock.
    pub jitter: u32,
    /// [`middle_of_ntp`] of the last sender report that came, 0 when none did.
    pub last_report: u32,
    /// Time between that and this report, in 1/65,536 s.
    pub delay: u32,
}

impl Block {
    /// Reads the six words of a block.
    #[inline(always)]
    #[must_use]
    pub const fn parse(words: [u32; 6]) -> Self {
        let [ssrc, loss, highest, jitter, last_report, delay] = words;
        let loss = u32::from_be(loss);
        Self {
            ssrc: u32::from_be(ssrc),
            fraction: (loss >> 24) as u8,
            // 24 bits with a sign.
            lost: (loss << 8).cast_signed() >> 8,
            highest: u32::from_be(highest),
            jitter: u32::from_be(jitter),
            last_report: u32::from_be(last_report),
            delay: u32::from_be(delay),
        }
    }
}

#[cfg(test)]
mod tests;
