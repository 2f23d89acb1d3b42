//! TURN (RFC 8656): voice that goes by way of a relay.

/// Length of the header of channel data, in bytes: channel number and length.
pub const CHANNEL_HEADER: u32 = 4;
/// Method of an indication with which a client sends by way of the relay.
pub const SEND: u16 = 0x006;
/// Method of an indication with which the relay passes on what came.
pub const DATA: u16 = 0x007;

/// Channel data is padded to four bytes over TCP, and may be over UDP (section 12.5).
const MAX_PADDING: u32 = 3;

/// Length of what a datagram of `length` bytes carries behind [`CHANNEL_HEADER`], if it is
/// the data of a channel: a number of 0x4000–0x4FFF and the length (section 12.4). A
/// datagram of QUIC that begins like it seldom fits.
#[inline(always)]
#[must_use]
pub const fn channel_data(first: u32, length: u32) -> Option<u32> {
    let first = u32::from_be(first);
    let inner = first & 0xffff;
    let Some(room) = length.checked_sub(CHANNEL_HEADER) else { return None };
    if first >> 28 != 4 || inner > room || room - inner > MAX_PADDING {
        return None;
    }
    Some(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channel_data_is_as_long_as_it_says() {
        let data = |bytes: [u8; 4], length| channel_data(u32::from_ne_bytes(bytes), length);
        assert_eq!(data([0x40, 0, 0, 172], 176), Some(172));
        assert_eq!(data([0x4f, 0xff, 0, 173], 180), Some(173), "padded to four bytes");
        assert_eq!(data([0x40, 0, 0, 172], 175), None, "cut");
        assert_eq!(data([0x40, 0, 0, 172], 180), None, "more than padding behind it");
        assert_eq!(data([0x50, 0, 0, 172], 176), None, "no channel has this number");
        assert_eq!(data([0x40, 0, 0, 0], 4), Some(0));
        assert_eq!(data([0x40, 0, 0, 0], 3), None);
    }
}
