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

/// Flows for which a packet must have come before all are looked at again, so that a long
/// capture with many flows that ended is not read for the sake of those.
const FLOWS_A_PACKET: usize = 8;

/// Looks at the flows of a capture from time to time, as an observer reads those of its host.
/// Of two ends one is taken for the near one, so that what goes between them is one call.
pub(super) struct Watch {
    voice: VoiceTracker,
    patience: Patience,
    calls: Calls,
    /// When to look again, in ns of the capture's clock.
    due_ns: u64,
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
        Self { voice, patience, calls: Calls::default(), due_ns: 0, packets: 0, flows: 0 }
    }

    /// A packet of this time is about to be taken in.
    pub(super) fn advance(&mut self, flows: &CaptureFlows, time_ns: u64) {
        self.packets += 1;
        if time_ns >= self.due_ns && self.packets * FLOWS_A_PACKET >= self.flows {
            self.look(flows, time_ns);
            self.due_ns = time_ns.saturating_add(BETWEEN_LOOKS_NS);
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
        (self.packets, self.flows) = (0, all.len());
        let mut update = self.voice.begin(now_ns);
        for mut flow in all {
            flow.key = self.calls.begin(&flow);
            update.take(flow);
        }
        let _reading = update.finish();
        let (paths, calls, within) = (OnceCell::new(), &self.calls, self.patience.one_way);
        // A capture may be of one direction alone: what never came is not missed.
        let _counts = self.voice.one_way(now_ns, |(call, _)| {
            let paths = paths.get_or_init(|| flows.paths());
            let checked_ns = calls.ends(*call).and_then(|[near, far]| paths.checked_ns(near, far));
            let age = checked_ns.map(|then| Duration::from_nanos(now_ns.saturating_sub(then)));
            if age.is_some_and(|age| age < within) { FarEnd::Alive } else { FarEnd::Gone }
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
