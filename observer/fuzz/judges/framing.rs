//! Datagrams in a TCP stream that comes in order, cut anywhere, against a reading of the whole.

use observer_common::framing::Course;

/// What the stream begins with, by which it is known: a check, framed by two bytes of length.
const CHECK: [u8; 22] =
    [0, 20, 0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1];

/// Judges a stream: how it is framed, how long its segments are, and what follows the check.
pub(crate) fn judge(data: &[u8]) {
    let Some((head, rest)) = data.split_at_checked(9) else { return };
    let is_own = head[0] & 1 != 0;
    let stream = [&CHECK[if is_own { 2 } else { 0 }..], rest].concat();
    let ends = ends(&head[1..], stream.len());
    let (mut told, mut from) = (Vec::new(), 0);
    let mut course = Course::NONE;
    for end in &ends {
        let segment = &stream[from..*end];
        let (sequence, length) = ((from as u32).wrapping_sub(40), segment.len() as u32);
        course.follow(&segment, 0, sequence, length, |framing, found| {
            let media = framing.media(found.head, &found.frame);
            told.push((found.frame.length, media.map(|media| media.words[2].to_ne_bytes())));
        });
        from = *end;
    }
    let whole = if is_own { own(&stream) } else { by_length(&stream, &ends) };
    assert!(told.starts_with(&whole), "{told:?} and {whole:?}");
}

/// Where segments end; the first has the check.
fn ends(sizes: &[u8], length: usize) -> Vec<usize> {
    let (mut ends, mut end) = (Vec::new(), CHECK.len() + usize::from(sizes[0]));
    for size in sizes.iter().cycle() {
        ends.push(end.min(length));
        if end >= length {
            break;
        }
        end += 1 + usize::from(*size);
    }
    ends
}

type Told = Vec<(u32, Option<[u8; 4]>)>;

/// Frames up to the first that is none, or of which too little came.
fn by_length(stream: &[u8], ends: &[usize]) -> Told {
    let (mut told, mut at) = (Told::new(), 0);
    while let Some(length) = number(stream, at) {
        let (begin, end) = (at + 2, at + 2 + length);
        let is_frame = if length == 0 {
            ends.contains(&begin)
        } else {
            let here = &stream[begin..stream.len().min(at + 16).min(end)];
            here.len() == 14.min(length) && is_datagram(&stream[begin..], length, false)
        };
        if !is_frame {
            break;
        }
        told.push((length as u32, source(&stream[begin..], length)));
        at = end;
    }
    told
}

fn own(stream: &[u8]) -> Told {
    let (mut told, mut at) = (Told::new(), 0);
    while let (Some(kind), Some(length)) = (number(stream, at), number(stream, at + 2)) {
        let datagram = &stream[at..];
        let (around, padded) = match kind >> 12 {
            0..4 => (20, length),
            4 => (4, length.next_multiple_of(4)),
            _ => break,
        };
        let needed = 16.min(around + padded);
        if datagram.len() < needed || !is_datagram(datagram, around + length, true) {
            break;
        }
        let media = if around == 4 { source(&datagram[4..], length) } else { None };
        told.push(((around + length) as u32, media));
        at += around + padded;
    }
    told
}

fn number(stream: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes([*stream.get(at)?, *stream.get(at + 1)?])))
}

fn is_datagram(bytes: &[u8], length: usize, is_own: bool) -> bool {
    let byte = |at: usize| bytes.get(at).copied().unwrap_or_default();
    match (byte(0), byte(1)) {
        (0..4, _) => {
            let attributes = number(bytes, 2).unwrap_or_default();
            bytes.get(4..8) == Some(&[0x21, 0x12, 0xa4, 0x42])
                && attributes.is_multiple_of(4)
                && length == 20 + attributes
        }
        (20..64, _) => true,
        (64..80, _) => is_own,
        (128..192, 192..224) => length >= 8,
        (128..192, _) => length >= 12,
        _ => false,
    }
}

/// The synchronisation source of a packet of media.
fn source(bytes: &[u8], length: usize) -> Option<[u8; 4]> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let words = usize::from(first & 15) + usize::from(first >> 4 & 1);
    let is_media = first >> 6 == 2 && !(192..224).contains(&second) && length >= 12 + 4 * words;
    if is_media { bytes.get(8..12)?.try_into().ok() } else { None }
}
