//! Addresses, from the words of a packet.

use std::{
    fmt,
    net::{AddrParseError, IpAddr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use observer_common::packet::Address;

/// An address and a port in 18 bytes, for there are many: `SocketAddr` takes 32.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// An IPv4 address is in its IPv6-mapped form.
    octets: [u8; 16],
    port: u16,
}

impl Endpoint {
    /// From the words of an address, as a packet has them.
    #[must_use]
    pub fn new(words: Address, port: u16) -> Self {
        let mut octets = [0; 16];
        for (chunk, word) in octets.chunks_exact_mut(4).zip(words) {
            chunk.copy_from_slice(&word.to_ne_bytes());
        }
        Self { octets, port }
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The words of the address.
    #[must_use]
    pub fn words(&self) -> Address {
        words(self.octets)
    }
}

impl From<Endpoint> for SocketAddr {
    /// As it is written: an IPv4 address leaves its IPv6-mapped form.
    fn from(end: Endpoint) -> Self {
        Self::new(Ipv6Addr::from(end.octets).to_canonical(), end.port)
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(end: SocketAddr) -> Self {
        Self { octets: mapped(end.ip()), port: end.port() }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::from(*self).fmt(to)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::from(*self).fmt(to)
    }
}

impl FromStr for Endpoint {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, AddrParseError> {
        text.parse::<SocketAddr>().map(Self::from)
    }
}

/// The words of an address, an IPv4 address in its IPv6-mapped form.
#[must_use]
pub fn address_words(ip: IpAddr) -> Address {
    words(mapped(ip))
}

fn mapped(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn words(octets: [u8; 16]) -> Address {
    let mut words = [0; 4];
    for (word, octets) in words.iter_mut().zip(octets.as_chunks::<4>().0) {
        *word = u32::from_ne_bytes(*octets);
    }
    words
}

#[cfg(test)]
mod tests {
    use observer_common::packet::mapped;

    use super::*;

    #[test]
    fn words_are_in_the_order_of_a_packet() {
        let v4 = mapped(u32::from_ne_bytes([10, 1, 2, 3]));
        assert_eq!(Endpoint::new(v4, 5004).to_string(), "10.1.2.3:5004");
        assert_eq!(address_words(IpAddr::from([10, 1, 2, 3])), v4);
        let v6 = [[0x20, 1, 0x0d, 0xb8], [0; 4], [0; 4], [0, 0, 0, 1]].map(u32::from_ne_bytes);
        assert_eq!(Endpoint::new(v6, 9).to_string(), "[2001:db8::1]:9");
    }

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["10.1.2.3:5004", "[2001:db8::1]:9", "[::]:0"] {
            let end: Endpoint = text.parse().unwrap();
            assert_eq!(
                (end.to_string().as_str(), Endpoint::new(end.words(), end.port())),
                (text, end)
            );
            assert_eq!(Endpoint::from(SocketAddr::from(end)), end);
        }
    }
}
