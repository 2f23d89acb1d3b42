//! From a captured frame to the IP packet in it.
//!
//! The numbers are those of the tcpdump group's registry of link-layer header types
//! (<https://www.tcpdump.org/linktypes.html>).

use std::fmt;

/// What a capture file says its frames begin with: a `LINKTYPE_` value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback: an address family in the byte order of the host that captured.
    pub const NULL: Self = Self(0);
    /// IEEE 802.3 Ethernet, with or without 802.1Q tags and PPPoE sessions.
    pub const ETHERNET: Self = Self(1);
    /// Raw IP, as a `DLT_` value of most systems that found its way into files.
    pub const RAW_BSD: Self = Self(12);
    /// Raw IP, as OpenBSD's `DLT_` value.
    pub const RAW_OPENBSD: Self = Self(14);
    /// Raw IPv4 or IPv6, told apart by the version field.
    pub const RAW: Self = Self(101);
    /// OpenBSD loopback: an address family in network byte order.
    pub const LOOP: Self = Self(108);
    /// Linux "cooked" capture, what `-i any` wrote for twenty years.
    pub const LINUX_SLL: Self = Self(113);
    /// Raw IPv4.
    pub const IPV4: Self = Self(228);
    /// Raw IPv6.
    pub const IPV6: Self = Self(229);
    /// Linux "cooked" capture, version 2.
    pub const LINUX_SLL2: Self = Self(276);

    /// Whether [`ip_bytes`] reads frames of this type.
    pub const fn is_supported(self) -> bool {
        matches!(
            self,
            Self::NULL
                | Self::ETHERNET
                | Self::RAW_BSD
                | Self::RAW_OPENBSD
                | Self::RAW
                | Self::LOOP
                | Self::LINUX_SLL
                | Self::IPV4
                | Self::IPV6
                | Self::LINUX_SLL2
        )
    }
}

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            0 => "BSD loopback",
            1 => "Ethernet",
            6 => "Token Ring",
            9 => "PPP",
            10 => "FDDI",
            12 | 14 | 101 => "raw IP",
            105 => "IEEE 802.11",
            108 => "OpenBSD loopback",
            113 => "Linux cooked v1",
            127 => "IEEE 802.11 with radiotap",
            187 | 201 => "Bluetooth HCI",
            189 | 220 => "Linux USB",
            228 => "raw IPv4",
            229 => "raw IPv6",
            239 => "Linux NFLOG",
            252 => "Wireshark upper PDU",
            253 => "Linux netlink",
            276 => "Linux cooked v2",
            other => return write!(f, "link type {other}"),
        };
        write!(f, "{name} ({})", self.0)
    }
}

/// Why a frame yields no IP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// It carries something else: ARP, LLDP, spanning tree, ….
    NonIp,
    /// It may carry IP inside something that is not read: MPLS, MACsec, ….
    UnsupportedEncapsulation,
    /// The file's link type is not one of those read here.
    UnsupportedLinkType(LinkType),
    /// The captured bytes end before the fixed part of the IP header does.
    Truncated,
    /// The link-layer header cannot be: more VLAN tags than [`MAX_VLAN_TAGS`], or a PPPoE session
    /// of another version.
    MalformedLinkHeader,
    /// What should be an IP header contradicts itself or the link layer.
    MalformedIpHeader,
}

/// VLAN tags accepted in a row. IEEE 802.1Q allows two (customer in service); some fabrics stack
/// their own on top.
pub const MAX_VLAN_TAGS: usize = 4;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86DD;
/// IEEE 802.1Q customer tag, 802.1ad service tag, and the value stacking had before the standard.
const VLAN_TAGS: [u16; 3] = [0x8100, 0x88A8, 0x9100];
const ETHERTYPE_PPPOE_SESSION: u16 = 0x8864;
/// MPLS to one and to many (RFC 5332), MACsec (IEEE 802.1AE), provider backbone bridging (IEEE
/// 802.1ah), TRILL (RFC 6325), NSH (RFC 8300).
const UNSUPPORTED_ENCAPSULATIONS: [u16; 6] = [0x8847, 0x8848, 0x88E5, 0x88E7, 0x22F3, 0x894F];

/// IPv4 and IPv6 as PPP numbers them (RFC 1332, 2; RFC 5072, 2).
const PPP_IPV4: u16 = 0x0021;
const PPP_IPV6: u16 = 0x0057;
/// Version 1, type 1 and the code of session data (RFC 2516, 4 and 6).
const PPPOE_SESSION_DATA: u16 = 0x1100;

/// Bytes of an IPv4 header without options (RFC 791, 3.1).
const IPV4_HEADER: usize = 20;
/// Bytes of the IPv6 fixed header (RFC 8200, 3).
const IPV6_HEADER: usize = 40;

/// The bytes of `frame` from the IP header on, with whatever pads the frame at its end.
///
/// The version field is checked against what the link layer announced; the rest of the IP header
/// is [`ip_length`]'s.
pub fn ip_bytes(link: LinkType, frame: &[u8]) -> Result<&[u8], Skip> {
    match link {
        LinkType::ETHERNET => {
            let ethertype = be16(frame, 12)?;
            by_ethertype(ethertype, tail(frame, 14)?)
        }
        // Packet type, ARPHRD type, address length, 8 bytes of address, protocol.
        LinkType::LINUX_SLL => {
            let ethertype = be16(frame, 14)?;
            by_ethertype(ethertype, tail(frame, 16)?)
        }
        // Protocol, reserved, interface index, ARPHRD type, packet type, address length, address.
        LinkType::LINUX_SLL2 => {
            let ethertype = be16(frame, 0)?;
            by_ethertype(ethertype, tail(frame, 20)?)
        }
        LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD => match version(frame)? {
            4 | 6 => Ok(frame),
            _ => Err(Skip::MalformedIpHeader),
        },
        LinkType::IPV4 => expect_version(4, frame),
        LinkType::IPV6 => expect_version(6, frame),
        LinkType::NULL => {
            let family = word(frame)?;
            // The order is the capturing host's and no family reaches 65,536.
            let family = if family > 0xFFFF { family.swap_bytes() } else { family };
            by_address_family(family, tail(frame, 4)?)
        }
        LinkType::LOOP => by_address_family(word(frame)?, tail(frame, 4)?),
        other => Err(Skip::UnsupportedLinkType(other)),
    }
}

/// Length in bytes of the IP packet that begins `ip`, as it was on the wire.
///
/// `frame_rest` is how long the frame was on the wire from the IP header on. It stands in where the
/// header gives no length: Linux leaves 0 in a segmentation offload above 64 KiB ("BIG TCP"), and
/// in IPv6 a jumbogram (RFC 2675) does the same.
pub fn ip_length(ip: &[u8], frame_rest: u32) -> Result<u32, Skip> {
    if version(ip)? == 4 {
        let header: &[u8; IPV4_HEADER] = ip.first_chunk().ok_or(Skip::Truncated)?;
        let header_len = u32::from(header[0] & 0x0F) * 4;
        let total = u32::from(u16::from_be_bytes([header[2], header[3]]));
        let length = if total == 0 { frame_rest } else { total };
        if (header_len as usize) < IPV4_HEADER || length < header_len {
            return Err(Skip::MalformedIpHeader);
        }
        Ok(length)
    } else {
        let header: &[u8; IPV6_HEADER] = ip.first_chunk().ok_or(Skip::Truncated)?;
        let payload = u32::from(u16::from_be_bytes([header[4], header[5]]));
        // 59 is "no next header": the one packet that truly has no payload.
        let length =
            if payload == 0 && header[6] != 59 { frame_rest } else { IPV6_HEADER as u32 + payload };
        if (length as usize) < IPV6_HEADER {
            return Err(Skip::MalformedIpHeader);
        }
        Ok(length)
    }
}

fn by_ethertype(mut ethertype: u16, mut rest: &[u8]) -> Result<&[u8], Skip> {
    // A tag is 2 bytes of priority and VLAN id, then the next EtherType.
    for _ in 0..MAX_VLAN_TAGS {
        if !VLAN_TAGS.contains(&ethertype) {
            break;
        }
        ethertype = be16(rest, 2)?;
        rest = tail(rest, 4)?;
    }
    match ethertype {
        ETHERTYPE_IPV4 => expect_version(4, rest),
        ETHERTYPE_IPV6 => expect_version(6, rest),
        ETHERTYPE_PPPOE_SESSION => by_ppp_protocol(rest),
        tag if VLAN_TAGS.contains(&tag) => Err(Skip::MalformedLinkHeader),
        other if UNSUPPORTED_ENCAPSULATIONS.contains(&other) => Err(Skip::UnsupportedEncapsulation),
        _ => Err(Skip::NonIp),
    }
}

/// A PPPoE session header is version, type and code, then 2 bytes each of session, length and
/// PPP's protocol, which PPPoE does not compress (RFC 2516, 7).
fn by_ppp_protocol(session: &[u8]) -> Result<&[u8], Skip> {
    if be16(session, 0)? != PPPOE_SESSION_DATA {
        return Err(Skip::MalformedLinkHeader);
    }
    match be16(session, 6)? {
        PPP_IPV4 => expect_version(4, tail(session, 8)?),
        PPP_IPV6 => expect_version(6, tail(session, 8)?),
        _ => Err(Skip::NonIp),
    }
}

/// IPv4 is 2 everywhere. IPv6 is 24 on NetBSD and OpenBSD, 28 on FreeBSD, 30 on macOS, 10 on Linux,
/// 23 on Windows.
fn by_address_family(family: u32, rest: &[u8]) -> Result<&[u8], Skip> {
    match family {
        2 => expect_version(4, rest),
        10 | 23 | 24 | 28 | 30 => expect_version(6, rest),
        _ => Err(Skip::NonIp),
    }
}

fn expect_version(expected: u8, ip: &[u8]) -> Result<&[u8], Skip> {
    if version(ip)? == expected { Ok(ip) } else { Err(Skip::MalformedIpHeader) }
}

fn version(ip: &[u8]) -> Result<u8, Skip> {
    ip.first().map(|byte| byte >> 4).ok_or(Skip::Truncated)
}

fn word(frame: &[u8]) -> Result<u32, Skip> {
    frame.first_chunk().map(|bytes| u32::from_be_bytes(*bytes)).ok_or(Skip::Truncated)
}

fn be16(bytes: &[u8], at: usize) -> Result<u16, Skip> {
    let pair = tail(bytes, at)?.first_chunk().ok_or(Skip::Truncated)?;
    Ok(u16::from_be_bytes(*pair))
}

fn tail(bytes: &[u8], from: usize) -> Result<&[u8], Skip> {
    bytes.get(from..).ok_or(Skip::Truncated)
}

#[cfg(test)]
mod tests;
