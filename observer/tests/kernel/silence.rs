//! What is no voice makes no flow, and no loss either.

use std::os::fd::{FromRawFd as _, OwnedFd};

use crate::support::{
    machine::{Noise, volume},
    observation::Observation,
    path::Path,
    rtp::Stream,
};

/// Sends it all, and no flow comes of it.
fn silent(packets: impl IntoIterator<Item = Vec<u8>>) {
    let mut observation = Observation::shared();
    let path = Path::v4();
    for packet in packets {
        path.carry(&packet);
    }
    assert_eq!(observation.flows(&path.sender), []);
    assert_eq!(observation.flows(&path.receiver), []);
    observation.assert_clean();
}

/// A start that goes on with bytes of no meaning, always the same.
fn datagram(start: &[u8], length: usize) -> Vec<u8> {
    let mut packet = start.to_vec();
    packet.extend(Noise::new(length as u64).bytes(length));
    packet
}

#[test]
fn names_are_asked_for_in_silence() {
    silent((0..50_u16).map(|id| {
        let [high, low] = id.wrapping_mul(0x0101).to_be_bytes();
        datagram(&[0x80 | high, low, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, b'w', b'w', b'w', 0], 0)
    }));
}

#[test]
fn what_shares_a_port_with_voice_is_silent() {
    let quic = [0x40, 0x7f, 0xc0, 0xff].map(|first| datagram(&[first], 1_199));
    let stun = datagram(&[0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42], 20);
    let dtls = datagram(&[22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 1], 60);
    let channel = datagram(&[0x40, 1, 0, 100], 100);
    let rtcp = (192..=223).map(|kind| datagram(&[0x81, kind, 0, 7, 0, 0, 0, 1], 24));
    let once: Vec<_> = quic.into_iter().chain([stun, dtls, channel]).chain(rtcp).collect();
    silent(once.iter().cycle().take(10 * once.len()).cloned());
}

#[test]
fn voice_cut_short_of_its_header_is_silent() {
    let stream = Stream::pcmu(21);
    silent((0..120).map(|number| {
        let mut packet = stream.packet(number);
        packet.truncate(number as usize % 12);
        packet
    }));
}

/// A raw socket is handed a copy of every datagram that reaches its namespace.
#[test]
fn a_copy_at_a_raw_socket_is_no_flow() {
    // SAFETY: it takes three numbers and gives a descriptor that nobody else owns.
    let raw = unsafe {
        let descriptor = libc::socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_UDP);
        assert!(descriptor >= 0, "{}", std::io::Error::last_os_error());
        OwnedFd::from_raw_fd(descriptor)
    };
    let mut observation = Observation::shared();
    let path = Path::v4();
    let stream = Stream::pcmu(33);
    for number in 0..20 {
        path.carry(&stream.packet(number));
    }
    assert_eq!(observation.flows(&path.receiver).len(), 1);
    assert_eq!(observation.flows(&raw), []);
}

#[test]
fn noise_is_silent() {
    let mut noise = Noise::new(0x5eed);
    silent((0..volume(10_000, 1_000)).map(|number| {
        let length = 1 + noise.number() as usize % 1_400;
        let mut packet = noise.bytes(length);
        if number % 2 == 0 {
            packet[0] = 0x80 | (packet[0] & 0x3f);
        }
        packet
    }));
}
