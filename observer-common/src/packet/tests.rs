use super::*;
use proptest::prelude::*;
use std::vec::Vec;

const V4: [u8; 28] = [
    0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // IPv4
    0x13, 0x8c, 0x13, 0x8e, 0, 8, 0, 0, // UDP 5004 -> 5006
];

fn v6(next: u8, rest: &[u8]) -> Vec<u8> {
    let mut packet = std::vec![0x60, 0, 0, 0, 0, 0, next, 64];
    packet.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    packet.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    packet.extend(rest);
    packet
}

#[test]
fn ipv4_without_options() {
    let ip = Ip::parse(&V4.as_slice()).unwrap();
    assert_eq!(ip.source, mapped(u32::from_ne_bytes([10, 0, 0, 1])));
    assert_eq!(ip.destination, mapped(u32::from_ne_bytes([10, 0, 0, 2])));
    assert_eq!((ip.protocol, ip.transport), (UDP, 20));
    let udp = Udp::parse((&V4[..]).words(ip.transport).unwrap());
    assert_eq!(udp, Udp { source: 5004, destination: 5006, length: 8 });
}

#[test]
fn ipv4_options_move_the_transport_header() {
    let mut packet = V4;
    packet[0] = 0x4f;
    assert_eq!(Ip::parse(&packet.as_slice()).unwrap().transport, 60);
    packet[0] = 0x44;
    assert_eq!(Ip::parse(&packet.as_slice()), Err(Unparsed::NotIp));
}

#[test]
fn only_the_first_fragment_has_a_transport_header() {
    let mut packet = V4;
    packet[6] = 0x20; // more fragments, offset 0
    assert!(Ip::parse(&packet.as_slice()).is_ok());
    packet[7] = 1;
    assert_eq!(Ip::parse(&packet.as_slice()), Err(Unparsed::Fragment));
}

#[test]
fn ipv6_extension_headers_are_walked() {
    let plain = v6(UDP, &[]);
    assert_eq!(Ip::parse(&plain.as_slice()).unwrap().transport, 40);

    let hop_by_hop = [Extension::DESTINATION, 0, 0, 0, 0, 0, 0, 0];
    let destination = [UDP, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let packet = v6(Extension::HOP_BY_HOP, &[&hop_by_hop[..], &destination].concat());
    let ip = Ip::parse(&packet.as_slice()).unwrap();
    assert_eq!((ip.protocol, ip.transport), (UDP, 64));

    let authentication = [UDP, 4, 0, 0];
    let packet = v6(Extension::AUTHENTICATION, &authentication);
    assert_eq!(Ip::parse(&packet.as_slice()).unwrap().transport, 64);
}

#[test]
fn ipv6_fragments_and_endless_extensions_are_told_apart() {
    let first = v6(Extension::FRAGMENT, &[UDP, 0, 0, 1, 0, 0, 0, 9]);
    assert_eq!(Ip::parse(&first.as_slice()).unwrap().transport, 48);
    let later = v6(Extension::FRAGMENT, &[UDP, 0, 0, 9, 0, 0, 0, 9]);
    assert_eq!(Ip::parse(&later.as_slice()), Err(Unparsed::Fragment));

    let endless =
        v6(Extension::DESTINATION, &[Extension::DESTINATION, 0, 0, 0, 0, 0, 0, 0].repeat(9));
    assert_eq!(Ip::parse(&endless.as_slice()), Err(Unparsed::ExtensionHeaders));
    let cut = v6(Extension::DESTINATION, &[Extension::DESTINATION, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(Ip::parse(&cut.as_slice()), Err(Unparsed::Truncated));
}

proptest! {
    #[test]
    fn no_input_reaches_past_its_end(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        if let Ok(ip) = Ip::parse(&bytes.as_slice()) {
            prop_assert!(ip.transport >= 20);
        }
    }
}
