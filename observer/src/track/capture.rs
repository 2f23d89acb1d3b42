//! Voice flows of a capture: what the kernel programs do with a packet, for packets
//! that come from a file.

use std::{collections::HashMap, net::SocketAddr};

use observer_common::{
    bytes::Bytes as _,
    packet::{Address, Ip, UDP, UDP_HEADER, Udp, Unparsed},
    rtp::{Header, flow::Flow, probation},
};

use crate::model::{Direction, Losses, SocketCookie, VoiceFlow, VoiceKey};

/// Flows in probation that are kept. Beyond them the older half is dropped.
const MAX_CANDIDATES: usize = 16_384;

/// A flow of a capture: no socket is known, but both ends are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    source: (Address, u16),
    destination: (Address, u16),
    ssrc: u32,
}

/// The flows of a capture.
#[derive(Debug)]
pub struct CaptureFlows {
    max_flows: usize,
    flows: HashMap<Key, (usize, Flow)>,
    candidates: HashMap<Key, Flow>,
    losses: Losses,
    packets: u64,
}

impl CaptureFlows {
    /// Keeps at most `max_flows`; the packets of others are counted as lost.
    #[must_use]
    pub fn new(max_flows: usize) -> Self {
        Self {
            max_flows,
            flows: HashMap::new(),
            candidates: HashMap::new(),
            losses: Losses::new(),
            packets: 0,
        }
    }

    /// Takes in an IP packet of which `bytes` were captured and that was `wire_length`
    /// bytes long, at `time_ns` of the capture's clock.
    pub fn advance(&mut self, bytes: &[u8], wire_length: u32, time_ns: u64) {
        match Ip::parse(&bytes) {
            Ok(ip) if ip.protocol == UDP => self.datagram(&bytes, &ip, wire_length, time_ns),
            Ok(_) => {}
            Err(why) => self.lose("packet", reason(why)),
        }
    }

    /// Packets that belong to a flow.
    #[must_use]
    pub const fn packets(&self) -> u64 {
        self.packets
    }

    /// What could not be followed.
    #[must_use]
    pub const fn losses(&self) -> &Losses {
        &self.losses
    }

    /// Every flow, in the order in which they began.
    #[must_use]
    pub fn flows(&self) -> Vec<VoiceFlow> {
        let mut flows: Vec<_> = self.flows.iter().collect();
        flows.sort_by_key(|(_, (place, _))| *place);
        flows.into_iter().map(|(key, (_, flow))| key.flow(*flow)).collect()
    }

    fn datagram(&mut self, bytes: &&[u8], ip: &Ip, wire_length: u32, time_ns: u64) {
        let Some([ports, sum, first, timestamp, ssrc]) = bytes.head(ip.transport) else {
            return;
        };
        let length = wire_length.saturating_sub(ip.transport + UDP_HEADER);
        let Some(header) = Header::parse([first, timestamp, ssrc], length) else { return };
        let udp = Udp::parse([ports, sum]);
        let key = Key {
            source: (ip.source, udp.source),
            destination: (ip.destination, udp.destination),
            ssrc: header.ssrc,
        };
        if let Some((_, flow)) = self.flows.get_mut(&key) {
            flow.advance(&header, length, time_ns);
            self.packets += 1;
            return;
        }
        self.probe(key, &header, length, time_ns);
    }

    fn probe(&mut self, key: Key, header: &Header, length: u32, time_ns: u64) {
        let confirmed = self.candidates.get(&key).filter(|flow| probation::confirms(flow, header));
        let Some(mut flow) = confirmed.copied() else {
            if self.candidates.len() >= MAX_CANDIDATES {
                self.evict();
            }
            self.candidates.insert(key, Flow::new(header, length, time_ns));
            return;
        };
        if self.flows.len() >= self.max_flows {
            self.lose("voice", "table_full");
            return;
        }
        flow.advance(header, length, time_ns);
        self.packets += flow.packets;
        self.candidates.remove(&key);
        self.flows.insert(key, (self.flows.len(), flow));
    }

    fn evict(&mut self) {
        let mut times: Vec<_> = self.candidates.values().map(|flow| flow.last_ns).collect();
        let (_, median, _) = times.select_nth_unstable(MAX_CANDIDATES / 2);
        let median = *median;
        self.candidates.retain(|_, flow| flow.last_ns > median);
    }

    fn lose(&mut self, stage: &'static str, reason: &'static str) {
        *self.losses.entry((stage, reason)).or_default() += 1;
    }
}

impl Key {
    fn flow(&self, stream: Flow) -> VoiceFlow {
        let end = |(words, port): (Address, u16)| {
            let mut octets = [0; 16];
            for (chunk, word) in octets.chunks_exact_mut(4).zip(words) {
                chunk.copy_from_slice(&word.to_ne_bytes());
            }
            SocketAddr::new(std::net::Ipv6Addr::from(octets).to_canonical(), port)
        };
        VoiceFlow {
            key: VoiceKey {
                socket: SocketCookie(0),
                peer: end(self.source),
                ssrc: self.ssrc,
                direction: Direction::Receive,
            },
            local: end(self.destination),
            stream,
        }
    }
}

const fn reason(why: Unparsed) -> &'static str {
    match why {
        Unparsed::Truncated => "truncated",
        Unparsed::NotIp => "not_ip",
        Unparsed::Fragment => "fragment",
        Unparsed::ExtensionHeaders => "extension_headers",
    }
}

#[cfg(test)]
mod tests;
