//! One packet of a flow in so many: its header extensions, and how long it took from one
//! socket of a process to another.

use aya_ebpf::{bindings::BPF_ANY, programs::SkBuffContext};
use observer_common::{
    abi::{FlowEntry, Passage, RECEIVE},
    bytes::Bytes as _,
    rtp::extension::Elements,
};

use super::{
    maps::{FORWARDERS, PASSAGES},
    skb::Skb,
};

/// Looks at the RTP packet at `payload`, which is of the flow and came at `now`. What it finds
/// goes into the entry without a turn: on two processors at once, a sample may be lost.
#[inline(never)]
pub(super) fn look(ctx: &SkBuffContext, entry: *mut FlowEntry, payload: u32, now: u64) {
    let skb = Skb::new(ctx);
    let Some([first, timestamp]) = skb.words(payload) else { return };
    // SAFETY: see `advance_flow`.
    let entry = unsafe { &mut *entry };
    if let Some(elements) = Elements::read(&skb, payload, first) {
        entry.extensions.advance(&elements, entry.flow.packets, now);
    }
    // SAFETY: the map is preallocated.
    let Some(forwarder) = (unsafe { FORWARDERS.get_ptr(&entry.key.cookie).map(|it| *it) }) else {
        return;
    };
    let passage = Passage {
        forwarder,
        ssrc: entry.key.ssrc,
        timestamp: u32::from_be(timestamp),
        sequence: u32::from_be(first) & 0xffff,
    };
    if entry.key.direction == RECEIVE {
        // One that finds no room is a sample less, and no packet.
        let _sample = PASSAGES.insert(&passage, &now, u64::from(BPF_ANY));
    } else if let Some(received) = PASSAGES.get_ptr(&passage) {
        // SAFETY: the entry is valid until this run ends.
        let delay = now.saturating_sub(unsafe { *received });
        entry.hop.sum_ns += delay;
        entry.hop.count += 1;
        if delay > entry.hop.max_ns {
            entry.hop.max_ns = delay;
        }
    }
}
