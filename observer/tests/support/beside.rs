//! What is no media on a voice socket: STUN, DTLS, RTCP, TURN.

use std::net::UdpSocket;

/// Binding request, and the answer that grants it.
pub(crate) const CHECK: u16 = 0x0001;
pub(crate) const GRANTED: u16 = 0x0101;
pub(crate) const REFUSED: u16 = 0x0111;
/// Indication by which a relay passes on what came.
pub(crate) const DATA: u16 = 0x0017;

pub(crate) const USERNAME: u16 = 0x0006;
pub(crate) const USE_CANDIDATE: u16 = 0x0025;

/// A STUN message of this type and transaction.
pub(crate) fn stun(kind: u16, transaction: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, value) in attributes {
        body.extend(kind.to_be_bytes());
        body.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        body.extend(*value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let mut message = Vec::from(kind.to_be_bytes());
    message.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    message.extend(0x2112_a442_u32.to_be_bytes());
    message.extend([transaction; 12]);
    message.extend(body);
    message
}

/// A `ClientHello` of DTLS 1.2 that says nothing further.
pub(crate) fn hello() -> Vec<u8> {
    let mut record = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 62, 1, 0, 0, 50];
    record.extend([0, 0, 0, 0, 0, 0, 0, 50]);
    record.resize(75, 0);
    record
}

/// A report of `sender`: a sender report with this NTP time if there is one, and a block on
/// each of these sources with this last report and delay.
pub(crate) fn report(sender: u32, ntp: Option<u64>, blocks: &[(u32, u32, u32)]) -> Vec<u8> {
    let words = 1 + if ntp.is_some() { 5 } else { 0 } + 6 * blocks.len();
    let mut packet = vec![0x80 | blocks.len() as u8, if ntp.is_some() { 200 } else { 201 }];
    packet.extend((words as u16).to_be_bytes());
    packet.extend(sender.to_be_bytes());
    if let Some(ntp) = ntp {
        packet.extend(ntp.to_be_bytes());
        packet.extend([0; 12]);
    }
    for (source, last, delay) in blocks {
        let loss = 0x4000_0007_u32;
        for word in [*source, loss, 0x0001_0003, 80, *last, *delay] {
            packet.extend(word.to_be_bytes());
        }
    }
    packet
}

/// The report, as SRTCP would have it: all but its first eight bytes hidden, and more behind.
pub(crate) fn hidden(mut report: Vec<u8>) -> Vec<u8> {
    report[8..].iter_mut().for_each(|byte| *byte ^= 0x5a);
    report.extend([0x80, 0, 0, 1, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5]);
    report
}

/// Channel data.
pub(crate) fn channel(data: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0x40, 0x01];
    datagram.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    datagram.extend(data);
    datagram
}

/// Two sockets that talk.
pub(crate) struct Peers {
    pub(crate) near: UdpSocket,
    pub(crate) far: UdpSocket,
}

impl Peers {
    pub(crate) fn new() -> Self {
        let [near, far] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        Self { near, far }
    }

    pub(crate) fn there(&self, datagram: &[u8]) {
        carry(&self.near, &self.far, datagram);
    }

    pub(crate) fn back(&self, datagram: &[u8]) {
        carry(&self.far, &self.near, datagram);
    }
}

/// Sends, and waits until it was read.
fn carry(from: &UdpSocket, to: &UdpSocket, datagram: &[u8]) {
    from.send_to(datagram, to.local_addr().unwrap()).unwrap();
    let mut buffer = [0; 2_048];
    let length = to.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], datagram);
}
