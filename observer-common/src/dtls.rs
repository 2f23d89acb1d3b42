//! DTLS: the one message of its handshake that every version sends in the clear.

/// Length of what is looked at, in bytes: the header of a record (RFC 6347 section 4.1)
/// and that of a handshake message (section 4.2.2), to whole words.
pub const HEADERS: u32 = 28;

const RECORD_HEADER: u32 = 13;
const MESSAGE_HEADER: u32 = 12;
const HANDSHAKE: u32 = 22;
const CLIENT_HELLO: u32 = 1;
/// Versions as records have them. A `ClientHello` of DTLS 1.3 says 1.2 (RFC 9147 section
/// 5.3), a first one of 1.2 may say 1.0.
const VERSIONS: [u32; 2] = [0xfeff, 0xfefd];

/// Whether a datagram of `length` bytes begins with a `ClientHello`, or with a fragment of
/// one: with post-quantum keys it takes two datagrams.
#[inline(always)]
#[must_use]
pub const fn is_client_hello(words: [u32; 7], length: u32) -> bool {
    let [first, _, lengths, message, _, fragment, end] = words;
    let (first, lengths, message) =
        (u32::from_be(first), u32::from_be(lengths), u32::from_be(message));
    let (sequence, fragment, end) =
        (u32::from_be(words[4]), u32::from_be(fragment), u32::from_be(end));
    let version = first >> 8 & 0xffff;
    let epoch = (first & 0xff) << 8 | u32::from_be(words[1]) >> 24;
    let record_length = (lengths & 0xff) << 8 | message >> 24;
    let message_length = (message & 0xffff) << 8 | sequence >> 24;
    let fragment_offset = (sequence & 0xff) << 16 | fragment >> 16;
    let fragment_length = (fragment & 0xffff) << 8 | end >> 24;
    first >> 24 == HANDSHAKE
        && (version == VERSIONS[0] || version == VERSIONS[1])
        && epoch == 0
        && message >> 16 & 0xff == CLIENT_HELLO
        && RECORD_HEADER + record_length <= length
        && MESSAGE_HEADER + fragment_length <= record_length
        && fragment_offset + fragment_length <= message_length
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::Bytes;

    /// A record of a handshake message: type, message length, fragment offset and length.
    fn record(kind: u8, length: u32, offset: u32, fragment: u32) -> std::vec::Vec<u8> {
        let mut bytes = std::vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend(u16::try_from(fragment + 12).unwrap().to_be_bytes());
        bytes.push(kind);
        bytes.extend(&length.to_be_bytes()[1..]);
        bytes.extend([0, 0]);
        bytes.extend(&offset.to_be_bytes()[1..]);
        bytes.extend(&fragment.to_be_bytes()[1..]);
        bytes.resize(25 + fragment as usize, 0x5a);
        bytes
    }

    fn is_hello(bytes: &[u8]) -> bool {
        let words = bytes.words(0).expect("long enough");
        is_client_hello(words, bytes.len() as u32)
    }

    #[test]
    fn a_hello_in_one_datagram_or_in_two() {
        assert!(is_hello(&record(1, 150, 0, 150)));
        assert!(is_hello(&record(1, 1_500, 0, 1_200)));
        assert!(is_hello(&record(1, 1_500, 1_200, 300)));
        let mut old = record(1, 150, 0, 150);
        old[2] = 0xff;
        assert!(is_hello(&old));
    }

    #[test]
    fn what_is_no_hello() {
        assert!(!is_hello(&record(2, 150, 0, 150)), "a ServerHello");
        assert!(!is_hello(&record(1, 150, 100, 51)), "a fragment beyond its message");
        let mut cut = record(1, 150, 0, 150);
        cut.pop();
        assert!(!is_hello(&cut));
        for (at, byte) in [(0, 23), (1, 3), (2, 0), (4, 1)] {
            let mut other = record(1, 150, 0, 150);
            other[at] = byte;
            assert!(!is_hello(&other), "byte {at} of {byte}");
        }
    }
}
