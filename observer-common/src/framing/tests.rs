use super::*;
use crate::turn::channel_data;
use proptest::{collection, prelude::*};
use std::{vec, vec::Vec};

/// What a stream told of: the length of each datagram, and the sequence number of media.
type Told = Vec<(u32, Option<u16>)>;

fn rtp(sequence: u16, payload: usize) -> Vec<u8> {
    let mut packet = vec![0x80, 111];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 960).to_be_bytes());
    packet.extend(0x1234_5678_u32.to_be_bytes());
    packet.resize(12 + payload, 0xff);
    packet
}

fn stun(attributes: u16) -> Vec<u8> {
    let mut message = vec![0, 1];
    message.extend(attributes.to_be_bytes());
    message.extend(MAGIC_COOKIE.to_be_bytes());
    message.resize(20 + usize::from(attributes), 0xff);
    message
}

fn framed(framing: Framing, datagram: &[u8]) -> Vec<u8> {
    if framing == Framing::Length {
        return [&(datagram.len() as u16).to_be_bytes(), datagram].concat();
    }
    if datagram[0] < 4 {
        return datagram.to_vec();
    }
    let length = datagram.len() as u16;
    let mut frame = [&[0x40, 7], &length.to_be_bytes()[..], datagram].concat();
    frame.resize(frame.len().next_multiple_of(4), 0);
    frame
}

/// Follows segments, each a piece of the stream by its place.
fn follow(course: &mut Course, stream: &[u8], segments: &[(usize, usize)], first: u32) -> Told {
    let mut told = Told::new();
    for (from, to) in segments {
        let packet = [&[0xee; 52], &stream[*from..*to]].concat();
        let sequence = first.wrapping_add(*from as u32);
        course.follow(&&packet[..], 52, sequence, (to - from) as u32, |framing, found| {
            let media = framing.media(found.head, &found.frame);
            let header = media.and_then(|media| Header::parse(media.words, media.length));
            told.push((found.frame.length, header.map(|header| header.sequence)));
        });
    }
    told
}

/// A call: a check, and media with a check and something encrypted in between.
fn call(framing: Framing, packets: u16) -> (Vec<Vec<u8>>, Told) {
    let mut datagrams = vec![stun(36)];
    for sequence in 0..packets {
        datagrams.push(rtp(sequence.wrapping_sub(7), 33 + usize::from(sequence % 50)));
        if sequence % 9 == 3 {
            datagrams.push(stun(44));
            datagrams.push([vec![0x80, 200], vec![0xff; 26]].concat());
        }
    }
    let told = datagrams.iter().map(|datagram| {
        let media = datagram.len() > 33 && datagram[0] == 0x80;
        let around =
            if framing == Framing::Own && !datagram.is_empty() && datagram[0] >= 4 { 4 } else { 0 };
        let number = |at: usize| u16::from_be_bytes([datagram[at], datagram[at + 1]]);
        (datagram.len() as u32 + around, media.then(|| number(2)))
    });
    let told = told.collect();
    (datagrams.iter().map(|datagram| framed(framing, datagram)).collect(), told)
}

fn cut(length: usize, cuts: &[prop::sample::Index]) -> Vec<(usize, usize)> {
    let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(length)).collect();
    places.extend([0, length]);
    places.sort_unstable();
    places.dedup();
    places.windows(2).map(|pair| (pair[0], pair[1])).collect()
}

#[test]
fn a_stream_is_known_by_a_check_or_by_a_whole_packet_of_media() {
    let of = |payload: &[u8]| Framing::recognize(&payload, 0, payload.len() as u32);
    assert_eq!(of(&framed(Framing::Length, &stun(36))), Framing::Length);
    assert_eq!(of(&stun(36)), Framing::Own);
    assert_eq!(of(&framed(Framing::Length, &rtp(1, 40))), Framing::Length);
    assert_eq!(of(&framed(Framing::Own, &rtp(1, 40))), Framing::Own);
    let media = framed(Framing::Length, &rtp(1, 40));
    assert_eq!(of(&media[..53]), Framing::None, "longer than the segment");
    let mut wrong = framed(Framing::Length, &stun(36));
    wrong[1] += 4;
    assert_eq!(of(&wrong), Framing::None, "the two lengths differ");
    for other in
        [&b"GET /chat HTTP/1.1\r\n"[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaa"]
    {
        assert_eq!(of(other), Framing::None);
    }
    assert_eq!(of(&[0; 15]), Framing::None);
}

#[test]
fn a_stream_is_given_up_at_what_is_no_frame_and_known_again_later() {
    let mut course = Course::NONE;
    let (frames, _) = call(Framing::Length, 4);
    let stream = [&frames.concat()[..], &[0xff; 200], &frames.concat()].concat();
    let middle = frames.concat().len();
    let told = follow(&mut course, &stream, &[(0, middle + 200)], 9);
    assert_eq!((told.len(), course.framing()), (frames.len(), Framing::None));
    let told = follow(&mut course, &stream, &[(middle + 200, stream.len())], 9);
    assert_eq!((told.len(), course.framing()), (frames.len(), Framing::Length));
}

#[test]
fn a_frame_of_nothing_keeps_a_connection_alive() {
    let check = framed(Framing::Length, &stun(0));
    let stream = [&check[..], &[0, 0, 0, 0], &framed(Framing::Length, &rtp(5, 9))].concat();
    for segments in [vec![22, 24, 26, 49], vec![23, 24, 26, 49], vec![24, 25, 26, 49]] {
        let mut course = Course::NONE;
        let mut from = 0;
        let mut pieces = Vec::new();
        for to in segments {
            pieces.push((from, to));
            from = to;
        }
        let told = follow(&mut course, &stream, &pieces, 0);
        assert_eq!(told, [(20, None), (0, None), (0, None), (21, Some(5))]);
    }
    let mut course = Course::NONE;
    follow(&mut course, &stream, &[(0, 49)], 0);
    assert_eq!(course.framing(), Framing::None, "zeros are no frames");
}

#[test]
fn bytes_behind_more_gaps_than_are_kept_are_told_to_be_passed_over() {
    let (frames, _) = call(Framing::Length, 20);
    let mut course = Course::NONE;
    let mut sequence = 0;
    let mut followed = Vec::new();
    for (number, frame) in frames.iter().enumerate() {
        if number == 0 || number % 2 == 1 && frame.len() > 40 && frame[2] == 0x80 {
            let packet = &frame[..];
            followed.push(course.follow(&packet, 0, sequence, frame.len() as u32, |_, _| {}));
        }
        sequence += frame.len() as u32;
    }
    assert!(followed.len() > PLACES + 1);
    assert_eq!(followed.iter().position(|is| !is), Some(PLACES + 1), "two in a row, and the gaps");
}

#[test]
fn a_packet_in_a_channel_is_as_long_as_the_channel_says() {
    let frame = framed(Framing::Own, &rtp(3, 41));
    let head: [u32; 4] = (&frame[..]).words(0).unwrap();
    let known = Framing::Own.frame(head[0]).unwrap();
    assert_eq!((known.size, known.length), (60, 57));
    assert_eq!(channel_data(head[0], known.length), Some(53));
    assert_eq!(Framing::Own.media(head, &known).map(|media| media.length), Some(53));
}

proptest! {
    #[test]
    fn every_datagram_is_told_of_once_however_the_stream_is_cut(
        own: bool,
        first: u32,
        cuts in collection::vec(any::<prop::sample::Index>(), 0..60),
        again in collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let framing = if own { Framing::Own } else { Framing::Length };
        let (frames, expected) = call(framing, 40);
        let stream = frames.concat();
        let mut segments = cut(stream.len(), &cuts);
        // The first segment holds a whole frame: that is how a stream begins.
        let start = frames[0].len();
        segments.retain(|(_, to)| *to > start);
        segments[0].0 = 0;
        for copy in again {
            let at = copy.index(segments.len());
            segments.insert(at + 1, segments[at]);
        }
        let mut course = Course::NONE;
        prop_assert_eq!(follow(&mut course, &stream, &segments, first), expected);
    }

    #[test]
    fn what_was_lost_on_the_way_is_told_of_when_it_comes(
        own: bool,
        first: u32,
        lost in collection::vec(any::<prop::sample::Index>(), 0..=3),
        after in 1_usize..30,
    ) {
        let framing = if own { Framing::Own } else { Framing::Length };
        let (frames, mut expected) = call(framing, 60);
        let mut segments = Vec::new();
        let mut from = 0;
        for frame in &frames {
            segments.push((from, from + frame.len()));
            from += frame.len();
        }
        let stream = frames.concat();
        // A gap ends before media: a segment that begins with RTCP tells of nothing.
        let media = |at: usize| expected[at].1.is_some();
        let mut gone: Vec<_> = lost.iter().map(|at| at.index(frames.len() - 2) + 1).collect();
        gone.retain(|at| media(at + 1));
        gone.sort_unstable();
        gone.dedup();
        for at in gone.iter().rev() {
            let segment = segments.remove(*at);
            segments.insert((at + after).min(segments.len()), segment);
        }
        let mut course = Course::NONE;
        let mut told = follow(&mut course, &stream, &segments, first);
        told.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(told, expected);
    }

    #[test]
    fn no_bytes_break_it(
        segments in collection::vec((any::<u32>(), collection::vec(any::<u8>(), 0..80)), 0..40),
        near: bool,
    ) {
        let mut course = Course::NONE;
        for (sequence, bytes) in segments {
            let sequence = if near { sequence % 200 } else { sequence };
            let packet = &bytes[..];
            course.follow(&packet, 0, sequence, bytes.len() as u32, |_, found| {
                assert!(found.before <= HEAD);
            });
        }
    }
}
