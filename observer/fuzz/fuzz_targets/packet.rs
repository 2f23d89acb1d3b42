//! Bytes as an IP packet, on to its transport header and to RTP.
#![no_main]

use libfuzzer_sys::fuzz_target;
use observer_common::{
    bytes::Bytes,
    packet::{Ip, UDP, UDP_HEADER, Udp, Unparsed, mapped},
    rtp::{Header, may_be_rtp},
};

/// Protocol numbers of the IPv6 extension headers that are walked.
const EXTENSIONS: [u8; 5] = [0, 43, 44, 51, 60];

fuzz_target!(|data: &[u8]| {
    let parsed = Ip::parse(&data);
    match parsed {
        Ok(ip) if ip.is_v4 => check_v4(data, &ip),
        Ok(ip) => check_v6(data, &ip),
        Err(Unparsed::NotIp) => assert!(!matches!(data[0], 0x45..=0x4f | 0x60..=0x6f)),
        Err(Unparsed::Truncated) => assert!(data.len() < 20 || data[0] >> 4 == 6),
        Err(Unparsed::Fragment | Unparsed::ExtensionHeaders) => {}
    }
    if let Ok(ip) = parsed {
        // What follows the headers has no say in how they are read.
        let mut longer = data.to_vec();
        longer.extend([0xff; 64]);
        assert_eq!(Ip::parse(&longer.as_slice()), parsed);
        if ip.protocol == UDP {
            check_udp(data, &ip);
        }
    }
});

fn check_v4(data: &[u8], ip: &Ip) {
    assert_eq!(ip.transport, u32::from(data[0] & 0x0f) * 4);
    assert_eq!(ip.protocol, data[9]);
    assert_eq!([data[6] & 0x1f, data[7]], [0, 0], "a later fragment has no transport header");
    let address = |at| mapped(u32::from_ne_bytes(*data[at..].first_chunk().unwrap()));
    assert_eq!([ip.source, ip.destination], [address(12), address(16)]);
}

/// Against a walk that reads bytes.
fn check_v6(data: &[u8], ip: &Ip) {
    let (mut protocol, mut at) = (data[6], 40);
    while EXTENSIONS.contains(&protocol) {
        let (next, length) = (data[at], usize::from(data[at + 1]));
        at += match protocol {
            44 => 8,
            51 => 4 * (length + 2),
            _ => 8 * (length + 1),
        };
        protocol = next;
    }
    assert_eq!((ip.protocol, ip.transport as usize), (protocol, at));
    let words = [ip.source, ip.destination].concat();
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    assert_eq!(bytes, data[8..40]);
}

fn check_udp(data: &[u8], ip: &Ip) {
    let Some(header) = data.words(ip.transport) else { return };
    let udp = Udp::parse(header);
    let at = ip.transport as usize;
    assert_eq!(udp.source.to_be_bytes(), data[at..at + 2]);
    assert_eq!(udp.destination.to_be_bytes(), data[at + 2..at + 4]);
    let Some(words) = data.words(ip.transport + UDP_HEADER) else { return };
    let payload = &data[at + UDP_HEADER as usize..];
    let Some(rtp) = Header::parse(words, payload.len() as u32) else { return };
    assert!(may_be_rtp(words[0]), "a header that the quick look would have passed over");
    assert!(payload.len() >= 12 + 4 * usize::from(payload[0] & 0x0f), "sources out of bounds");
    assert_eq!(payload[1], rtp.payload_type | u8::from(rtp.marker) << 7);
    assert_eq!(rtp.sequence.to_be_bytes(), payload[2..4]);
    assert_eq!(rtp.timestamp.to_be_bytes(), payload[4..8]);
    assert_eq!(rtp.ssrc.to_be_bytes(), payload[8..12]);
}
