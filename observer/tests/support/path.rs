//! Two UDP sockets and the way between them.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use super::socket::PATIENCE;

/// From one socket to another.
pub(crate) struct Path {
    /// The near end.
    pub(crate) sender: UdpSocket,
    /// The far end.
    pub(crate) receiver: UdpSocket,
    to: SocketAddr,
}

impl Path {
    /// Neither end is connected.
    pub(crate) fn open(from: IpAddr, to: IpAddr) -> Self {
        let sender = UdpSocket::bind((from, 0)).unwrap();
        let receiver = UdpSocket::bind((to, 0)).unwrap();
        receiver.set_read_timeout(Some(PATIENCE)).unwrap();
        let to = receiver.local_addr().unwrap();
        Self { sender, receiver, to }
    }

    /// Over IPv4, unconnected.
    pub(crate) fn v4() -> Self {
        Self::open([127, 0, 0, 1].into(), [127, 0, 0, 1].into())
    }

    /// Sends to this address instead, which must lead to the receiver.
    pub(crate) fn by_way_of(mut self, to: IpAddr) -> Self {
        self.to.set_ip(to);
        self
    }

    /// Connects both ends.
    pub(crate) fn connect(self) -> Self {
        self.sender.connect(self.to).unwrap();
        let back = SocketAddr::new(
            match self.receiver.local_addr().unwrap().ip() {
                IpAddr::V4(_) => self.sender.local_addr().unwrap().ip().to_canonical(),
                IpAddr::V6(_) => self.sender.local_addr().unwrap().ip(),
            },
            self.sender.local_addr().unwrap().port(),
        );
        self.receiver.connect(back).unwrap();
        self
    }

    /// Sends, without waiting for the far end.
    pub(crate) fn send(&self, packet: &[u8]) {
        // A connected socket may be given its own peer's address.
        assert_eq!(self.sender.send_to(packet, self.to).unwrap(), packet.len());
    }

    /// Sends, and waits until the receiver has read it.
    pub(crate) fn carry(&self, packet: &[u8]) {
        self.send(packet);
        let mut buffer = [0; 65_536];
        let length = self.receiver.recv(&mut buffer).expect("a datagram on loopback arrives");
        assert_eq!(&buffer[..length], packet);
    }
}
