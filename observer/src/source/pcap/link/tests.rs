use proptest::prelude::*;

use super::*;

const IPV4: [u8; 20] = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];

fn ipv6() -> Vec<u8> {
    let mut header = vec![0; 40];
    (header[0], header[6]) = (0x60, 59);
    header
}

fn frame(link_header: &[u8], ip: &[u8]) -> Vec<u8> {
    [link_header, ip].concat()
}

fn ethernet(ethertypes: &[u8], ip: &[u8]) -> Vec<u8> {
    frame(&[&[0xAA; 12], ethertypes].concat(), ip)
}

#[test]
fn ethernet_carries_either_version() {
    let v4 = ethernet(&[0x08, 0x00], &IPV4);
    let v6 = ethernet(&[0x86, 0xDD], &ipv6());
    assert_eq!(ip_bytes(LinkType::ETHERNET, &v4), Ok(&IPV4[..]));
    assert_eq!(ip_bytes(LinkType::ETHERNET, &v6), Ok(&ipv6()[..]));
}

#[test]
fn up_to_four_vlan_tags_are_looked_through() {
    let tags: [&[u8]; 5] = [
        &[0x81, 0x00, 0, 1],
        &[0x88, 0xA8, 0, 2],
        &[0x91, 0x00, 0, 3],
        &[0x81, 0x00, 0x20, 4],
        &[0x81, 0x00, 0, 5],
    ];
    for count in 0..=5 {
        // A tag's own type comes first: the address fields are followed by the outermost one.
        let header = [&tags[..count].concat(), &[0x08, 0x00][..]].concat();
        let frame = ethernet(&header, &IPV4);
        let found = ip_bytes(LinkType::ETHERNET, &frame);
        if count <= MAX_VLAN_TAGS {
            assert_eq!(found, Ok(&IPV4[..]), "{count} tags");
        } else {
            assert_eq!(found, Err(Skip::MalformedLinkHeader));
        }
    }
}

#[test]
fn other_ethertypes_are_not_ip() {
    // ARP, LLDP, an 802.3 length.
    for ethertype in [[0x08, 0x06], [0x88, 0xCC], [0x00, 0x26]] {
        let frame = ethernet(&ethertype, &[0; 46]);
        assert_eq!(ip_bytes(LinkType::ETHERNET, &frame), Err(Skip::NonIp));
    }
}

#[test]
fn what_may_carry_ip_unread_is_told_from_what_does_not() {
    for ethertype in UNSUPPORTED_ENCAPSULATIONS {
        let frame = ethernet(&ethertype.to_be_bytes(), &[0; 46]);
        assert_eq!(ip_bytes(LinkType::ETHERNET, &frame), Err(Skip::UnsupportedEncapsulation));
    }
}

#[test]
fn a_pppoe_session_is_looked_into() {
    let session = |start: &[u8], protocol: [u8; 2]| {
        [&[0x88, 0x64], start, &[0x12, 0x34, 0, 22], &protocol[..]].concat()
    };
    let data = [0x11, 0];
    let v4 = ethernet(&session(&data, [0, 0x21]), &IPV4);
    assert_eq!(ip_bytes(LinkType::ETHERNET, &v4), Ok(&IPV4[..]));
    let v6 = ethernet(&session(&data, [0, 0x57]), &ipv6());
    assert_eq!(ip_bytes(LinkType::ETHERNET, &v6), Ok(&ipv6()[..]));
    let tagged = [&[0x81, 0, 0, 7][..], &session(&data, [0, 0x21])].concat();
    assert_eq!(ip_bytes(LinkType::ETHERNET, &ethernet(&tagged, &IPV4)), Ok(&IPV4[..]));
    let control = ethernet(&session(&data, [0xC0, 0x21]), &[9; 20]);
    assert_eq!(ip_bytes(LinkType::ETHERNET, &control), Err(Skip::NonIp));
    for start in [[0x21, 0], [0x11, 9]] {
        let frame = ethernet(&session(&start, [0, 0x21]), &IPV4);
        assert_eq!(ip_bytes(LinkType::ETHERNET, &frame), Err(Skip::MalformedLinkHeader));
    }
    for length in 14..v4.len() - IPV4.len() {
        assert_eq!(ip_bytes(LinkType::ETHERNET, &v4[..length]), Err(Skip::Truncated));
    }
}

#[test]
fn linux_cooked_headers() {
    let v1 = [0, 4, 3, 4, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0x08, 0x00];
    let v2 = [0x86, 0xDD, 0, 0, 0, 0, 0, 1, 3, 4, 4, 6, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(ip_bytes(LinkType::LINUX_SLL, &frame(&v1, &IPV4)), Ok(&IPV4[..]));
    assert_eq!(ip_bytes(LinkType::LINUX_SLL2, &frame(&v2, &ipv6())), Ok(&ipv6()[..]));
    let tagged = frame(&[&v1[..14], &[0x81, 0x00, 0, 9, 0x08, 0x00]].concat(), &IPV4);
    assert_eq!(ip_bytes(LinkType::LINUX_SLL, &tagged), Ok(&IPV4[..]));
}

#[test]
fn raw_ip_is_told_by_its_version() {
    for link in [LinkType::RAW, LinkType::RAW_BSD, LinkType::RAW_OPENBSD] {
        assert_eq!(ip_bytes(link, &IPV4), Ok(&IPV4[..]));
        assert_eq!(ip_bytes(link, &ipv6()), Ok(&ipv6()[..]));
        assert_eq!(ip_bytes(link, &[0x50; 40]), Err(Skip::MalformedIpHeader));
    }
    assert_eq!(ip_bytes(LinkType::IPV4, &IPV4), Ok(&IPV4[..]));
    assert_eq!(ip_bytes(LinkType::IPV6, &ipv6()), Ok(&ipv6()[..]));
    assert_eq!(ip_bytes(LinkType::IPV6, &IPV4), Err(Skip::MalformedIpHeader));
}

#[test]
fn loopback_families_in_both_orders_and_of_every_system() {
    for order in [u32::to_le_bytes, u32::to_be_bytes] {
        let v4 = frame(&order(2), &IPV4);
        assert_eq!(ip_bytes(LinkType::NULL, &v4), Ok(&IPV4[..]));
        for family in [10, 23, 24, 28, 30] {
            let v6 = frame(&order(family), &ipv6());
            assert_eq!(ip_bytes(LinkType::NULL, &v6), Ok(&ipv6()[..]), "family {family}");
        }
        // AppleTalk.
        assert_eq!(ip_bytes(LinkType::NULL, &frame(&order(16), &IPV4)), Err(Skip::NonIp));
    }
    let network_order = frame(&2_u32.to_be_bytes(), &IPV4);
    assert_eq!(ip_bytes(LinkType::LOOP, &network_order), Ok(&IPV4[..]));
    assert_eq!(ip_bytes(LinkType::LOOP, &frame(&[2, 0, 0, 0], &IPV4)), Err(Skip::NonIp));
}

#[test]
fn a_link_type_that_is_not_read_is_named() {
    let radiotap = LinkType(127);
    assert_eq!(ip_bytes(radiotap, &IPV4), Err(Skip::UnsupportedLinkType(radiotap)));
    assert_eq!(radiotap.to_string(), "IEEE 802.11 with radiotap (127)");
    assert_eq!(LinkType(9999).to_string(), "link type 9999");
}

#[test]
fn a_version_that_contradicts_the_ethertype_is_malformed() {
    let frame = ethernet(&[0x08, 0x00], &ipv6());
    assert_eq!(ip_bytes(LinkType::ETHERNET, &frame), Err(Skip::MalformedIpHeader));
}

#[test]
fn length_comes_from_the_header_and_padding_does_not_count() {
    assert_eq!(ip_length(&IPV4, 46), Ok(20));
    let mut v6 = ipv6();
    (v6[5], v6[6]) = (100, 17);
    assert_eq!(ip_length(&v6, 60), Ok(140));
}

#[test]
fn length_of_zero_means_as_long_as_the_frame() {
    let mut big_tcp = IPV4;
    big_tcp[3] = 0;
    assert_eq!(ip_length(&big_tcp, 180_000), Ok(180_000));
    let mut jumbogram = ipv6();
    jumbogram[6] = 0;
    assert_eq!(ip_length(&jumbogram, 180_000), Ok(180_000));
    // "No next header" is a packet of a header alone.
    assert_eq!(ip_length(&ipv6(), 60), Ok(40));
}

#[test]
fn impossible_ip_headers_are_refused() {
    let mut short_header = IPV4;
    short_header[0] = 0x44;
    assert_eq!(ip_length(&short_header, 20), Err(Skip::MalformedIpHeader));
    let mut short_total = IPV4;
    short_total[3] = 19;
    assert_eq!(ip_length(&short_total, 20), Err(Skip::MalformedIpHeader));
    assert_eq!(ip_length(&IPV4[..19], 20), Err(Skip::Truncated));
    assert_eq!(ip_length(&ipv6()[..39], 40), Err(Skip::Truncated));
}

proptest! {
    #[test]
    fn any_frame_of_any_type_yields_its_own_tail_or_a_reason(
        link in prop_oneof![
            prop::sample::select(vec![0_u16, 1, 12, 14, 101, 108, 113, 228, 229, 276]),
            any::<u16>(),
        ],
        frame in prop::collection::vec(any::<u8>(), 0..80),
        rest in any::<u32>(),
    ) {
        let link = LinkType(link);
        match ip_bytes(link, &frame) {
            Ok(ip) => {
                prop_assert!(frame.ends_with(ip));
                if let Ok(length) = ip_length(ip, rest) {
                    prop_assert!(length >= 20);
                }
            }
            Err(Skip::UnsupportedLinkType(named)) => {
                prop_assert_eq!(named, link);
                prop_assert!(!link.is_supported());
            }
            Err(_) => prop_assert!(link.is_supported()),
        }
    }
}
