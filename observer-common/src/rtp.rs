//! RTP (RFC 3550): recognising a stream, and following it.

pub mod bursts;
pub mod clock;
pub mod delay;
pub mod extension;
pub mod flow;
pub mod probation;

/// Length of an RTP header without contributing sources, in bytes.
pub const HEADER: u32 = 12;

/// Payload type of comfort noise (RFC 3389), and the number reserved for it before.
const COMFORT_NOISE: [u8; 2] = [13, 19];

/// Clock of a dynamic payload type before anything is known of it, in Hz: Opus,
/// the codec every WebRTC endpoint has (RFC 7874), runs at this rate (RFC 7587).
pub const DYNAMIC_CLOCK_RATE: u32 = 48_000;

/// The fixed header (RFC 3550 section 5.1), without contributing sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// 0–127.
    pub payload_type: u8,
    /// Start of a talkspurt for audio, end of a frame for video (RFC 3551 section 4.1).
    pub marker: bool,
    /// Modulo 2^16.
    pub sequence: u16,
    /// In ticks of the payload type's clock, modulo 2^32.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
}

impl Header {
    /// Reads the three words of a payload of `length` bytes that may be RTP: version 2,
    /// not RTCP, which shares the port (RFC 5761 section 4: a second octet of 192–223),
    /// and as long as the contributing sources and the header extension that it claims.
    #[inline(always)]
    #[must_use]
    pub const fn parse(words: [u32; 3], length: u32) -> Option<Self> {
        let first = u32::from_be(words[0]);
        let second = first >> 16;
        let words_after = (first >> 24 & 0xf) + (first >> 28 & 1);
        if first >> 30 != 2 || second & 0xe0 == 0xc0 || length < HEADER + 4 * words_after {
            return None;
        }
        Some(Self {
            payload_type: second as u8 & 0x7f,
            marker: second & 0x80 != 0,
            sequence: first as u16,
            timestamp: u32::from_be(words[1]),
            ssrc: u32::from_be(words[2]),
        })
    }
}

/// Whether the first word of a payload is of RTP or RTCP: version 2 (RFC 7983
/// section 7).
#[inline(always)]
#[must_use]
pub const fn may_be_rtp(first: u32) -> bool {
    u32::from_be(first) >> 30 == 2
}

/// Whether the packets of a payload type are comfort noise.
#[inline(always)]
#[must_use]
pub const fn is_comfort_noise(payload_type: u8) -> bool {
    payload_type == COMFORT_NOISE[0] || payload_type == COMFORT_NOISE[1]
}

/// Clock of a payload type in Hz: RFC 3551 tables 4 and 5, and
/// [`DYNAMIC_CLOCK_RATE`] for what they leave open. G.722 (9) samples at 16 kHz
/// and counts at 8 (section 4.5.2).
#[inline(always)]
#[must_use]
pub const fn clock_rate(payload_type: u8) -> u32 {
    match payload_type {
        0..=5 | 7..=9 | 12 | 13 | 15 | 18 | 19 => 8_000,
        6 => 16_000,
        10 | 11 => 44_100,
        14 | 25..=26 | 28 | 31..=34 => 90_000,
        16 => 11_025,
        17 => 22_050,
        _ => DYNAMIC_CLOCK_RATE,
    }
}

/// Whether a payload type means what signalling says, and its clock with it: RFC 3551
/// section 6 leaves open what it does not name.
#[inline(always)]
#[must_use]
pub const fn is_dynamic(payload_type: u8) -> bool {
    !matches!(payload_type, 0..=19 | 25 | 26 | 28 | 31..=34)
}

/// How much a payload type tells of what a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Telling {
    /// Comfort noise: it comes among the packets of any audio codec.
    Nothing,
    /// A dynamic type: a codec's, or that of events among its packets.
    Little,
    /// The codec.
    Codec,
}

/// How much a payload type tells.
#[inline(always)]
#[must_use]
pub const fn telling(payload_type: u8) -> Telling {
    if is_comfort_noise(payload_type) {
        Telling::Nothing
    } else if is_dynamic(payload_type) {
        Telling::Little
    } else {
        Telling::Codec
    }
}

/// Name of the encoding that RFC 3551 gives a static payload type, in lower case.
#[must_use]
pub const fn static_codec(payload_type: u8) -> Option<&'static str> {
    Some(match payload_type {
        0 => "pcmu",
        3 => "gsm",
        4 => "g723",
        5 | 6 | 16 | 17 => "dvi4",
        7 => "lpc",
        8 => "pcma",
        9 => "g722",
        10 | 11 => "l16",
        12 => "qcelp",
        13 => "cn",
        14 => "mpa",
        15 => "g728",
        18 => "g729",
        25 => "celb",
        26 => "jpeg",
        28 => "nv",
        31 => "h261",
        32 => "mpv",
        33 => "mp2t",
        34 => "h263",
        _ => return None,
    })
}

/// Whether a static payload type carries video (RFC 3551 table 5); `None` for
/// the types whose medium only the signalling knows.
#[must_use]
pub const fn is_static_video(payload_type: u8) -> Option<bool> {
    match payload_type {
        0..=18 => Some(false),
        25 | 26 | 28 | 31..=34 => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_fields_are_where_rfc_3550_puts_them() {
        let words = [[0x90, 0xef, 1, 2], [3, 4, 5, 6], [7, 8, 9, 10]].map(u32::from_ne_bytes);
        let header = Header::parse(words, 16).unwrap();
        assert_eq!(
            header,
            Header {
                payload_type: 111,
                marker: true,
                sequence: 0x0102,
                timestamp: 0x0304_0506,
                ssrc: 0x0708_090a,
            }
        );
    }

    #[test]
    fn what_shares_the_port_is_not_rtp() {
        let with = |first: u8, second: u8| {
            Header::parse([u32::from_ne_bytes([first, second, 0, 0]), 0, 0], 76).is_some()
        };
        assert!(with(0x80, 0) && with(0xbf, 0xff) && with(0x80, 191) && with(0x80, 224));
        for rtcp in 192..=223 {
            assert!(!with(0x80, rtcp), "{rtcp}");
        }
        for first in (0..0x80).chain(0xc0..=0xff) {
            assert!(!with(first, 0), "STUN, DTLS, TURN or QUIC: {first:#x}");
        }
    }

    #[test]
    fn a_packet_is_as_long_as_its_header_claims() {
        for (first, length) in [(0x80, 12), (0x8f, 72), (0x90, 16), (0xa3, 24), (0x9f, 76)] {
            let parse =
                |length| Header::parse([u32::from_ne_bytes([first, 0, 0, 0]), 0, 0], length);
            assert!(parse(length).is_some() && parse(length - 1).is_none(), "{first:#x}");
        }
    }

    #[test]
    fn g722_counts_at_8_khz_and_video_at_90() {
        assert_eq!(clock_rate(9), 8_000);
        assert_eq!(clock_rate(34), 90_000);
        assert_eq!(clock_rate(111), 48_000);
        assert_eq!(static_codec(8), Some("pcma"));
        assert_eq!(static_codec(111), None);
    }
}
