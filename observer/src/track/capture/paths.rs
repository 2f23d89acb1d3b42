//! Paths of a capture. It shows both ends at once, so each datagram is taken in twice: as
//! its sender sent it, and as its receiver got it. What the capture's place adds to either
//! end's times nobody knows: one seen at an end is that end's, and of the other's only the
//! part behind the capture.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use observer_common::{
    abi::{RECEIVE, TRANSMIT},
    bytes::Bytes as _,
    demux::{Seen, What},
    packet::Address,
    path::Path,
    rtcp::{self, BLOCK, Block, Compound, report::Report},
    stun::Name,
};

use crate::{
    model::{
        Direction, Endpoint, FlowReport, PathKey, SocketCookie, VoiceFlow, VoiceKey, VoicePath,
    },
    track::paths::PathTracker,
};

/// An address and a port.
pub(super) type End = (Address, u16);

/// The paths of a capture, in probation or not.
#[derive(Debug)]
pub(super) struct CapturePaths {
    most: usize,
    /// By the end that sees it so, and the other.
    paths: HashMap<(End, End), Held>,
}

#[derive(Debug)]
struct Held {
    path: Path,
    /// By the source that is reported on.
    reports: BTreeMap<u32, Report>,
}

/// A datagram that is no media.
pub(super) struct Beside<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: u32,
    pub(super) source: End,
    pub(super) destination: End,
    pub(super) time_ns: u64,
    pub(super) seen: Seen,
}

/// A path found no room.
pub(super) struct Full;

impl CapturePaths {
    /// Keeps at most so many.
    pub(super) fn new(most: usize) -> Self {
        Self { most, paths: HashMap::new() }
    }

    /// Takes in a datagram. `is_flow` knows which sources are those of flows, by the ends
    /// that they send from and to.
    pub(super) fn take(
        &mut self,
        datagram: &Beside<'_>,
        is_flow: impl Fn(End, End, u32) -> bool,
    ) -> Result<(), Full> {
        let Beside { source, destination, seen, time_ns, .. } = *datagram;
        let Seen { what, span, compound, .. } = seen;
        let name = if what == What::Check { Name::read(&datagram.bytes, span) } else { Name::NONE };
        let is_known = what == What::Rtcp && is_flow(source, destination, compound.ssrc);
        let sides = [(source, destination, TRANSMIT), (destination, source, RECEIVE)];
        for (local, peer, direction) in sides {
            let Some(held) = self.held(local, peer, Path::may_begin(&seen, is_known))? else {
                continue;
            };
            held.path.take(&seen, &name, is_known, direction, time_ns);
            if what == What::Rtcp && compound.is_plain && held.path.is_proved() {
                held.report(datagram, &compound, direction, |ssrc| is_flow(local, peer, ssrc));
            }
        }
        Ok(())
    }

    fn held(&mut self, local: End, peer: End, begins: bool) -> Result<Option<&mut Held>, Full> {
        let key = (local, peer);
        if begins && !self.paths.contains_key(&key) {
            if self.paths.len() >= self.most {
                self.paths.retain(|_, held| held.path.is_proved());
            }
            if self.paths.len() >= self.most {
                return Err(Full);
            }
            self.paths.insert(key, Held { path: Path::NONE, reports: BTreeMap::new() });
        }
        Ok(self.paths.get_mut(&key))
    }

    /// What is known of them, beside the flows of the capture.
    pub(super) fn tracker<'f>(&self, flows: impl Iterator<Item = &'f VoiceFlow>) -> PathTracker {
        let mut tracker = PathTracker::new(Duration::MAX);
        let mut update = tracker.begin(0);
        let proved = self.paths.iter().filter(|(_, held)| held.path.is_proved());
        for (number, ((local, peer), held)) in (1..).zip(proved) {
            let end = |(words, port): End| Endpoint::new(words, port);
            // No socket is known, and each of these paths is one of its own.
            let key = PathKey { socket: SocketCookie(number), peer: end(*peer) };
            update.take(VoicePath::new(key, end(*local), held.path));
            for (ssrc, report) in &held.reports {
                let flow = VoiceKey {
                    socket: key.socket,
                    peer: key.peer,
                    ssrc: *ssrc,
                    direction: Direction::Transmit,
                };
                update.take_report(FlowReport { flow, report: *report });
            }
        }
        let _reading = update.finish(flows);
        tracker
    }
}

impl Held {
    /// Takes in what RTCP says of the flows that this end sends.
    fn report(
        &mut self,
        datagram: &Beside<'_>,
        compound: &Compound,
        direction: u8,
        is_flow: impl Fn(u32) -> bool,
    ) {
        let Beside { bytes, at, time_ns, .. } = *datagram;
        if direction == TRANSMIT {
            if compound.is_sender_report()
                && let Some(time) = bytes.words(at.wrapping_add(rtcp::HEADER))
            {
                let report = self.reports.entry(compound.ssrc).or_insert(Report::NONE);
                report.send(rtcp::middle_of_ntp(time), time_ns);
            }
            return;
        }
        let Some(first) = compound.first_block() else { return };
        for number in 0..compound.blocks {
            let at = at.wrapping_add(first + number * BLOCK);
            let Some(words) = bytes.words(at) else { return };
            let block = Block::parse(words);
            if is_flow(block.ssrc) {
                self.reports.entry(block.ssrc).or_insert(Report::NONE);
            }
            if let Some(report) = self.reports.get_mut(&block.ssrc) {
                report.receive(&block, time_ns);
            }
        }
    }
}
