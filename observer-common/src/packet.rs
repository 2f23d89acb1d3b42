//! From the IP header to the transport header.

use crate::bytes::Bytes;

/// IP protocol number of TCP.
pub const TCP: u8 = 6;
/// IP protocol number of UDP.
pub const UDP: u8 = 17;
/// Length of a UDP header in bytes (RFC 768).
pub const UDP_HEADER: u32 = 8;

/// IPv6 extension headers that are walked before giving up. RFC 8200 section 4.1
/// lists seven; hosts send one or two.
const MAX_EXTENSION_HEADERS: u32 = 6;

/// An IPv6 address, or an IPv4 address in its mapped form (RFC 4291 section
/// 2.5.5.2), in words as they lie in a packet. One form for both, so that a socket
/// that speaks both is one socket.
pub type Address = [u32; 4];

/// The IPv4-mapped form of an address, given as the word that lies in a packet.
#[inline(always)]
#[must_use]
pub const fn mapped(word: u32) -> Address {
    [0, 0, 0xffff_u32.to_be(), word]
}

/// What an IP header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ip {
    /// Where the packet comes from.
    pub source: Address,
    /// Where the packet goes.
    pub destination: Address,
    /// Whether the addresses are IPv4's.
    pub is_v4: bool,
    /// Protocol number of what follows.
    pub protocol: u8,
    /// Where the transport header begins, in bytes from the IP header.
    pub transport: u32,
}

/// Why a packet could not be followed to its transport header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unparsed {
    /// It ends before its headers do.
    Truncated,
    /// Neither IPv4 nor IPv6, or an IPv4 header shorter than 20 bytes.
    NotIp,
    /// A fragment that is not the first: it has no transport header.
    Fragment,
    /// More IPv6 extension headers than are walked.
    ExtensionHeaders,
}

impl Ip {
    /// Reads the IP header at the start of `packet`.
    ///
    /// # Errors
    /// [`Unparsed`] when there is no transport header to be found.
    #[inline(always)]
    pub fn parse<B: Bytes>(packet: &B) -> Result<Self, Unparsed> {
        let header = packet.head::<5>(0).ok_or(Unparsed::Truncated)?;
        let mut ip = match u32::from_be(header[0]) >> 28 {
            4 => Self::parse_v4(&header)?,
            6 => Self::parse_v6(packet, &header)?,
            _ => return Err(Unparsed::NotIp),
        };
        ip.transport = packet.forget(ip.transport);
        Ok(ip)
    }

    /// RFC 791 section 3.1.
    #[inline(always)]
    fn parse_v4(header: &[u32; 5]) -> Result<Self, Unparsed> {
        let words = u32::from_be(header[0]) >> 24 & 0x0f;
        if words < 5 {
            return Err(Unparsed::NotIp);
        }
        if u32::from_be(header[1]) & 0x1fff != 0 {
            return Err(Unparsed::Fragment);
        }
        Ok(Self {
            source: mapped(header[3]),
            destination: mapped(header[4]),
            is_v4: true,
            protocol: (u32::from_be(header[2]) >> 16) as u8,
            transport: if words == 5 { 20 } else { words * 4 },
        })
    }

    /// RFC 8200 sections 3 and 4.
    #[inline(always)]
    fn parse_v6<B: Bytes>(packet: &B, header: &[u32; 5]) -> Result<Self, Unparsed> {
        let [_, next, s0, s1, s2] = *header;
        let [s3, d0, d1, d2, d3] = packet.head(20).ok_or(Unparsed::Truncated)?;
        let ip = Self {
            source: [s0, s1, s2, s3],
            destination: [d0, d1, d2, d3],
            is_v4: false,
            protocol: (u32::from_be(next) >> 8) as u8,
            transport: 40,
        };
        if !Extension::is(ip.protocol) {
            return Ok(ip);
        }
        ip.skip_extensions(packet)
    }

    #[inline(always)]
    fn skip_extensions<B: Bytes>(mut self, packet: &B) -> Result<Self, Unparsed> {
        for _ in 0..MAX_EXTENSION_HEADERS {
            let [start] = packet.words(self.transport).ok_or(Unparsed::Truncated)?;
            let extension = Extension { protocol: self.protocol, start: u32::from_be(start) };
            if extension.is_later_fragment() {
                return Err(Unparsed::Fragment);
            }
            self.protocol = (extension.start >> 24) as u8;
            self.transport += extension.length();
            if !Extension::is(self.protocol) {
                return Ok(self);
            }
        }
        Err(Unparsed::ExtensionHeaders)
    }
}

/// The first four bytes of an IPv6 extension header.
struct Extension {
    protocol: u8,
    start: u32,
}

impl Extension {
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const AUTHENTICATION: u8 = 51;
    const DESTINATION: u8 = 60;

    #[inline(always)]
    fn is(protocol: u8) -> bool {
        matches!(
            protocol,
            Self::HOP_BY_HOP
                | Self::ROUTING
                | Self::FRAGMENT
                | Self::AUTHENTICATION
                | Self::DESTINATION
        )
    }

    #[inline(always)]
    fn is_later_fragment(&self) -> bool {
        self.protocol == Self::FRAGMENT && self.start & 0xfff8 != 0
    }

    /// In bytes. The length octet counts 8-octet units beyond the first, but
    /// 4-octet units beyond the second in an authentication header (RFC 4302
    /// section 2.2), and means nothing in a fragment header.
    #[inline(always)]
    fn length(&self) -> u32 {
        let length = self.start >> 16 & 0xff;
        match self.protocol {
            Self::FRAGMENT => 8,
            Self::AUTHENTICATION => (length + 2) * 4,
            _ => (length + 1) * 8,
        }
    }
}

/// A UDP header (RFC 768).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp {
    /// Port it comes from.
    pub source: u16,
    /// Port it goes to.
    pub destination: u16,
    /// Length of header and payload in bytes, 0 in a jumbogram.
    pub length: u16,
}

impl Udp {
    /// Reads the two words of a UDP header.
    #[inline(always)]
    #[must_use]
    pub const fn parse(header: [u32; 2]) -> Self {
        let [ports, length] = [u32::from_be(header[0]), u32::from_be(header[1])];
        Self {
            source: (ports >> 16) as u16,
            destination: ports as u16,
            length: (length >> 16) as u16,
        }
    }
}

/// What is asked of a TCP header (RFC 9293 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// Sequence number of the first byte behind it.
    pub sequence: u32,
    /// Length of the header with its options in bytes; 20 at least.
    pub length: u32,
}

impl Tcp {
    /// Reads the first four words of a TCP header.
    #[inline(always)]
    #[must_use]
    pub const fn parse(header: [u32; 4]) -> Self {
        let words = u32::from_be(header[3]) >> 28;
        Self { sequence: u32::from_be(header[1]), length: if words < 5 { 20 } else { words * 4 } }
    }
}

#[cfg(test)]
mod tests;
