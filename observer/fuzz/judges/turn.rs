//! Channel data, against a reading of bytes.

use observer_common::{bytes::Bytes, turn};

/// Judges the reading of a datagram.
pub(crate) fn judge(data: &[u8]) {
    let Some([first]) = data.words(0) else { return };
    let inner = turn::channel_data(first, data.len() as u32);
    let length = usize::from(u16::from_be_bytes([data[2], data[3]]));
    let behind = data.len().checked_sub(4 + length);
    let fits = (0x40..0x50).contains(&data[0]) && behind.is_some_and(|behind| behind < 4);
    assert_eq!(inner, fits.then_some(length as u32));
}
