//! Voice flows of a capture: what the kernel programs do with a packet, for packets
//! that come from a file.

mod paths;
mod streams;

use std::collections::HashMap;

use observer_common::{
    bytes::Bytes as _,
    demux::{Seen, What},
    packet::{Ip, TCP, UDP, UDP_HEADER, Udp, Unparsed},
    rtp::{
        HEADER, Header,
        extension::{Elements, SAMPLED},
        flow::Flow,
        probation,
    },
};

use super::{
    moves::{Moves, Whole},
    paths::PathTracker,
};
use crate::model::{Direction, Endpoint, Losses, SocketCookie, Transport, VoiceFlow, VoiceKey};
use paths::{Beside, CapturePaths, End, Full};
use streams::{PassedOver, Segment, Streams};

/// A flow of a capture: no socket is known, but both ends are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    source: End,
    destination: End,
    ssrc: u32,
    transport: Transport,
}

/// A flow that has proved to be one.
#[derive(Clone, Copy, Debug)]
struct Followed {
    /// How many began before it.
    place: usize,
    flow: VoiceFlow,
}

/// A flow in probation.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    /// Of one packet.
    flow: Flow,
    /// Whether that packet is in the ledger: the flow had no room.
    is_lost: bool,
}

/// The flows of a capture.
#[derive(Debug)]
pub struct CaptureFlows {
    max_flows: usize,
    max_candidates: usize,
    flows: HashMap<Key, Followed>,
    candidates: HashMap<Key, Candidate>,
    paths: CapturePaths,
    streams: Streams,
    losses: Losses,
    packets: u64,
}

impl CaptureFlows {
    /// Keeps at most `max_flows`, and `max_candidates` in probation; the packets of
    /// others are counted as lost.
    #[must_use]
    pub fn new(max_flows: usize, max_candidates: usize) -> Self {
        Self {
            max_flows,
            max_candidates,
            flows: HashMap::new(),
            candidates: HashMap::new(),
            paths: CapturePaths::new(max_flows.saturating_add(max_candidates)),
            streams: Streams::new(max_flows),
            losses: Losses::new(),
            packets: 0,
        }
    }

    /// Takes in an IP packet of which `bytes` were captured and that was `wire_length`
    /// bytes long, at `time_ns` of the capture's clock.
    pub fn advance(&mut self, bytes: &[u8], wire_length: u32, time_ns: u64) {
        match Ip::parse(&bytes) {
            Ok(ip) if ip.protocol == UDP => self.datagram(&bytes, &ip, wire_length, time_ns),
            Ok(ip) if ip.protocol == TCP => self.segment(bytes, &ip, wire_length, time_ns),
            Ok(_) => {}
            Err(why) => self.lose("packet", reason(why), 1),
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

    /// Every flow with what is known of its path, in the order in which they began. One that
    /// moved from path to path is one flow.
    #[must_use]
    pub fn calls(&self, paths: &PathTracker) -> Vec<VoiceFlow> {
        let mut moves = Moves::default();
        let mut calls = Vec::<VoiceFlow>::new();
        for (at, mut flow) in self.flows().into_iter().enumerate() {
            (flow.rtt, flow.far_loss) = paths.quality(&flow);
            let session = paths.session(&flow);
            // There are no sockets, and a source may send one stream to many.
            flow.key.socket = SocketCookie(at as u64 + 1);
            let known = |key: &VoiceKey| calls.iter().find(|known| known.key == *key).copied();
            match moves.take(&flow, || session, known) {
                Some(Whole { flow: whole, was: Some(was) }) => {
                    calls.iter_mut().filter(|call| call.key == was).for_each(|call| *call = whole);
                }
                Some(Whole { flow: whole, was: None }) => {
                    let same = calls.iter_mut().filter(|call| call.key == whole.key);
                    same.for_each(|call| *call = whole);
                }
                None => calls.push(flow),
            }
        }
        for call in &mut calls {
            call.key.socket = SocketCookie(0);
        }
        calls
    }

    /// Every flow, in the order in which they began.
    #[must_use]
    pub fn flows(&self) -> Vec<VoiceFlow> {
        let mut flows: Vec<_> = self.flows.values().collect();
        flows.sort_by_key(|followed| followed.place);
        flows.into_iter().map(|followed| followed.flow).collect()
    }

    /// What is known of their paths.
    #[must_use]
    pub fn paths(&self) -> PathTracker {
        self.paths.tracker(self.flows.values().map(|followed| &followed.flow))
    }

    fn datagram(&mut self, bytes: &&[u8], ip: &Ip, wire_length: u32, time_ns: u64) {
        let Some([ports, sum, first, timestamp, ssrc]) = bytes.head(ip.transport) else {
            if is_cut(bytes, ip, wire_length) {
                self.lose("packet", "truncated", 1);
            }
            return;
        };
        let at = ip.transport + UDP_HEADER;
        let length = wire_length.saturating_sub(at);
        let key = Key::of(ip, [ports, sum]);
        match Header::parse([first, timestamp, ssrc], length) {
            Some(header) => self.media(key, &header, length, Some((bytes, at)), time_ns),
            None => self.beside(bytes, at, length, key, time_ns),
        }
    }

    /// A TCP segment, which may carry datagrams.
    fn segment(&mut self, bytes: &[u8], ip: &Ip, wire_length: u32, time_ns: u64) {
        let Some(header) = bytes.words(ip.transport) else { return };
        let Some(segment) = Segment::of(bytes, ip, header, wire_length) else { return };
        let key = Key::of(ip, [header[0], header[1]]);
        let mut frames = Vec::new();
        let ends = (key.source, key.destination);
        let followed =
            self.streams.take(ends, &segment, |framing, found| frames.push((framing, found)));
        if let Err(PassedOver) = followed {
            self.lose("voice", "stream_gap", 1);
        }
        for (framing, found) in frames {
            let is_here = found.before == 0;
            if let Some(media) = framing.media(found.head, &found.frame)
                && let Some(header) = Header::parse(media.words, media.length)
            {
                let place = is_here.then_some((&bytes, found.at.saturating_add(media.skip)));
                self.media(key, &header, media.length, place, time_ns);
            } else if is_here {
                let at = found.at.saturating_add(found.frame.skip);
                self.beside(&bytes, at, found.frame.length, key, time_ns);
            }
        }
    }

    /// A packet of media, which lies at a place unless it came in two segments.
    fn media(
        &mut self,
        mut key: Key,
        header: &Header,
        length: u32,
        place: Option<(&&[u8], u32)>,
        time_ns: u64,
    ) {
        key.ssrc = header.ssrc;
        let Some(Followed { flow, .. }) = self.flows.get_mut(&key) else {
            self.probe(key, header, length, time_ns);
            return;
        };
        flow.stream.advance(header, length, time_ns);
        self.packets += 1;
        if header.sequence.is_multiple_of(SAMPLED)
            && let Some((bytes, at)) = place
            && let Some(told) = Elements::read(bytes, at, bytes.word(at))
        {
            flow.extensions.advance(&told, flow.stream.packets, time_ns);
        }
    }

    /// A datagram that is no media, or media by way of a relay.
    fn beside(&mut self, bytes: &&[u8], mut at: u32, length: u32, key: Key, time_ns: u64) {
        let mut seen = Seen::read(bytes, at, length);
        if let Some(Seen { what: What::Relayed, span: inner, .. }) = seen {
            let header = bytes.words(inner.at);
            if let Some(header) = header.and_then(|words| Header::parse(words, inner.length)) {
                self.media(key, &header, inner.length, Some((bytes, inner.at)), time_ns);
                return;
            }
            at = inner.at;
            seen = Seen::read(bytes, at, inner.length);
        }
        let Some(seen) = seen else { return };
        let Key { source, destination, transport, .. } = key;
        let datagram = Beside { bytes, at, source, destination, time_ns, seen };
        let flows = &self.flows;
        let is_flow = |source, destination, ssrc| {
            flows.contains_key(&Key { source, destination, ssrc, transport })
        };
        if let Err(Full) = self.paths.take(&datagram, is_flow) {
            self.lose("path", "table_full", 1);
        }
    }

    fn probe(&mut self, key: Key, header: &Header, length: u32, time_ns: u64) {
        let candidate = self.candidates.get(&key).map(|candidate| candidate.flow);
        let confirmed = candidate.filter(|flow| probation::confirms(flow, header));
        if let Some(mut flow) = confirmed
            && self.flows.len() < self.max_flows
        {
            flow.advance(header, length, time_ns);
            self.packets += flow.packets;
            self.candidates.remove(&key);
            let followed = Followed { place: self.flows.len(), flow: key.flow(flow) };
            self.flows.insert(key, followed);
            return;
        }
        let is_lost = confirmed.is_some();
        if is_lost {
            self.lose("voice", "table_full", 1);
        }
        if candidate.is_none() && self.candidates.len() >= self.max_candidates {
            self.evict();
        }
        // A flow without room is held too: else the next packet would not follow this
        // one, and not be counted.
        let flow = Flow::new(header, length, time_ns);
        self.candidates.insert(key, Candidate { flow, is_lost });
    }

    /// Drops the older half of the candidates.
    fn evict(&mut self) {
        let mut times: Vec<_> = self.candidates.values().map(|held| held.flow.last_ns).collect();
        let middle = times.len() / 2;
        let (_, median, _) = times.select_nth_unstable(middle);
        let evicted = self.candidates.extract_if(|_, held| held.flow.last_ns <= *median);
        let lost = evicted.filter(|(_, held)| !held.is_lost).count();
        self.lose("voice", "candidate_evicted", lost as u64);
    }

    fn lose(&mut self, stage: &'static str, reason: &'static str, count: u64) {
        *self.losses.entry((stage, reason)).or_default() += count;
    }
}

impl Key {
    /// Of no source yet, between the ends of a packet whose transport header begins so.
    fn of(ip: &Ip, header: [u32; 2]) -> Self {
        let ports = Udp::parse(header);
        let source = (ip.source, ports.source);
        let destination = (ip.destination, ports.destination);
        Self { source, destination, ssrc: 0, transport: Transport::of(ip.protocol) }
    }

    fn flow(&self, stream: Flow) -> VoiceFlow {
        let end = |(words, port)| Endpoint::new(words, port);
        let voice = VoiceKey {
            socket: SocketCookie(0),
            peer: end(self.source),
            ssrc: self.ssrc,
            direction: Direction::Receive,
        };
        let transport = self.transport;
        VoiceFlow { transport, ..VoiceFlow::new(voice, end(self.destination), stream) }
    }
}

/// Whether the capture ends inside a datagram's RTP header, of which nothing captured
/// says that it is none.
fn is_cut(bytes: &&[u8], ip: &Ip, wire_length: u32) -> bool {
    let payload = ip.transport + UDP_HEADER;
    let first = bytes.words(payload).map(|[first]| first);
    let length = wire_length.saturating_sub(payload);
    length >= HEADER && first.is_none_or(|first| Header::parse([first, 0, 0], length).is_some())
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
