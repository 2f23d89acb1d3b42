//! Addresses, from the words of a packet.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use observer_common::packet::Address;

/// The address as it is written: an IPv4 address leaves its IPv6-mapped form.
#[must_use]
pub fn socket_address(words: Address, port: u16) -> SocketAddr {
    let mut octets = [0; 16];
    for (chunk, word) in octets.chunks_exact_mut(4).zip(words) {
        chunk.copy_from_slice(&word.to_ne_bytes());
    }
    SocketAddr::new(Ipv6Addr::from(octets).to_canonical(), port)
}

/// The words of an address, an IPv4 address in its IPv6-mapped form.
#[must_use]
pub fn address_words(ip: IpAddr) -> Address {
    let v6 = match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    let mut words = [0; 4];
    for (word, octets) in words.iter_mut().zip(v6.octets().as_chunks::<4>().0) {
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
        assert_eq!(socket_address(v4, 5004).to_string(), "10.1.2.3:5004");
        assert_eq!(address_words(IpAddr::from([10, 1, 2, 3])), v4);
        let v6 = [[0x20, 1, 0x0d, 0xb8], [0; 4], [0; 4], [0, 0, 0, 1]].map(u32::from_ne_bytes);
        assert_eq!(socket_address(v6, 9).to_string(), "[2001:db8::1]:9");
    }
}
