//! Streams that move from one path to another and stay one flow: ICE may find a better pair
//! of addresses at any time, and the kernel's entries are those of paths.
//!
//! A move is recognised by the ICE session, which both paths share, and the SSRC. Without
//! ICE nothing tells a move from another call with the same SSRC, and there is none.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
};

use observer_common::rtp::flow::{Flow, MAX_DROPOUT};

use crate::model::{Direction, VoiceFlow, VoiceKey};

/// The streams of ICE sessions, which `S` tells apart.
#[derive(Debug)]
pub struct Moves<S> {
    /// The first path that each stream was seen on.
    first: HashMap<Stream<S>, VoiceKey>,
    /// Which stream a flow is known to be of.
    known: HashMap<VoiceKey, Stream<S>>,
    /// Streams with more than one path.
    moved: HashMap<Stream<S>, Moved>,
}

/// A stream of an ICE session, as one end sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Stream<S> {
    session: S,
    ssrc: u32,
    direction: Direction,
}

/// A stream that moved.
#[derive(Debug, Default)]
struct Moved {
    /// What was expected before a sequence that has nothing to do with what was before.
    expected_before: u64,
    /// The lowest number of the sequence, in numbers of the first path.
    lowest: Option<i64>,
    paths: Vec<OnPath>,
}

/// A stream on one of its paths.
#[derive(Clone, Copy, Debug)]
struct OnPath {
    flow: VoiceFlow,
    /// What makes its extended sequence numbers those of the first path; `None` when they
    /// have nothing to do with the others.
    offset: Option<i64>,
    /// What of the packets that it expected before its last jump is among those of the whole.
    counted_before: u64,
}

/// A flow of several paths.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Whole {
    /// All of it, under the key of the path in use.
    pub flow: VoiceFlow,
    /// The key that it had before, if it was another.
    pub was: Option<VoiceKey>,
}

impl<S> Default for Moves<S> {
    fn default() -> Self {
        Self { first: HashMap::new(), known: HashMap::new(), moved: HashMap::new() }
    }
}

impl<S: Copy + Eq + Hash> Moves<S> {
    /// Takes in a flow as it was read, and the ICE session of its path, and gives the flow that
    /// it is a part of, if it is not alone. `known` gives a flow as it was last read.
    pub fn take(
        &mut self,
        flow: &VoiceFlow,
        session: impl FnOnce() -> Option<S>,
        known: impl FnOnce(&VoiceKey) -> Option<VoiceFlow>,
    ) -> Option<Whole> {
        let stream = match self.known.get(&flow.key) {
            Some(stream) => *stream,
            None => {
                let VoiceKey { ssrc, direction, .. } = flow.key;
                let stream = Stream { session: session()?, ssrc, direction };
                self.known.insert(flow.key, stream);
                stream
            }
        };
        let first = *self.first.entry(stream).or_insert(flow.key);
        let moved = match self.moved.entry(stream) {
            Entry::Occupied(moved) => moved.into_mut(),
            Entry::Vacant(_) if first == flow.key => return None,
            Entry::Vacant(place) => {
                let Some(before) = known(&first) else {
                    self.first.insert(stream, flow.key);
                    return None;
                };
                let moved = place.insert(Moved::default());
                moved.take(before);
                moved
            }
        };
        let was = moved.current().map(|flow| flow.key);
        moved.take(*flow);
        let flow = moved.whole()?;
        Some(Whole { flow, was: was.filter(|was| *was != flow.key) })
    }

    /// Forgets a flow that has ended, and gives the keys of all paths that it had.
    pub fn end(&mut self, flow: &VoiceKey) -> Vec<VoiceKey> {
        let Some(stream) = self.known.remove(flow) else { return vec![*flow] };
        self.first.remove(&stream);
        let Some(moved) = self.moved.remove(&stream) else { return vec![*flow] };
        let keys: Vec<_> = moved.paths.iter().map(|path| path.flow.key).collect();
        for key in &keys {
            self.known.remove(key);
        }
        keys
    }
}

impl Moved {
    /// The flow on the path in use: the one that carried the last packet.
    fn current(&self) -> Option<&VoiceFlow> {
        self.paths.iter().map(|path| &path.flow).max_by_key(|flow| flow.stream.last_ns)
    }

    /// Takes in what was read of one path.
    fn take(&mut self, flow: VoiceFlow) {
        let highest = self.highest();
        let is_anew = |path: &OnPath| path.flow.stream.restarts != flow.stream.restarts;
        match self.paths.iter_mut().find(|path| path.flow.key == flow.key) {
            Some(path) if is_anew(path) => {
                // What it expected before the jump stays in the range of the whole.
                path.counted_before = flow.stream.expected_before;
                path.flow = flow;
                path.offset = None;
                self.place(&flow, highest);
            }
            Some(path) => path.flow = flow,
            None => {
                self.paths.push(OnPath { flow, offset: None, counted_before: 0 });
                self.place(&flow, highest);
            }
        }
    }

    /// Finds the place of a path's sequence numbers among those of the others.
    fn place(&mut self, flow: &VoiceFlow, highest: Option<i64>) {
        let (base, _) = extended(&flow.stream);
        let offset = match highest {
            None => 0,
            Some(highest) => {
                // The nearest number with the same low half.
                let ahead = (base as u16).wrapping_sub(highest as u16) as i16;
                if i64::from(ahead).abs() >= i64::from(MAX_DROPOUT) {
                    // Another sequence: what the earlier paths expected stays as it is.
                    self.expected_before += self.span(highest);
                    self.lowest = None;
                    for path in &mut self.paths {
                        path.offset = None;
                    }
                    0
                } else {
                    highest + i64::from(ahead) - base
                }
            }
        };
        if let Some(path) = self.paths.iter_mut().find(|path| path.flow.key == flow.key) {
            path.offset = Some(offset);
        }
        let lowest = base + offset;
        self.lowest = Some(self.lowest.map_or(lowest, |known| known.min(lowest)));
    }

    /// The highest number of all paths, in numbers of the first.
    fn highest(&self) -> Option<i64> {
        let of = |path: &OnPath| Some(extended(&path.flow.stream).1 + path.offset?);
        self.paths.iter().filter_map(of).max()
    }

    /// How many numbers there are up to that.
    fn span(&self, highest: i64) -> u64 {
        self.lowest.map_or(0, |lowest| (highest - lowest + 1).unsigned_abs())
    }

    /// All paths as one flow, on the path in use.
    fn whole(&self) -> Option<VoiceFlow> {
        let current = *self.current()?;
        let mut stream = current.stream;
        let mut hop = current.hop;
        for path in self.paths.iter().filter(|path| path.flow.key != current.key) {
            add(&mut stream, &path.flow.stream);
            hop.sum_ns += path.flow.hop.sum_ns;
            hop.count += path.flow.hop.count;
            hop.max_ns = hop.max_ns.max(path.flow.hop.max_ns);
        }
        // The numbers of the path in use, and before them whatever the others make of it.
        let own = stream.highest - stream.base + 1;
        let jumps = self
            .paths
            .iter()
            .map(|path| path.flow.stream.expected_before.saturating_sub(path.counted_before));
        let before = jumps.sum::<u64>() + self.expected_before + self.span(self.highest()?);
        stream.expected_before = before.saturating_sub(own);
        let moves = self.paths.len() as u32 - 1;
        Some(VoiceFlow { stream, hop, moves, ..current })
    }
}

/// Lowest and highest extended sequence number.
fn extended(stream: &Flow) -> (i64, i64) {
    (stream.base.cast_signed(), stream.highest.cast_signed())
}

/// Adds the figures of a stream on another path. What is of one moment, such as the jitter,
/// stays that of the path in use.
fn add(stream: &mut Flow, other: &Flow) {
    stream.packets += other.packets;
    stream.bytes += other.bytes;
    stream.duplicates += other.duplicates;
    stream.reordered += other.reordered;
    stream.strays += other.strays;
    stream.restarts += other.restarts;
    stream.untimed += other.untimed;
    stream.silences += other.silences;
    stream.first_ns = stream.first_ns.min(other.first_ns);
    stream.jitter_sum_ns += other.jitter_sum_ns;
    stream.jitter_samples += other.jitter_samples;
    stream.jitter_max_ns = stream.jitter_max_ns.max(other.jitter_max_ns);
    stream.delta_max_ns = stream.delta_max_ns.max(other.delta_max_ns);
    for (late, more) in stream.late.iter_mut().zip(other.late) {
        *late += more;
    }
    let bursts = other.transitions();
    stream.bursts.c11 += bursts.c11;
    stream.bursts.c13 += bursts.c13 as u32;
    stream.bursts.c14 += bursts.c14 as u32;
    stream.bursts.c22 += bursts.c22 as u32;
    stream.bursts.c23 += bursts.c23 as u32;
    stream.bursts.c33 += bursts.c33 as u32;
}

#[cfg(test)]
mod tests;
