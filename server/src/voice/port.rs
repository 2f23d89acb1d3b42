//! A UDP port that voice comes in and goes out on.

use std::{
    io::{self, IoSliceMut},
    net::{IpAddr, SocketAddr},
};

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use tokio::{io::Interest, net::UdpSocket};

/// Bytes for what is received at once from one address: the kernel puts datagrams of one
/// sender together.
const BUFFER: usize = 64 << 10;

/// Datagrams that the kernel keeps for us: a tenth of a second of what a thread can forward.
const QUEUE: usize = 4 << 20;

/// A UDP port.
#[derive(Debug)]
pub(super) struct Port {
    socket: UdpSocket,
    state: UdpSocketState,
    /// Where it is bound.
    local: SocketAddr,
    /// Where clients are told that it is.
    addresses: Vec<SocketAddr>,
    /// Whether these are addresses that this host knows nothing of.
    is_translated: bool,
}

/// Where what was received is put.
pub(super) struct Buffers {
    bytes: Vec<Vec<u8>>,
    meta: [RecvMeta; BATCH_SIZE],
}

/// A datagram that was received.
#[derive(Clone, Copy, Debug)]
pub(super) struct Datagram<'a> {
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
    pub(super) bytes: &'a [u8],
}

impl Port {
    /// Hears an address. Clients are told these addresses, or where it is heard.
    pub(super) fn bind(listen: SocketAddr, advertise: &[IpAddr]) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind(listen)?;
        socket.set_nonblocking(true)?;
        let state = UdpSocketState::new((&socket).into())?;
        // Without the right to more there is what there is.
        let _as_it_was = state.set_recv_buffer_size((&socket).into(), QUEUE);
        let _as_it_was = state.set_send_buffer_size((&socket).into(), QUEUE);
        let local = socket.local_addr()?;
        let ips = match advertise {
            [] => own_addresses(local.ip())?,
            all => all.to_vec(),
        };
        let addresses = ips.into_iter().map(|ip| SocketAddr::new(ip, local.port())).collect();
        let is_translated = !advertise.is_empty();
        Ok(Self { socket: UdpSocket::from_std(socket)?, state, local, addresses, is_translated })
    }

    /// Where clients are told that it is.
    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// `SO_COOKIE`
    pub(super) fn cookie(&self) -> Option<u64> {
        rustix::net::sockopt::socket_cookie(&self.socket).ok()
    }

    /// Until something is there.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Takes what is there, as much as goes in at once.
    pub(super) fn receive(
        &self,
        into: &mut Buffers,
        mut each: impl FnMut(Datagram<'_>),
    ) -> io::Result<()> {
        let Buffers { bytes, meta } = into;
        let count = {
            let mut bytes = bytes.iter_mut();
            let mut slices = [(); BATCH_SIZE]
                .map(|()| IoSliceMut::new(bytes.next().map_or(&mut [], Vec::as_mut_slice)));
            let socket = &self.socket;
            let receive = || self.state.recv(socket.into(), &mut slices, meta);
            self.socket.try_io(Interest::READABLE, receive)?
        };
        for (bytes, meta) in bytes.iter().zip(&*meta).take(count) {
            let source = canonical(meta.addr);
            let destination = self.destination(meta.dst_ip, source);
            let bytes = bytes.get(..meta.len).unwrap_or_default();
            for bytes in bytes.chunks(meta.stride.max(1)) {
                each(Datagram { source, destination, bytes });
            }
        }
        Ok(())
    }

    /// Which of the addresses that clients know a datagram went to.
    fn destination(&self, ip: Option<IpAddr>, source: SocketAddr) -> SocketAddr {
        let ip = ip.map(|ip| ip.to_canonical());
        let is_it = |address: &&SocketAddr| match ip {
            Some(ip) if !self.is_translated => address.ip() == ip,
            _ => address.is_ipv4() == source.is_ipv4(),
        };
        self.addresses.iter().find(is_it).copied().unwrap_or(self.local)
    }

    /// Sends, from one of the addresses that clients know.
    pub(super) fn send(&self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        let choose = self.local.ip().is_unspecified() && !self.is_translated;
        let transmit = Transmit {
            destination: if self.local.is_ipv6() { mapped(to) } else { to },
            ecn: None,
            contents: bytes,
            segment_size: None,
            src_ip: choose.then(|| from.ip()),
        };
        self.state.try_send((&self.socket).into(), &transmit)
    }
}

impl Buffers {
    pub(super) fn new() -> Self {
        let bytes = vec![vec![0; BUFFER]; BATCH_SIZE];
        Self { bytes, meta: [RecvMeta::default(); BATCH_SIZE] }
    }
}

/// Addresses of this host that one of its ports is heard at.
fn own_addresses(bound: IpAddr) -> io::Result<Vec<IpAddr>> {
    if !bound.is_unspecified() {
        return Ok(vec![bound]);
    }
    let all = if_addrs::get_if_addrs()?;
    let is_heard = |ip: &IpAddr| ip.is_ipv4() || bound.is_ipv6();
    let is_of_link = |ip: &IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    let ips = all.iter().map(if_addrs::Interface::ip);
    let mut ips: Vec<_> = ips.filter(|ip| is_heard(ip) && !is_of_link(ip)).collect();
    // Loopback is of use where there is nothing else.
    if ips.iter().any(|ip| !ip.is_loopback()) {
        ips.retain(|ip| !ip.is_loopback());
    }
    Ok(ips)
}

/// Of two families, a socket has addresses of the older in the newer's guise.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn mapped(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    }
}
