//! The sockets of a network namespace, as `sock_diag`(7) lists them.

use std::{io, net::IpAddr};

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_sock_diag::{
    SockDiagMessage,
    constants::{AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP},
    inet::{ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags, nlas::Nla},
};
use netlink_sys::{Socket as Netlink, SocketAddr, protocols::NETLINK_SOCK_DIAG};
use observer_common::abi::socket::Socket;
use zerocopy::FromBytes;

use crate::model::address_words;

/// More than the kernel puts into one datagram of a dump (32 KiB).
const DATAGRAM: usize = 1 << 16;

/// The front of `struct tcp_info` (`include/uapi/linux/tcp.h`), which kernels only
/// ever append to.
#[repr(C)]
#[derive(FromBytes)]
struct TcpInfo {
    /// States, options and what concerns this moment alone.
    before_rtt: [u8; 68],
    /// Smoothed round trip, in µs.
    rtt_us: u32,
    before_total_retrans: [u32; 7],
    total_retrans: u32,
    pacing_rates: [u64; 2],
    bytes_acked: u64,
    bytes_received: u64,
    before_min_rtt: [u32; 3],
    min_rtt_us: u32,
}

const _: () = assert!(size_of::<TcpInfo>() == 152);

/// Calls `each` with the cookie of every connection in the thread's network namespace
/// that may carry data, and with the connection as adopted.
///
/// # Errors
/// What the kernel said, or that it could not be understood; connections read till then
/// were passed to `each`.
pub fn connections(mut each: impl FnMut(u64, Socket)) -> io::Result<()> {
    let states = StateFlags::ESTABLISHED
        | StateFlags::FIN_WAIT1
        | StateFlags::FIN_WAIT2
        | StateFlags::CLOSE_WAIT;
    list(IPPROTO_TCP, states, ExtensionFlags::INFO, &mut |response| {
        if let Some((cookie, socket)) = connection(response) {
            each(cookie, socket);
        }
    })
}

/// Calls `each` with the cookie, the address and the port of every TCP listener in the
/// thread's network namespace.
///
/// # Errors
/// As [`connections`].
pub fn listeners(mut each: impl FnMut(u64, IpAddr, u16)) -> io::Result<()> {
    list(IPPROTO_TCP, StateFlags::LISTEN, ExtensionFlags::empty(), &mut |response| {
        let id = &response.header.socket_id;
        each(u64::from_ne_bytes(id.cookie), id.source_address, id.source_port);
    })
}

/// Calls `each` with the cookie and the inode of every TCP and UDP socket in the thread's
/// network namespace that a process can hold.
///
/// # Errors
/// As [`connections`].
pub fn inodes(mut each: impl FnMut(u64, u32)) -> io::Result<()> {
    for protocol in [IPPROTO_TCP, IPPROTO_UDP] {
        list(protocol, StateFlags::all(), ExtensionFlags::empty(), &mut |response| {
            // A connection that its program has left has none.
            if response.header.inode != 0 {
                each(u64::from_ne_bytes(response.header.socket_id.cookie), response.header.inode);
            }
        })?;
    }
    Ok(())
}

fn list(
    protocol: u8,
    states: StateFlags,
    extensions: ExtensionFlags,
    each: &mut impl FnMut(&InetResponse),
) -> io::Result<()> {
    let mut netlink = Netlink::new(NETLINK_SOCK_DIAG)?;
    netlink.bind_auto()?;
    netlink.connect(&SocketAddr::new(0, 0))?;
    for (family, socket_id) in [(AF_INET, SocketId::new_v4()), (AF_INET6, SocketId::new_v6())] {
        let request = InetRequest {
            family,
            protocol,
            extensions: extensions.clone(),
            states: states.clone(),
            socket_id,
        };
        netlink.send(&dump(request), 0)?;
        let mut datagram = Vec::with_capacity(DATAGRAM);
        loop {
            datagram.clear();
            if netlink.recv(&mut datagram, libc::MSG_TRUNC)? > datagram.len() {
                return Err(malformed("a datagram larger than the kernel makes"));
            }
            if !messages(&datagram, each)? {
                break;
            }
        }
    }
    Ok(())
}

fn dump(request: InetRequest) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// Passes on the sockets of a datagram, and says whether more are to come.
fn messages(mut datagram: &[u8], each: &mut impl FnMut(&InetResponse)) -> io::Result<bool> {
    while !datagram.is_empty() {
        let message =
            NetlinkMessage::<SockDiagMessage>::deserialize(datagram).map_err(malformed)?;
        match message.payload {
            NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
                each(&response);
            }
            NetlinkPayload::Done(done) if done.code == 0 => return Ok(false),
            NetlinkPayload::Done(done) => {
                return Err(io::Error::from_raw_os_error(done.code.saturating_neg()));
            }
            NetlinkPayload::Error(error) => return Err(error.to_io()),
            _ => {}
        }
        let length = (message.header.length as usize).next_multiple_of(4);
        datagram = datagram.get(length..).unwrap_or_default();
    }
    Ok(true)
}

/// What is said of a connection. The rest of one that its program has left, and that
/// waits for the FIN of the far end or for time to pass, has no figures.
fn connection(response: &InetResponse) -> Option<(u64, Socket)> {
    let info = response.nlas.iter().find_map(|attribute| match attribute {
        Nla::TcpInfo(bytes) => TcpInfo::read_from_prefix(bytes).ok(),
        _ => None,
    });
    let (info, _) = info?;
    let id = &response.header.socket_id;
    let socket = Socket {
        state: response.header.state,
        local: address_words(id.source_address),
        local_port: id.source_port,
        remote: address_words(id.destination_address),
        remote_port: id.destination_port,
        srtt_q3_us: info.rtt_us.saturating_mul(8),
        min_rtt_us: info.min_rtt_us,
        retransmits: info.total_retrans,
        bytes_received: info.bytes_received,
        bytes_acked: info.bytes_acked,
        ..Socket::EMPTY
    };
    Some((u64::from_ne_bytes(id.cookie), socket.adopted()))
}

fn malformed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use std::{
        net::{Ipv4Addr, TcpListener, TcpStream},
        os::fd::AsRawFd as _,
    };

    use proptest::prelude::*;

    use super::*;
    use crate::model::Endpoint;

    #[test]
    fn a_connection_is_listed_by_its_cookie() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut found = Vec::new();
        connections(|cookie, socket| {
            if cookie == self::cookie(&stream) {
                found.push(socket);
            }
        })
        .unwrap();
        let [socket] = found[..] else { panic!("one wanted, not {found:?}") };
        let ends = (
            Endpoint::new(socket.local, socket.local_port),
            Endpoint::new(socket.remote, socket.remote_port),
        );
        let expected = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
        assert_eq!(ends, (expected.0.into(), expected.1.into()));
        assert!(socket.srtt_q3_us > 0 && socket.min_rtt_us > 0, "{socket:?}");
        assert_eq!((socket.bytes_acked, socket.bytes_acked_before), (1, 1), "the SYN");
    }

    fn cookie(stream: &TcpStream) -> u64 {
        let mut cookie = 0_u64;
        let mut length = size_of::<u64>() as libc::socklen_t;
        // SAFETY: the kernel writes as much as the length says.
        let result = unsafe {
            libc::getsockopt(
                stream.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_COOKIE,
                (&raw mut cookie).cast(),
                &raw mut length,
            )
        };
        assert_eq!(result, 0);
        cookie
    }

    fn refused(datagram: &[u8]) -> io::Error {
        messages(datagram, &mut |_| ()).unwrap_err()
    }

    /// `NLMSG_ERROR` and `NLMSG_DONE`, which both carry a negative error number.
    #[test]
    fn what_the_kernel_refuses_is_an_error() {
        for kind in [2_u16, 3] {
            let mut datagram = 36_u32.to_ne_bytes().to_vec();
            datagram.extend(kind.to_ne_bytes());
            datagram.extend([0; 10]);
            datagram.extend((-libc::ENOENT).to_ne_bytes());
            datagram.extend([0; 16]);
            assert_eq!(refused(&datagram).raw_os_error(), Some(libc::ENOENT));
        }
        assert_eq!(refused(&[16, 0, 0]).kind(), io::ErrorKind::InvalidData);
    }

    proptest! {
        #[test]
        fn no_datagram_is_too_strange(
            length in 0_u32..400,
            family in prop::sample::select(vec![0, AF_INET, AF_INET6]),
            body in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            // `SOCK_DIAG_BY_FAMILY`, and a header of which only the length matters.
            let mut datagram = length.to_ne_bytes().to_vec();
            datagram.extend([20, 0]);
            datagram.extend([0; 10]);
            datagram.push(family);
            datagram.extend(body);
            let _any = messages(&datagram, &mut |response| {
                let _socket = connection(response);
            });
        }
    }
}
