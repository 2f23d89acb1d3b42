//! TCP over loopback, both ends in one thread: what one end sends is there when the
//! call returns.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::clock::Clock;

/// Longest wait for bytes that are there at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection that is used, or connections that are opened.
pub(crate) struct Tcp {
    listener: TcpListener,
    address: SocketAddr,
    connection: Option<Connection>,
}

struct Connection {
    client: TcpStream,
    server: TcpStream,
    request: Vec<u8>,
    response: Vec<u8>,
}

impl Tcp {
    /// One connection, with so many bytes there and so many back.
    pub(crate) fn new(there: usize, back: usize) -> Result<Self> {
        let mut tcp = Self::connections()?;
        let (client, server) = tcp.open()?;
        tcp.connection =
            Some(Connection { client, server, request: vec![1; there], response: vec![2; back] });
        Ok(tcp)
    }

    /// A connection for each turn.
    pub(crate) fn connections() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on loopback")?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, connection: None })
    }

    /// So many turns; the time is this thread's, of both ends together.
    pub(crate) fn send(&mut self, count: u32) -> Result<Duration> {
        let begun = Clock::THREAD.now();
        for _ in 0..count {
            if let Some(connection) = &mut self.connection {
                connection.turn()?;
            } else {
                let (client, mut server) = self.open()?;
                drop(client);
                let _end = server.read(&mut [0])?;
            }
        }
        Ok(Clock::THREAD.now().saturating_sub(begun))
    }

    fn open(&self) -> Result<(TcpStream, TcpStream)> {
        let client = TcpStream::connect(self.address).context("cannot connect on loopback")?;
        let (server, _) = self.listener.accept()?;
        for end in [&client, &server] {
            end.set_nodelay(true)?;
            end.set_read_timeout(Some(PATIENCE))?;
            end.set_write_timeout(Some(PATIENCE))?;
        }
        Ok((client, server))
    }
}

impl Connection {
    fn turn(&mut self) -> Result<()> {
        self.client.write_all(&self.request)?;
        self.server.read_exact(&mut self.request)?;
        self.server.write_all(&self.response)?;
        self.client.read_exact(&mut self.response)?;
        Ok(())
    }
}
