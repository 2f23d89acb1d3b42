//! When the flows of a capture were interrupted.

use std::{cell::OnceCell, collections::HashMap, time::Duration};

use crate::{
    model::{Direction, Endpoint, SocketCookie, VoiceFlow, VoiceKey},
    track::{
        capture::CaptureFlows,
        voice::{
            VoiceTracker,
            interruption::{FarEnd, Interruptions, Patience},
        },
    },
};

/// Between two looks, in ns of the capture's clock: no silence is so short that two of them
/// end between two looks.
const BETWEEN_LOOKS_NS: u64 = 1_000_000_000;

/// Flows for which a packet must have come before all are looked at again: a look at one takes
/// some 0.7 µs (15,001 flows, a release build), and a long capture may have many that ended.
const FLOWS_A_PACKET: usize = 1;

/// Looks at the flows of a capture from time to time, as an observer reads those of its host.
/// Of two ends one is taken for the near one, so that what goes between them is one call.
pub(super) struct Watch {
    voice: VoiceTracker,
    patience: Patience,
    calls: Calls,
    /// When it looked last, in ns of the capture's clock.
    looked_ns: u64,
    /// Packets since the last look.
    packets: usize,
    /// Flows that there were then.
    flows: usize,
}

/// A number for each pair of ends, as a socket has one.
#[derive(Default)]
struct Calls {
    sockets: HashMap<[Endpoint; 2], SocketCookie>,
    /// In the order of their numbers, from 1 on.
    ends: Vec<[Endpoint; 2]>,
}

/// When the flows of a capture were interrupted.
pub(super) struct Interrupted {
    by_flow: HashMap<VoiceKey, Interruptions>,
    calls: Calls,
}

impl Watch {
    pub(super) fn new(patience: Patience) -> Self {
        let mut voice = VoiceTracker::new(Duration::MAX);
        voice.set_patience(patience);
        Self { voice, patience, calls: Calls::default(), looked_ns: 0, packets: 0, flows: 0 }
    }

    /// A packet of this time is about to be taken in.
    pub(super) fn advance(&mut self, flows: &CaptureFlows, time_ns: u64) {
        self.packets += 1;
        // The clock of a capture may leap, and back.
        let is_time = time_ns.abs_diff(self.looked_ns) >= BETWEEN_LOOKS_NS;
        if is_time && self.packets * FLOWS_A_PACKET >= self.flows {
            self.look(flows, time_ns);
        }
    }

    /// Looks for the last time, at the time of the last packet.
    pub(super) fn finish(mut self, flows: &CaptureFlows, time_ns: u64) -> Interrupted {
        self.look(flows, time_ns);
        let by_flow = self.voice.flows().map(|(flow, course)| (flow.key, course.interruptions));
        Interrupted { by_flow: by_flow.collect(), calls: self.calls }
    }

    fn look(&mut self, flows: &CaptureFlows, now_ns: u64) {
        let all = flows.flows();
        let age_ns = now_ns.abs_diff(self.looked_ns);
        (self.looked_ns, self.packets, self.flows) = (now_ns, 0, all.len());
        // No flow ends, so that it is still known at the end why it was interrupted.
        let mut update = self.voice.begin(now_ns);
        for mut flow in all {
            if now_ns.abs_diff(flow.stream.last_ns) <= age_ns {
                flow.key = self.calls.begin(&flow);
                update.take(flow);
            }
        }
        let (paths, calls, patience) = (OnceCell::new(), &self.calls, self.patience.one_way);
        // A capture may be of one direction alone: what never came is not missed.
        let _counts = self.voice.one_way(now_ns, |(call, _)| {
            let paths = paths.get_or_init(|| flows.paths());
            let checked_ns = calls.ends(*call).and_then(|[near, far]| paths.checked_ns(near, far));
            checked_ns.map_or(FarEnd::Gone, |then| {
                FarEnd::seen(Duration::from_nanos(now_ns.saturating_sub(then)), patience)
            })
        });
    }
}

impl Interrupted {
    /// What there was of a flow of the capture.
    pub(super) fn of(&self, flow: &VoiceFlow) -> Interruptions {
        let key = self.calls.key(flow);
        key.and_then(|key| self.by_flow.get(&key)).copied().unwrap_or_default()
    }
}

impl Calls {
    /// The key of a flow between two ends, of which one is the near one.
    fn begin(&mut self, flow: &VoiceFlow) -> VoiceKey {
        let ends = ends(flow);
        let next = SocketCookie(self.ends.len() as u64 + 1);
        let socket = *self.sockets.entry(ends).or_insert(next);
        if socket == next {
            self.ends.push(ends);
        }
        key(flow, ends, socket)
    }

    fn key(&self, flow: &VoiceFlow) -> Option<VoiceKey> {
        let ends = ends(flow);
        Some(key(flow, ends, *self.sockets.get(&ends)?))
    }

    fn ends(&self, socket: SocketCookie) -> Option<[Endpoint; 2]> {
        self.ends.get(usize::try_from(socket.0).ok()?.checked_sub(1)?).copied()
    }
}

/// Both ends of a flow, in one order whichever way it goes.
fn ends(flow: &VoiceFlow) -> [Endpoint; 2] {
    let mut ends = [flow.source(), flow.destination()];
    ends.sort_unstable_by_key(|end| (end.words(), end.port()));
    ends
}

fn key(flow: &VoiceFlow, [near, far]: [Endpoint; 2], socket: SocketCookie) -> VoiceKey {
    let is_sent = flow.source() == near;
    let direction = if is_sent { Direction::Transmit } else { Direction::Receive };
    VoiceKey { socket, peer: far, direction, ..flow.key }
}

#[cfg(test)]
mod tests;
