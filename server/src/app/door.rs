//! Where connections come in.

use std::{io, net::SocketAddr};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::net::{TcpListener, TcpStream};

use crate::auth::Peer;

/// A listener whose connections send at once: what is told is small, and is not to wait
/// for more.
pub(super) struct Door(pub(super) TcpListener);

impl Listener for Door {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        let _slower = stream.set_nodelay(true);
        (stream, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, Door>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        let cookie = rustix::net::sockopt::socket_cookie(stream.io()).ok();
        Self { address: *stream.remote_addr(), cookie }
    }
}
