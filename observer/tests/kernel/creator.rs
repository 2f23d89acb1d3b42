//! Who makes a socket, and by which listener one came.

use std::{
    net::{Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket},
    thread,
};

use crate::support::{
    observation::{Observation, await_some, figure},
    socket::cookie,
    stream::Ends,
};

/// 15 letters are kept of a name.
const NAME: &str = "who makes a socket of his own";

#[test]
fn a_socket_is_known_by_the_task_that_made_it() {
    let observation = Observation::shared();
    let sockets = thread::Builder::new()
        .name(NAME.to_owned())
        .spawn(|| {
            let v4 = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let v6 = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            [cookie(&v4), cookie(&v6), cookie(&listener)]
        })
        .unwrap();
    let mut before = 0;
    for socket in sockets.join().unwrap() {
        let creator = observation.kernel.creators().get(socket).expect("it was made just now");
        assert_eq!((creator.pid, creator.comm.as_str()), (std::process::id(), &NAME[..15]));
        assert!(creator.cgroup != 0 && creator.at_ns > before, "{creator:?}");
        before = creator.at_ns;
    }
}

#[test]
fn an_accepted_socket_is_known_by_its_listener_and_in_the_end_by_who_had_it() {
    let mut observation = Observation::shared();
    for listen in [Ipv4Addr::LOCALHOST.into(), std::net::IpAddr::from(Ipv6Addr::LOCALHOST)] {
        // The packets of several come in between each other.
        let listeners = [(); 3].map(|()| TcpListener::bind((listen, 0)).unwrap());
        let ends: Vec<_> = listeners
            .iter()
            .cycle()
            .take(9)
            .map(|listener| (listener, Ends::meet(listener, listener.local_addr().unwrap())))
            .collect();
        for (listener, ends) in ends {
            let [client, server] = ends.cookies();
            let [of_client, of_server] = observation.connections(&[client, server])[..] else {
                panic!("both ends are in the table")
            };
            assert_eq!(of_client.listener, None);
            assert_eq!(of_server.listener, Some(cookie(listener)));
            let creators = observation.kernel.creators();
            assert_eq!(creators.get(client).unwrap().pid, std::process::id());
            assert_eq!(creators.get(server), None, "nobody made it");
            drop(ends);
            let last = await_some("who let go of it", || creators.get(server));
            assert_eq!(last.pid, std::process::id());
            figure("listener_known", 1);
        }
    }
}
