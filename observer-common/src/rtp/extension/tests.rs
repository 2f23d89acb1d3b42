use super::*;
use proptest::prelude::*;
use std::vec::Vec;

const SECOND: u64 = 1_000_000_000;

/// An RTP packet with an extension of `profile` that holds `elements`, padded.
fn packet(profile: u16, elements: &[u8]) -> Vec<u8> {
    let mut packet = std::vec![0x90, 111, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2];
    let words = elements.len().div_ceil(4) as u16;
    packet.extend(profile.to_be_bytes());
    packet.extend(words.to_be_bytes());
    packet.extend(elements);
    packet.resize(16 + 4 * usize::from(words) + 24, 0);
    packet
}

fn read(packet: &[u8]) -> Option<Elements> {
    let [first] = packet.words(0)?;
    Elements::read(&packet, 0, first)
}

/// What a browser sends with audio: level, send time, transport number, media line.
fn browser(level: u8, time: u32, number: u16) -> Vec<u8> {
    let [_, t0, t1, t2] = time.to_be_bytes();
    let [n0, n1] = number.to_be_bytes();
    packet(0xbede, &[0x10, level, 0x22, t0, t1, t2, 0x31, n0, n1, 0x40, b'0'])
}

#[test]
fn one_byte_headers() {
    let elements = read(&browser(0x85, 0x1234, 77)).unwrap();
    assert_eq!(elements.byte, (1, 0x85));
    assert_eq!(elements.other_byte, (4, b'0'));
    assert_eq!(elements.triple, (2, 0x1234));
    assert_eq!(elements.pair, (3, 77));
    assert_eq!(elements.other_triple, (0, 0));
}

#[test]
fn two_byte_headers_and_padding() {
    let elements = read(&packet(0x1000, &[1, 1, 9, 0, 0, 3, 2, 1, 2, 5, 0, 7, 1, 3])).unwrap();
    assert_eq!((elements.byte, elements.pair, elements.other_byte), ((1, 9), (3, 0x102), (7, 3)));
}

#[test]
fn what_is_not_known_ends_the_walk() {
    assert_eq!(read(&packet(0xbede, &[0xf0, 1, 0x10, 2])), Some(Elements::default()));
    assert_eq!(read(&packet(0xc0de, &[0x10, 2])), None, "Cryptex (RFC 9335)");
    let long = packet(0xbede, &[0x10, 5, 0x2f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(read(&long).unwrap().byte, (1, 5));
    let mut plain = browser(1, 1, 1);
    plain[0] = 0x80;
    assert_eq!(read(&plain), None);
}

/// Sixteen packets of 20 ms between two samples.
fn follow(samples: u32, each: impl Fn(u32) -> (u8, u32, u16, u64, u64)) -> Extensions {
    let mut extensions = Extensions::NONE;
    for index in 0..samples {
        let (level, time, number, packets, now) = each(index);
        extensions.advance(&read(&browser(level, time, number)).unwrap(), packets, now);
    }
    extensions
}

fn even(index: u32) -> (u8, u32, u16, u64, u64) {
    let now = u64::from(index) * SECOND * 32 / 100;
    let ticks = (now * SEND_TICKS / SECOND) as u32 & 0xff_ffff;
    (0x80 | (index as u8 % 60), ticks, (index * 16) as u16, u64::from(index) * 16, now)
}

#[test]
fn the_level_is_what_changes_and_the_media_line_what_does_not() {
    let told = follow(100, |index| {
        let level = match index % 4 {
            0 => 127,
            1 => 0x80,
            _ => 0x80 | 30,
        };
        let (_, time, number, packets, now) = even(index);
        (level, time, number, packets, now)
    });
    assert_eq!(told.byte_changes, [LEVEL_CHANGES, 0]);
    assert_eq!(told.level_samples, 96);
    assert_eq!(told.level_silent, 24);
    assert_eq!(told.level_clipped, 24);
    assert_eq!(told.level_samples - told.level_silent, told.level_voice);
}

#[test]
fn loss_of_a_transport_is_what_its_numbers_say() {
    let whole = follow(200, even);
    let received = whole.transport_last_packets - whole.transport_first_packets;
    assert_eq!((received, whole.transport_span), (196 * 16, 196 * 16));
    // One in eight of the transport does not come, across the wrap of its number.
    let lossy = follow(4_000, |index| {
        let (level, time, number, packets, now) = even(index);
        (level, time, number, packets * 7 / 8, now)
    });
    let received = lossy.transport_last_packets - lossy.transport_first_packets;
    assert_eq!((received, lossy.transport_span), (3_996 * 14, 3_996 * 16));
}

#[test]
fn numbers_that_were_not_believed_for_a_while_do_not_count() {
    let told = follow(200, |index| {
        let (level, time, number, packets, now) = even(index);
        (level, time, if index == 100 { number.wrapping_sub(1_000) } else { number }, packets, now)
    });
    let received = told.transport_last_packets - told.transport_first_packets;
    assert_eq!(received, told.transport_span);
}

#[test]
fn the_send_time_shows_delay_without_a_clock() {
    let calm = follow(200, even);
    assert!(calm.send_samples > 190 && calm.send_excess_max_ns < 10_000, "{calm:?}");
    let held = follow(200, |index| {
        let (level, time, number, packets, now) = even(index);
        (level, time, number, packets, now + if index == 150 { 80_000_000 } else { 0 })
    });
    assert!((79_000_000..81_000_000).contains(&held.send_excess_max_ns), "{held:?}");
    assert!(held.send_excess_ns < 100_000, "{held:?}");
}

#[test]
fn three_bytes_that_stand_still_are_no_send_time() {
    let mut extensions = Extensions::NONE;
    for index in 0..100_u32 {
        let (_, time, _, packets, now) = even(index);
        let [_, t0, t1, t2] = time.to_be_bytes();
        let elements = [0x52, 0, 0x10, 0x20, 0x22, t0, t1, t2];
        let elements = read(&packet(0xbede, &elements)).unwrap();
        extensions.advance(&elements, packets, now);
    }
    assert_eq!(extensions.send_id, 2);
    assert!(extensions.send_samples > 90, "{extensions:?}");
    let constant = follow(100, |index| {
        let (level, _, number, packets, now) = even(index);
        (level, 0x1020, number, packets, now)
    });
    assert_eq!(constant.send_samples, 0);
}

proptest! {
    #[test]
    fn nothing_panics(packets in proptest::collection::vec(
        (proptest::collection::vec(any::<u8>(), 0..60), any::<u64>(), any::<u64>()), 1..50,
    )) {
        let mut extensions = Extensions::NONE;
        for (mut bytes, packets, now) in packets {
            if let Some(first) = bytes.first_mut() {
                *first |= 0x10;
            }
            if bytes.len() > 13 {
                (bytes[12], bytes[13]) = (0xbe, 0xde);
            }
            if let Some(elements) = read(&bytes) {
                extensions.advance(&elements, packets, now);
            }
        }
    }
}

#[test]
fn elements_come_back_as_they_were_packed() {
    let elements = Elements {
        byte: (1, 0xff),
        other_byte: (2, 0x80),
        pair: (3, 0xfffe),
        triple: (4, 0xff_fffd),
        other_triple: (255, 0xff_fffc),
    };
    assert_eq!(Elements::unpacked(elements.packed()), elements);
    assert_eq!(Elements::unpacked([0; 2]), Elements::default());
}
