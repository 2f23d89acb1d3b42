//! Datagrams in one piece, as virtual network cards hand them on.

use std::{fs::File, io::Write as _, net::SocketAddrV4};

/// Bytes of an IPv4 and a UDP header.
const HEADERS: usize = 28;

/// `struct virtio_net_hdr`: the checksum is to be computed, and the datagram is to be
/// split (`VIRTIO_NET_HDR_F_NEEDS_CSUM`, `VIRTIO_NET_HDR_GSO_UDP_L4`).
const NEEDS_CHECKSUM: u8 = 1;
const GSO_UDP: u8 = 5;

/// Gives a device one datagram that is segments of `size` bytes, without saying how many.
pub(crate) fn deliver(
    device: &mut File,
    from: SocketAddrV4,
    to: SocketAddrV4,
    payload: &[u8],
    size: u16,
) {
    let mut frame = vec![NEEDS_CHECKSUM, GSO_UDP];
    for field in [HEADERS as u16, size, 20, 6] {
        frame.extend(field.to_le_bytes());
    }
    let length = (HEADERS + payload.len()) as u16;
    let mut ip = [0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    ip[2..4].copy_from_slice(&length.to_be_bytes());
    ip[12..16].copy_from_slice(&from.ip().octets());
    ip[16..].copy_from_slice(&to.ip().octets());
    let sum = !checksum(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    frame.extend(ip);
    let mut pseudo = [from.ip().octets(), to.ip().octets()].concat();
    pseudo.extend([0, 17]);
    pseudo.extend((length - 20).to_be_bytes());
    for field in [from.port(), to.port(), length - 20, checksum(&pseudo)] {
        frame.extend(field.to_be_bytes());
    }
    frame.extend(payload);
    device.write_all(&frame).expect("the device takes a datagram in segments");
}

/// The Internet checksum (RFC 1071), before its complement.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 =
        bytes.as_chunks::<2>().0.iter().map(|pair| u32::from(u16::from_be_bytes(*pair))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
