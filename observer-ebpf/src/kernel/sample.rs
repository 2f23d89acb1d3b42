//! One packet of a flow in so many: its header extensions, and how long it took from one
//! socket of a process to another.

use aya_ebpf::{
    bindings::{__sk_buff, BPF_ANY},
    programs::SkBuffContext,
};
use observer_common::{
    abi::{Passage, RECEIVE},
    bytes::Bytes as _,
    demux::Kind,
    rtp::extension::Elements,
    turn::CHANNEL_HEADER,
};

use super::{
    maps::{FLOWS, FORWARDERS, PASSAGES},
    skb::Skb,
};

/// Looks at the RTP packet at `payload`, by way of a channel or not, which is of the flow at
/// `place` and came at `now`. What it finds goes into the entry without a turn: on two processors
/// at once, a sample may be lost. A global function, which the verifier walks once, and not once
/// for each way that leads to it.
#[inline(never)]
#[unsafe(no_mangle)]
pub(super) extern "C" fn look(ctx: *mut __sk_buff, place: u32, payload: u32, now: u64) -> u32 {
    let ctx = SkBuffContext::new(ctx);
    let skb = Skb::new(&ctx);
    let Some([mut first, mut timestamp]) = skb.words(payload) else { return 0 };
    let mut payload = payload;
    if matches!(Kind::of(first), Kind::Channel) {
        payload = payload.wrapping_add(CHANNEL_HEADER);
        [first, timestamp] = [timestamp, skb.word(payload.wrapping_add(4))];
    }
    if let Some(elements) = Elements::read(&skb, payload, first) {
        let [small, large] = elements.packed();
        learn(place, small, large, now);
    }
    let Some(entry) = FLOWS.get_ptr_mut(place) else { return 0 };
    // SAFETY: see `advance_flow`.
    let entry = unsafe { &mut *entry };
    // SAFETY: the map is preallocated.
    let Some(forwarder) = (unsafe { FORWARDERS.get_ptr(&entry.key.cookie).map(|it| *it) }) else {
        return 0;
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
    0
}

/// Takes in the elements of a packet of the flow at `place`. A global function for the same
/// reason.
#[inline(never)]
#[unsafe(no_mangle)]
pub(super) extern "C" fn learn(place: u32, small: u64, large: u64, now: u64) -> u32 {
    let Some(entry) = FLOWS.get_ptr_mut(place) else { return 0 };
    // SAFETY: see `advance_flow`.
    let entry = unsafe { &mut *entry };
    let elements = Elements::unpacked([small, large]);
    entry.extensions.advance(&elements, entry.flow.packets, now);
    0
}
