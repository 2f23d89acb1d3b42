//! The first record of a DTLS datagram, against a reading of bytes.

use observer_common::{bytes::Bytes, dtls};

/// Judges the reading of a datagram.
pub(crate) fn judge(data: &[u8]) {
    let Some(words) = data.words(0) else { return };
    let number =
        |bytes: &[u8]| bytes.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
    let (record, message) = (number(&data[11..13]), number(&data[14..17]));
    let (offset, fragment) = (number(&data[19..22]), number(&data[22..25]));
    let is_hello = data[0] == 22
        && matches!(data[1..3], [0xfe, 0xff | 0xfd])
        && data[3..5] == [0, 0]
        && data[13] == 1
        && 13 + record <= data.len()
        && 12 + fragment <= record
        && offset + fragment <= message;
    assert_eq!(dtls::is_client_hello(words, data.len() as u32), is_hello);
}
