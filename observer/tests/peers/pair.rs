//! Both ends of a TCP connection between two namespaces, and what the observer has of it.

use std::{
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use observer::{model::Connection, source::ebpf::read::Kernel};

use super::{ends::Ends, observed, patience::until};

/// Where servers listen.
pub(crate) const PORT: u16 = 7_070;

/// The connection from `local` to `remote`.
pub(crate) fn get(kernel: &mut Kernel, local: SocketAddr, remote: SocketAddr) -> Connection {
    let all = kernel.connections().expect("the map can be read");
    let is_it =
        |one: &&Connection| one.local == Some(local.into()) && one.remote == Some(remote.into());
    let found: Vec<_> = all.iter().filter(is_it).collect();
    let losses = observed::losses(kernel);
    assert_eq!(found.len(), 1, "{local} to {remote}: {found:#?}, and uncounted {losses:?}");
    *found[0]
}

/// Two ends of one connection.
pub(crate) struct Pair {
    /// The near end.
    pub(crate) client: TcpStream,
    /// The far one.
    pub(crate) server: TcpStream,
}

impl Pair {
    /// Connects the near end to the far one.
    pub(crate) fn new(ends: &Ends, to: IpAddr) -> Self {
        let listener = ends.far.enter(|| TcpListener::bind((to, PORT)).expect("the port is free"));
        let client = ends.near.enter(|| TcpStream::connect((to, PORT)).expect("it listens"));
        let (server, _) = listener.accept().expect("it has connected");
        for end in [&client, &server] {
            end.set_nodelay(true).expect("an option can be set");
        }
        Self { client, server }
    }

    /// Where the near end is.
    pub(crate) fn client_address(&self) -> SocketAddr {
        self.client.local_addr().expect("it is bound")
    }

    /// Where the far end is.
    pub(crate) fn server_address(&self) -> SocketAddr {
        self.server.local_addr().expect("it is bound")
    }
}

/// The connections that are closed, until `COUNT` of them are what was asked for.
pub(crate) fn closed<const COUNT: usize>(
    kernel: &mut Kernel,
    is_it: impl Fn(&Connection) -> bool,
) -> [Connection; COUNT] {
    let mut found = Vec::new();
    until(Duration::from_secs(15), "connections to be closed", || {
        while let Some(one) = kernel.next_closed() {
            if is_it(&one) {
                found.push(one);
            }
        }
        found.len() >= COUNT
    });
    found.try_into().expect("no more than that")
}
