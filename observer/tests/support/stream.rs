//! The two ends of a TCP connection.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    time::Instant,
};

use observer::model::SocketCookie;

use super::socket::{PATIENCE, cookie};

/// A connection, and when its ends had come to be.
pub(crate) struct Ends {
    /// It connected.
    pub(crate) client: TcpStream,
    /// It was accepted.
    pub(crate) server: TcpStream,
    /// Time that connect and accept took together, which no part of them exceeds.
    pub(crate) took: std::time::Duration,
}

impl Ends {
    /// Connects to `listener` by way of `to`.
    pub(crate) fn meet(listener: &TcpListener, to: SocketAddr) -> Self {
        let begun = Instant::now();
        let client = TcpStream::connect(to).unwrap();
        let (server, _) = listener.accept().unwrap();
        let took = begun.elapsed();
        for end in [&client, &server] {
            end.set_read_timeout(Some(PATIENCE)).unwrap();
            end.set_nodelay(true).unwrap();
        }
        Self { client, server, took }
    }

    /// On 127.0.0.1.
    pub(crate) fn v4() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        Self::meet(&listener, listener.local_addr().unwrap())
    }

    /// Client's and server's.
    pub(crate) fn cookies(&self) -> [SocketCookie; 2] {
        [cookie(&self.client), cookie(&self.server)]
    }

    /// Both directions carry bytes, and both ends have read them all.
    pub(crate) fn talk(&mut self, request: usize, response: usize) {
        carry(&mut self.client, &mut self.server, request);
        carry(&mut self.server, &mut self.client, response);
    }

    /// The client sends its FIN, the server answers with its own.
    pub(crate) fn client_closes(self) {
        hang_up(self.client, self.server);
    }

    /// The server sends its FIN, the client answers with its own.
    pub(crate) fn server_closes(self) {
        hang_up(self.server, self.client);
    }
}

fn carry(from: &mut TcpStream, to: &mut TcpStream, bytes: usize) {
    from.write_all(&vec![0x5a; bytes]).unwrap();
    let mut read = vec![0; bytes];
    to.read_exact(&mut read).unwrap();
}

/// Half-closes, so that the second FIN still meets a whole socket: one that is closed at
/// once lives on as a time-wait socket, which counts nothing.
fn hang_up(mut first: TcpStream, mut second: TcpStream) {
    first.shutdown(Shutdown::Write).unwrap();
    assert_eq!(second.read(&mut [0]).unwrap(), 0);
    drop(second);
    assert_eq!(first.read(&mut [0]).unwrap(), 0);
}
