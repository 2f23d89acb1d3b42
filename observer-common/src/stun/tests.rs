use super::*;
use proptest::prelude::*;
use std::vec::Vec;

fn check(attributes: &[(u16, &[u8])]) -> Vec<u8> {
    message(0x0001, attributes)
}

fn message(kind: u16, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, value) in attributes {
        body.extend(kind.to_be_bytes());
        body.extend((value.len() as u16).to_be_bytes());
        body.extend(*value);
        body.resize(body.len().next_multiple_of(4), 0x20);
    }
    let mut bytes = Vec::from(kind.to_be_bytes());
    bytes.extend((body.len() as u16).to_be_bytes());
    bytes.extend(MAGIC_COOKIE.to_be_bytes());
    bytes.extend(1..=12);
    bytes.extend(body);
    bytes
}

fn header(bytes: &[u8]) -> Option<Header> {
    Header::parse(bytes.words(0)?, bytes.len() as u32)
}

fn attributes(bytes: &[u8]) -> Attributes {
    Attributes::read(&bytes, 0, bytes.len() as u32)
}

fn piece(bytes: &[u8], span: Span) -> Option<&[u8]> {
    span.is_some().then(|| &bytes[span.at as usize..][..span.length as usize])
}

#[test]
fn class_and_method_are_woven_as_section_5_says() {
    let of = |kind| header(&message(kind, &[])).map(|header| (header.class, header.method));
    assert_eq!(of(0x0001), Some((Class::Request, BINDING)));
    assert_eq!(of(0x0011), Some((Class::Indication, BINDING)));
    assert_eq!(of(0x0101), Some((Class::Success, BINDING)));
    assert_eq!(of(0x0111), Some((Class::Error, BINDING)));
    assert_eq!(of(0x0016), Some((Class::Indication, crate::turn::SEND)));
    assert_eq!(of(0x0017), Some((Class::Indication, crate::turn::DATA)));
    assert_eq!(of(0x3eef), Some((Class::Request, 0xfff)));
}

#[test]
fn a_message_has_the_cookie_and_its_datagrams_length() {
    let good = check(&[(0x8022, b"abc")]);
    assert!(header(&good).is_some());
    for at in [0, 3, 4, 7] {
        let mut bad = good.clone();
        bad[at] ^= 0x41;
        assert_eq!(header(&bad), None, "byte {at}");
    }
    let mut longer = good.clone();
    longer.push(0);
    assert_eq!(header(&longer), None);
    assert_eq!(header(&good[..good.len() - 1]), None);
}

#[test]
fn the_attributes_of_a_check() {
    let bytes = check(&[
        (0x0006, b"fQat:Kd9A"),
        (0xc057, &[0, 0, 0, 10]),
        (0x802a, &[0; 8]),
        (0x0025, b""),
        (0x0024, &[0; 4]),
        (0x0008, &[0; 20]),
        (0x8028, &[0; 4]),
    ]);
    let found = attributes(&bytes);
    assert_eq!(piece(&bytes, found.username), Some(&b"fQat:Kd9A"[..]));
    assert_eq!((found.nominates, found.data), (true, Span::NONE));
    let name = Name::read(&bytes.as_slice(), found.username);
    let (kept, length) = name.bytes();
    assert_eq!((&kept[..length], name.length), (&b"fQat:Kd9A"[..], 9));
    assert_eq!(kept[length..], [0; 55], "padding is not kept");
}

#[test]
fn what_an_indication_carries() {
    let bytes = message(0x0017, &[(0x0012, &[0; 8]), (0x0013, &[0x80, 111, 0, 1, 9])]);
    assert_eq!(piece(&bytes, attributes(&bytes).data), Some(&[0x80, 111, 0, 1, 9][..]));
}

#[test]
fn an_attribute_that_reaches_beyond_its_message_ends_the_walk() {
    let mut bytes = check(&[(0x0006, b"a:bc"), (0x0013, b"data")]);
    let at = bytes.len() - 6;
    bytes[at..at + 2].copy_from_slice(&5_u16.to_be_bytes());
    let found = attributes(&bytes);
    assert_eq!((found.username.length, found.data), (4, Span::NONE));
}

#[test]
fn names_differ_in_their_hashes() {
    let hash = |text: &str| {
        let bytes = check(&[(0x0006, text.as_bytes())]);
        let name = Name::read(&bytes.as_slice(), attributes(&bytes).username);
        assert_eq!((name.hash & Name::SPARE, name.hash == 0), (0, text.is_empty()), "{text}");
        name.hash
    };
    let long = "x".repeat(70);
    let names = ["a:b", "b:a", "a:b\0", "aaaa:bbbb", "aaaa:bbbc", &long, &long[1..], ""];
    let hashes: std::collections::HashSet<_> = names.into_iter().map(hash).collect();
    assert_eq!(hashes.len(), names.len());
}

#[test]
fn a_name_beyond_the_room_is_cut_and_says_its_length() {
    let long = "ufrag".repeat(20);
    let bytes = check(&[(0x0006, long.as_bytes())]);
    let name = Name::read(&bytes.as_slice(), attributes(&bytes).username);
    let (kept, length) = name.bytes();
    assert_eq!((&kept[..length], name.length), (&long.as_bytes()[..64], 100));
}

proptest! {
    /// Whatever comes: what is found lies in the message.
    #[test]
    fn no_attribute_reaches_past_the_end(
        mut bytes in prop::collection::vec(any::<u8>(), 20..200),
        kinds in prop::collection::vec(prop::sample::select(std::vec![6_u16, 0x13, 0x25, 8]), 8),
    ) {
        let mut at = 20;
        for kind in kinds {
            if at + 4 > bytes.len() {
                break;
            }
            bytes[at..at + 2].copy_from_slice(&kind.to_be_bytes());
            bytes[at + 2] = 0;
            at += 4 + usize::from(bytes[at + 3]).next_multiple_of(4);
        }
        let found = attributes(&bytes);
        for span in [found.username, found.data] {
            prop_assert!((span.at + span.length) as usize <= bytes.len());
            let name = Name::read(&bytes.as_slice(), span);
            prop_assert_eq!(name.length, span.length);
        }
    }
}
