//! Which sockets belong to a process that forwards streams as they are: an SFU that keeps
//! SSRCs has a stream that it receives and one that it transmits with the same one.

use std::collections::{HashMap, HashSet};

use crate::model::{Direction, SocketCookie, VoiceKey};

/// Processes, and what they receive and transmit.
#[derive(Debug, Default)]
pub struct Forwarding {
    streams: HashMap<Stream, Sides>,
    /// The process of each flow that is taken in.
    flows: HashMap<VoiceKey, u32>,
    /// The sockets that have forwarded streams.
    forwarders: HashMap<SocketCookie, Forwarder>,
    changed: HashSet<SocketCookie>,
}

/// The process of a socket that forwards, and how many streams it forwards.
#[derive(Debug)]
struct Forwarder {
    pid: u32,
    streams: u32,
}

/// A stream of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Stream {
    pid: u32,
    ssrc: u32,
}

/// Sockets that carry a stream, one for each flow.
#[derive(Debug, Default)]
struct Sides {
    received: Vec<SocketCookie>,
    transmitted: Vec<SocketCookie>,
}

impl Sides {
    const fn of(&mut self, direction: Direction) -> &mut Vec<SocketCookie> {
        match direction {
            Direction::Receive => &mut self.received,
            Direction::Transmit => &mut self.transmitted,
        }
    }

    const fn are_both(&self) -> bool {
        !self.received.is_empty() && !self.transmitted.is_empty()
    }

    fn all(&self) -> impl Iterator<Item = SocketCookie> {
        self.received.iter().chain(&self.transmitted).copied()
    }
}

impl Forwarding {
    /// Whether a flow is taken in.
    #[must_use]
    pub fn knows(&self, flow: &VoiceKey) -> bool {
        self.flows.contains_key(flow)
    }

    /// Takes in a flow of a process.
    pub fn begin(&mut self, flow: VoiceKey, pid: u32) {
        if self.flows.insert(flow, pid).is_some() {
            return;
        }
        let sides = self.streams.entry(Stream { pid, ssrc: flow.ssrc }).or_default();
        let were_both = sides.are_both();
        sides.of(flow.direction).push(flow.socket);
        let sockets: Vec<_> = if were_both {
            vec![flow.socket]
        } else if sides.are_both() {
            sides.all().collect()
        } else {
            Vec::new()
        };
        for socket in sockets {
            let forwarder = self.forwarders.entry(socket).or_insert(Forwarder { pid, streams: 0 });
            forwarder.streams += 1;
            if forwarder.streams == 1 {
                self.changed.insert(socket);
            }
        }
    }

    /// Leaves out a flow.
    pub fn end(&mut self, flow: &VoiceKey) {
        let Some(pid) = self.flows.remove(flow) else { return };
        let stream = Stream { pid, ssrc: flow.ssrc };
        let Some(sides) = self.streams.get_mut(&stream) else { return };
        let were_both = sides.are_both();
        let side = sides.of(flow.direction);
        if let Some(at) = side.iter().position(|socket| *socket == flow.socket) {
            side.swap_remove(at);
        }
        let mut sockets = Vec::new();
        if were_both {
            sockets.push(flow.socket);
            if !sides.are_both() {
                sockets.extend(sides.all());
            }
        }
        if sides.all().next().is_none() {
            self.streams.remove(&stream);
        }
        for socket in sockets {
            if let Some(forwarder) = self.forwarders.get_mut(&socket) {
                forwarder.streams -= 1;
                if forwarder.streams == 0 {
                    self.forwarders.remove(&socket);
                    self.changed.insert(socket);
                }
            }
        }
    }

    /// The sockets that forward since this was last asked, and for which process, and those
    /// that no longer do.
    pub fn take_changed(&mut self) -> Vec<(SocketCookie, Option<u32>)> {
        let now = |socket| (socket, self.forwarders.get(&socket).map(|forwarder| forwarder.pid));
        self.changed.drain().map(now).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(socket: u64, ssrc: u32, direction: Direction) -> VoiceKey {
        let peer = format!("10.0.0.{socket}:5004").parse().unwrap();
        VoiceKey { socket: SocketCookie(socket), peer, ssrc, direction }
    }

    fn changed(forwarding: &mut Forwarding) -> Vec<(u64, bool)> {
        let mut all: Vec<_> = forwarding
            .take_changed()
            .iter()
            .map(|(socket, forwards)| (socket.0, forwards.is_some()))
            .collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn a_process_that_sends_what_it_receives_forwards_until_one_side_ends() {
        use Direction::{Receive, Transmit};
        let mut forwarding = Forwarding::default();
        let [one, two, three] = [flow(1, 7, Receive), flow(2, 7, Transmit), flow(3, 7, Transmit)];
        forwarding.begin(one, 100);
        assert_eq!(changed(&mut forwarding), []);
        forwarding.begin(two, 100);
        assert_eq!(changed(&mut forwarding), [(1, true), (2, true)]);
        forwarding.begin(three, 100);
        forwarding.begin(three, 100);
        assert_eq!(changed(&mut forwarding), [(3, true)]);
        forwarding.end(&two);
        assert_eq!(changed(&mut forwarding), [(2, false)]);
        forwarding.end(&one);
        assert_eq!(changed(&mut forwarding), [(1, false), (3, false)]);
        forwarding.end(&three);
        forwarding.end(&three);
        assert!(forwarding.streams.is_empty() && forwarding.flows.is_empty());
        assert_eq!(changed(&mut forwarding), []);
    }

    #[test]
    fn two_processes_or_two_streams_are_no_forwarding() {
        let mut forwarding = Forwarding::default();
        forwarding.begin(flow(1, 7, Direction::Receive), 100);
        forwarding.begin(flow(2, 7, Direction::Transmit), 200);
        forwarding.begin(flow(3, 8, Direction::Transmit), 100);
        assert_eq!(changed(&mut forwarding), []);
    }

    #[test]
    fn a_socket_with_two_forwarded_streams_forwards_until_the_last() {
        let mut forwarding = Forwarding::default();
        for ssrc in [7, 8] {
            forwarding.begin(flow(1, ssrc, Direction::Receive), 100);
            forwarding.begin(flow(1, ssrc, Direction::Transmit), 100);
        }
        assert_eq!(changed(&mut forwarding), [(1, true)]);
        forwarding.end(&flow(1, 7, Direction::Receive));
        assert_eq!(changed(&mut forwarding), []);
        forwarding.end(&flow(1, 8, Direction::Transmit));
        assert_eq!(changed(&mut forwarding), [(1, false)]);
    }
}
