//! The programs only look: what is sent is what arrives.

use std::{
    collections::VecDeque,
    io::{Read as _, Write as _},
    thread,
};

use crate::support::{
    machine::{Noise, volume},
    observation::{Observation, figure},
    path::Path,
    stream::Ends,
};

/// Datagrams on their way at once: few enough for the receiver's buffer.
const WINDOW: usize = 16;

/// Of every length up to a little more than a packet on Ethernet, every second one
/// looking like voice.
fn datagram(noise: &mut Noise, number: u32) -> Vec<u8> {
    let length = noise.number() as usize % 1_600;
    let mut datagram = noise.bytes(length);
    if number.is_multiple_of(2) && length > 12 {
        datagram[..4].copy_from_slice(&[0x80, 111, (number >> 9) as u8, (number >> 1) as u8]);
        datagram[8..12].copy_from_slice(&77_u32.to_be_bytes());
    }
    datagram
}

#[test]
fn a_hundred_thousand_datagrams_arrive_as_they_were_sent() {
    let mut observation = Observation::shared();
    let path = Path::v4();
    let mut noise = Noise::new(99);
    let mut under_way = VecDeque::new();
    let mut buffer = [0; 2_000];
    let mut changed = 0;
    let mut receive = |sent: Option<Vec<u8>>| {
        let sent = sent.expect("nothing arrives that was not sent");
        let length = path.receiver.recv(&mut buffer).expect("every datagram arrives");
        changed += u32::from(buffer[..length] != sent);
    };
    for number in 0..volume(100_000, 5_000) {
        let datagram = datagram(&mut noise, number);
        path.send(&datagram);
        under_way.push_back(datagram);
        if under_way.len() == WINDOW {
            receive(under_way.pop_front());
        }
    }
    while !under_way.is_empty() {
        receive(under_way.pop_front());
    }
    path.receiver.set_nonblocking(true).unwrap();
    assert!(path.receiver.recv(&mut [0]).is_err(), "nothing arrives that was not sent");
    observation.assert_clean();
    assert_eq!(changed, 0);
    figure("datagrams_changed", changed);
}

#[test]
fn megabytes_of_a_stream_arrive_as_they_were_sent() {
    let mut observation = Observation::shared();
    let mut ends = Ends::v4();
    let sent = Noise::new(3).bytes(volume(8 << 20, 1 << 20) as usize);
    let mut came = vec![0; sent.len()];
    thread::scope(|scope| {
        scope.spawn(|| ends.client.write_all(&sent).unwrap());
        ends.server.read_exact(&mut came).unwrap();
    });
    let changed = came.iter().zip(&sent).filter(|(came, sent)| came != sent).count();
    assert_eq!(changed, 0);
    ends.client_closes();
    observation.assert_clean();
    figure("stream_bytes_changed", changed);
}
