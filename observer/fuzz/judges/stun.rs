//! STUN, against a walk that reads bytes.

use observer_common::{
    bytes::Bytes,
    stun::{Attributes, Class, Header, MAGIC_COOKIE, NAME_ROOM, Name, Span},
};

/// Attributes that are walked at most.
const MAX_ATTRIBUTES: usize = 16;

/// Judges the reading of a datagram.
pub(crate) fn judge(data: &[u8]) {
    let header = data.words(0).and_then(|words| Header::parse(words, data.len() as u32));
    let is_message = data.len() >= 20
        && data[0] < 0x40
        && data[4..8] == MAGIC_COOKIE.to_be_bytes()
        && data[3].is_multiple_of(4)
        && 20 + usize::from(u16::from_be_bytes([data[2], data[3]])) == data.len();
    assert_eq!(header.is_some(), is_message);
    let Some(header) = header else { return };
    let class = match (data[0] & 1, data[1] >> 4 & 1) {
        (0, 0) => Class::Request,
        (0, _) => Class::Indication,
        (_, 0) => Class::Success,
        _ => Class::Error,
    };
    assert_eq!(header.class, class);
    let bits: u16 = [data[0] >> 1, data[1] >> 5, data[1] & 0xf]
        .into_iter()
        .zip([(7, 0x1f), (4, 0x7), (0, 0xf)])
        .map(|(bits, (shift, mask))| (u16::from(bits) & mask) << shift)
        .sum();
    assert_eq!(header.method, bits);
    let transaction: Vec<u8> = header.transaction.iter().flat_map(|w| w.to_ne_bytes()).collect();
    assert_eq!(transaction, data[8..20]);

    let found = Attributes::read(&data, 0, data.len() as u32);
    let (mut username, mut carried, mut nominates) = (None, None, false);
    let mut at = 20;
    for _ in 0..MAX_ATTRIBUTES {
        let Some(head) = data.get(at..at + 4) else { break };
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let end = at + 4 + length.next_multiple_of(4);
        if end > data.len() {
            break;
        }
        let value = at + 4..at + 4 + length;
        match head[..2] {
            [0, 0x06] => username = Some(value),
            [0, 0x13] => carried = Some(value),
            [0, 0x25] => nominates = true,
            _ => {}
        }
        at = end;
    }
    let range =
        |span: Span| span.is_some().then(|| span.at as usize..(span.at + span.length) as usize);
    assert_eq!((range(found.username), range(found.data)), (username.clone(), carried));
    assert_eq!(found.nominates, nominates);
    if let Some(username) = username {
        let name = Name::read(&data, found.username);
        let (kept, length) = name.bytes();
        let whole = &data[username];
        assert_eq!(name.length as usize, whole.len());
        assert_eq!(&kept[..length], &whole[..whole.len().min(NAME_ROOM as usize)]);
        assert!(kept[length..].iter().all(|byte| *byte == 0));
        assert_eq!(name.hash == 0, whole.is_empty());
    }
}
