//! A relay of datagrams that delays, repeats, drops and reorders by a script: what
//! netem would do, where the kernel has none.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle, sleep},
    time::Duration,
};

use super::namespace::Namespace;

/// How often the relay looks whether it should end.
const LOOK: Duration = Duration::from_millis(50);

/// What becomes of one datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It goes on after a while, and those behind it wait.
    Delayed(Duration),
    /// It goes on twice.
    Repeated,
    /// It does not go on.
    Dropped,
    /// It goes on after so many others.
    Behind(u32),
}

/// A relay at work. It ends when this goes.
#[derive(Debug)]
pub(crate) struct Relay {
    at: SocketAddr,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Relays to `to` what reaches it in `namespace`; `script` is asked for the fate
    /// of each datagram by its number, from 0.
    pub(crate) fn start(
        namespace: &Namespace,
        to: (IpAddr, u16),
        script: impl FnMut(u32) -> Fate + Send + 'static,
    ) -> Self {
        let bound = || UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).expect("a port is free");
        let (inside, outside) = namespace.enter(|| (bound(), bound()));
        inside.set_read_timeout(Some(LOOK)).expect("a time can be set");
        let port = inside.local_addr().expect("it is bound").port();
        let to = match to.0 {
            IpAddr::V4(v4) => SocketAddr::from((v4.to_ipv6_mapped(), to.1)),
            IpAddr::V6(v6) => SocketAddr::from((v6, to.1)),
        };
        let ended = Arc::new(AtomicBool::new(false));
        let watch = Arc::clone(&ended);
        let thread = thread::spawn(move || relay(&inside, &outside, to, &watch, script));
        Self { at: SocketAddr::from(([127, 0, 0, 1], port)), ended, thread: Some(thread) }
    }

    /// Where to send to, inside the namespace.
    pub(crate) fn at(&self) -> (IpAddr, u16) {
        (self.at.ip(), self.at.port())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _outcome = thread.join();
        }
    }
}

fn relay(
    inside: &UdpSocket,
    outside: &UdpSocket,
    to: SocketAddr,
    ended: &AtomicBool,
    mut script: impl FnMut(u32) -> Fate,
) {
    let mut held: Vec<(u32, Vec<u8>)> = Vec::new();
    let mut buffer = [0; 2_048];
    let mut number = 0;
    // A packet that a firewall drops on its way out is an error to its sender.
    let send = |datagram: &[u8]| {
        let _dropped = outside.send_to(datagram, to);
    };
    while !ended.load(Ordering::Relaxed) {
        let Ok(length) = inside.recv(&mut buffer) else { continue };
        let datagram = &buffer[..length];
        let fate = script(number);
        number += 1;
        match fate {
            Fate::Delayed(by) => {
                sleep(by);
                send(datagram);
            }
            Fate::Repeated => {
                send(datagram);
                send(datagram);
            }
            Fate::Dropped => continue,
            Fate::Behind(others) => {
                held.push((others, datagram.to_vec()));
                continue;
            }
        }
        held.retain_mut(|(others, datagram)| {
            *others -= 1;
            if *others == 0 {
                send(datagram);
            }
            *others > 0
        });
    }
}
