//! What was sent, what arrived, and whether the observer and tshark say the same.

use std::collections::BTreeSet;

use observer::{model::VoiceFlow, quality::burst::Losses};

use super::tshark::{Count, Stream};

/// How far from tshark's a duration may lie, as a share of tshark's.
const SHARE: f64 = 0.05;

/// What a sender sent, and which of it the capture has.
#[derive(Debug)]
pub(crate) struct Truth {
    /// Places in the sender's sequence, from 0, of the packets that arrived.
    arrived: BTreeSet<u64>,
    sent: u64,
    first: u16,
}

/// Packets at the edges of a flow, which the observer cannot know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edges {
    /// Arrived before two followed each other, and so before it was a flow.
    pub(crate) in_probation: u64,
    /// Lost behind the first that arrived, and before it was a flow.
    pub(crate) lost_in_probation: u64,
    /// Lost before any arrived.
    pub(crate) lost_before: u64,
    /// Lost after the last that arrived.
    pub(crate) lost_after: u64,
}

impl Truth {
    /// `sent` packets from the sequence number `first`, of which those with
    /// `sequence_numbers` arrived.
    pub(crate) fn new(first: u16, sent: u64, sequence_numbers: &[u16]) -> Self {
        assert!(sent < 1 << 16, "the sequence numbers name each packet");
        let place = |sequence: &u16| u64::from(sequence.wrapping_sub(first));
        let arrived: BTreeSet<_> = sequence_numbers.iter().map(place).collect();
        assert!(arrived.last().is_some_and(|last| *last < sent), "{arrived:?} of {sent}");
        Self { arrived, sent, first }
    }

    /// Packets that were sent and did not arrive.
    pub(crate) fn missing(&self) -> u64 {
        self.sent - self.arrived.len() as u64
    }

    /// What lies outside `flow`.
    pub(crate) fn edges(&self, flow: &VoiceFlow) -> Edges {
        let begin = u64::from((flow.stream.base as u16).wrapping_sub(self.first));
        let end = begin + (flow.stream.highest - flow.stream.base) + 1;
        let (first, last) = (self.arrived.first(), self.arrived.last());
        let first = *first.expect("something arrived");
        let in_probation = self.arrived.range(..begin).count() as u64;
        assert_eq!(end, last.expect("something arrived") + 1, "the flow ends with the capture");
        Edges {
            in_probation,
            lost_in_probation: begin - first - in_probation,
            lost_before: first,
            lost_after: self.sent - end,
        }
    }

    /// Bursts of loss within `flow`, and the losses in them (RFC 3611 section 4.7.2): losses
    /// of which fewer than 16 packets lie between two, if they are two at least.
    fn bursts(&self, flow: &VoiceFlow) -> (u64, u64) {
        let begin = u64::from((flow.stream.base as u16).wrapping_sub(self.first));
        let end = begin + (flow.stream.highest - flow.stream.base) + 1;
        let mut groups: Vec<Vec<u64>> = Vec::new();
        for place in (begin..end).filter(|place| !self.arrived.contains(place)) {
            match groups.last_mut() {
                Some(group) if group.last().is_some_and(|last| place - last <= 16) => {
                    group.push(place);
                }
                _ => groups.push(vec![place]),
            }
        }
        groups.retain(|group| group.len() > 1);
        (groups.len() as u64, groups.iter().map(|group| group.len() as u64).sum())
    }
}

/// Packets, losses and bursts of them, to the packet.
pub(crate) fn counts_agree(
    name: &str,
    flow: &VoiceFlow,
    tshark: Count,
    truth: &Truth,
    dropped: u64,
) -> Edges {
    let edges = truth.edges(flow);
    let ours = &flow.stream;
    println!(
        "{name}: packets {} (tshark {}), lost {} (tshark {}, dropped {dropped}), {edges:?}",
        ours.packets,
        tshark.packets,
        ours.lost(),
        tshark.lost,
    );
    assert_eq!(
        truth.missing(),
        dropped,
        "{name}: packets that the capture lacks, and that nft dropped"
    );
    assert_eq!(
        ours.packets + edges.in_probation,
        tshark.packets,
        "{name}: packets, ours with those in probation and tshark's"
    );
    assert_eq!(
        ours.lost() as i64 + edges.lost_in_probation as i64,
        tshark.lost + ours.duplicates as i64,
        "{name}: lost, ours with those in probation and tshark's without duplicates"
    );
    let (bursts, lost_inside) = truth.bursts(flow);
    let losses = Losses(ours.transitions());
    println!("{name}: bursts {}, judged {bursts} of {lost_inside} losses", losses.bursts());
    assert_eq!(losses.bursts(), bursts, "{name}: bursts");
    let share = (ours.lost() > 0).then(|| lost_inside as f64 / ours.lost() as f64);
    assert_eq!(losses.runs().in_bursts(), share, "{name}: share of the losses in bursts");
    let outside = edges.lost_in_probation + edges.lost_before + edges.lost_after;
    assert_eq!(ours.lost() + outside, dropped, "{name}: lost, ours with the edges and nft's");
    edges
}

/// Jitter and the longest gap, within 5 % or `least_ms`, whichever is more.
pub(crate) fn times_agree(name: &str, flow: &VoiceFlow, stream: &Stream, least_ms: f64) {
    assert!(do_times_agree(name, flow, stream, least_ms), "{name}: a time is not tshark's");
}

/// What [`times_agree`] asserts.
pub(crate) fn do_times_agree(name: &str, flow: &VoiceFlow, stream: &Stream, least_ms: f64) -> bool {
    let ours = &flow.stream;
    let ms = |ns: u64| ns as f64 / 1e6;
    let mean = ms(ours.jitter_sum_ns) / ours.jitter_samples as f64;
    let mut agree = true;
    for (what, ours, theirs) in [
        ("mean jitter", mean, stream.jitter_mean_ms),
        ("largest jitter", ms(ours.jitter_max_ns), stream.jitter_max_ms),
        ("longest gap", ms(ours.delta_max_ns), stream.delta_max_ms),
    ] {
        println!("{name}: {what} {ours:.3} ms (tshark {theirs:.3} ms)");
        agree &= (ours - theirs).abs() <= (theirs * SHARE).max(least_ms);
    }
    agree
}

/// The mean of the jitter, within 5 % or `least_ms`, whichever is more.
pub(crate) fn mean_jitter_agrees(name: &str, flow: &VoiceFlow, theirs: f64, least_ms: f64) {
    let ours = flow.stream.jitter_sum_ns as f64 / 1e6 / flow.stream.jitter_samples as f64;
    println!("{name}: mean jitter {ours:.3} ms (by tshark's times {theirs:.3} ms)");
    assert!((ours - theirs).abs() <= (theirs * SHARE).max(least_ms), "{name}: mean jitter");
}
