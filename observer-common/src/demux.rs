//! What a datagram on a voice socket carries: one port serves six protocols, and the
//! first byte tells them apart.

use crate::{
    bytes::Bytes,
    dtls,
    rtcp::Compound,
    stun::{self, Attributes, Class, Span},
    turn,
};

/// A protocol by the first byte of its datagrams (RFC 7983 section 7, RFC 9443).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Connectivity checks and relaying: 0–3.
    Stun,
    /// Key agreement of RFC 6189: 16–19.
    Zrtp,
    /// 20–63.
    Dtls,
    /// Data of a TURN channel: 64–79. QUIC may begin so too (RFC 9443 section 3); the
    /// length that follows tells, see [`crate::turn::channel_data`].
    Channel,
    /// 128–191.
    Rtp,
    /// As RTP, with a second byte of 192–223 (RFC 5761 section 4).
    Rtcp,
    /// 80–127 and 192–255.
    Quic,
    /// A byte that is none of theirs.
    Unknown,
}

impl Kind {
    /// That of a datagram with this first word.
    #[inline(always)]
    #[must_use]
    pub const fn of(first: u32) -> Self {
        let first = u32::from_be(first);
        match (first >> 24) as u8 {
            0..=3 => Self::Stun,
            16..=19 => Self::Zrtp,
            20..=63 => Self::Dtls,
            64..=79 => Self::Channel,
            128..=191 if first >> 16 & 0xe0 == 0xc0 => Self::Rtcp,
            128..=191 => Self::Rtp,
            80..=127 | 192..=255 => Self::Quic,
            4..=15 => Self::Unknown,
        }
    }
}

/// What kind of thing a datagram says of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A check.
    Check,
    /// The answer to a check.
    Answer,
    /// Nothing itself, but there is a datagram inside it, by way of a relay.
    Relayed,
    /// A `ClientHello` of DTLS.
    Hello,
    /// RTCP or SRTCP.
    Rtcp,
}

/// What a datagram says of its path. Not an enum with fields: the eBPF verifier refuses to
/// copy those that a variant leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What kind of thing.
    pub what: What,
    /// Of a check, whether it chooses the pair; of an answer, whether it grants.
    pub is_yes: bool,
    /// [`stun::Header::folded`] of a check or an answer, else 0.
    pub transaction: u32,
    /// The user name of a check, or what is inside; else [`Span::NONE`].
    pub span: Span,
    /// RTCP, else [`Compound::NONE`].
    pub compound: Compound,
}

impl Seen {
    /// Reads the datagram that begins at `at` and is `length` bytes long; `None` when it is
    /// media, or says nothing.
    #[inline(always)]
    pub fn read<B: Bytes>(packet: &B, at: u32, length: u32) -> Option<Self> {
        let [first] = packet.words(at)?;
        match Kind::of(first) {
            Kind::Stun => Self::read_stun(packet, at, length),
            Kind::Channel => {
                let length = turn::channel_data(first, length)?;
                let span = Span { at: at.wrapping_add(turn::CHANNEL_HEADER), length };
                Some(Self { span, ..Self::new(What::Relayed) })
            }
            Kind::Dtls if length >= dtls::HEADERS => {
                let is_hello = dtls::is_client_hello(packet.words(at)?, length);
                is_hello.then_some(Self::new(What::Hello))
            }
            Kind::Rtcp => {
                let compound = Compound::read(packet, at, length)?;
                Some(Self { compound, ..Self::new(What::Rtcp) })
            }
            _ => None,
        }
    }

    /// Something of which no more is known.
    #[inline(always)]
    #[must_use]
    pub const fn new(what: What) -> Self {
        Self { what, is_yes: false, transaction: 0, span: Span::NONE, compound: Compound::NONE }
    }

    /// A Binding request without a user name is no check: somebody asks a server for its own
    /// address.
    #[inline(always)]
    fn read_stun<B: Bytes>(packet: &B, at: u32, length: u32) -> Option<Self> {
        let header = stun::Header::parse(packet.words(at)?, length)?;
        let transaction = header.folded();
        let answer = Self { transaction, ..Self::new(What::Answer) };
        match (header.class, header.method) {
            (Class::Success, stun::BINDING) => Some(Self { is_yes: true, ..answer }),
            (Class::Error, stun::BINDING) => Some(answer),
            (Class::Request, stun::BINDING) => {
                let Attributes { username: span, nominates, .. } =
                    Attributes::read(packet, at, length);
                let check = Self { transaction, is_yes: nominates, span, ..Self::new(What::Check) };
                span.is_some().then_some(check)
            }
            (Class::Indication, turn::SEND | turn::DATA) => {
                let span = Attributes::read(packet, at, length).data;
                span.is_some().then_some(Self { span, ..Self::new(What::Relayed) })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn every_first_byte_is_what_rfc_9443_says() {
        let of = |first: u8, second: u8| Kind::of(u32::from_ne_bytes([first, second, 0, 0]));
        for first in 0..=u8::MAX {
            let expected = match first {
                0..4 => Kind::Stun,
                4..16 => Kind::Unknown,
                16..20 => Kind::Zrtp,
                20..64 => Kind::Dtls,
                64..80 => Kind::Channel,
                80..128 | 192.. => Kind::Quic,
                128..192 => Kind::Rtp,
            };
            assert_eq!(of(first, 0), expected, "{first}");
        }
        let rtcp = (0..=u8::MAX).filter(|second| of(0x80, *second) == Kind::Rtcp);
        assert!(rtcp.eq(192..=223));
    }
}
