//! How TCP connections end.

use std::net::{Ipv4Addr, TcpListener, TcpStream};

use observer::model::{CloseReason, Role};

use crate::support::{
    observation::{Observation, await_some},
    socket::abort_on_close,
    stream::Ends,
};

/// What client and server say of the end that `close` makes.
fn reasons(close: impl FnOnce(Ends)) -> [&'static str; 2] {
    let mut observation = Observation::shared();
    let mut ends = Ends::v4();
    ends.talk(100, 100);
    let cookies = ends.cookies();
    close(ends);
    let closed = observation.all_closed(cookies);
    assert_eq!(closed.map(|end| end.role), [Role::Client, Role::Server]);
    assert_eq!(observation.connections(&cookies), []);
    closed.map(|end| end.close_reason.map_or("open", CloseReason::as_str))
}

#[test]
fn a_client_that_closes() {
    assert_eq!(reasons(Ends::client_closes), ["fin_sent", "fin_received"]);
}

#[test]
fn a_server_that_closes() {
    assert_eq!(reasons(Ends::server_closes), ["fin_received", "fin_sent"]);
}

#[test]
fn a_client_that_resets() {
    let close = |Ends { client, server, .. }| {
        abort_on_close(&client);
        drop::<TcpStream>(client);
        drop::<TcpStream>(server);
    };
    assert_eq!(reasons(close), ["reset_sent", "reset_received"]);
}

#[test]
fn a_server_that_resets() {
    let close = |Ends { client, server, .. }| {
        abort_on_close(&server);
        drop::<TcpStream>(server);
        drop::<TcpStream>(client);
    };
    assert_eq!(reasons(close), ["reset_received", "reset_sent"]);
}

#[test]
fn a_server_that_closes_with_data_unread_resets() {
    use std::io::Write as _;
    let close = |Ends { mut client, server, .. }| {
        let _: &TcpStream = &client;
        client.write_all(b"never read").unwrap();
        // Peeking waits for the data and leaves it where it is.
        TcpStream::peek(&server, &mut [0]).unwrap();
        drop(server);
        drop(client);
    };
    assert_eq!(reasons(close), ["reset_received", "reset_sent"]);
}

#[test]
fn a_port_that_nobody_listens_on_refuses() {
    let mut observation = Observation::shared();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let to = listener.local_addr().unwrap();
    drop(listener);
    assert!(TcpStream::connect(to).is_err());
    // The socket is gone and its cookie with it: the port tells which it was.
    let closed = await_some("the refused connection", || {
        std::iter::from_fn(|| observation.kernel.next_closed())
            .find(|end| end.remote == Some(to.into()))
    });
    assert_eq!(closed.close_reason, Some(CloseReason::Refused));
    assert_eq!(
        (closed.role, closed.established_ns, closed.handshake()),
        (Role::Client, None, None)
    );
    assert!(closed.opened_ns < closed.closed_ns);
    assert_eq!(observation.connections(&[closed.socket]), []);
    observation.assert_clean();
}
