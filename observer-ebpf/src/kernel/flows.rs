//! Where flows lie, and how a packet's is found.
//!
//! A flow's entry is an element of an array, and a hash map says which. To hash a key of
//! 32 bytes and to compare it costs a packet more than all arithmetic of voice, so a
//! socket remembers the places of the flows that it carried last.

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_NOEXIST, BPF_SK_STORAGE_GET_F_CREATE, bpf_sock},
    helpers::{bpf_spin_lock, bpf_spin_unlock, generated::bpf_sk_storage_get},
};
use observer_common::abi::{Candidate, FlowEntry, FlowKey};

use super::{
    maps::{FLOWS, FREE, NEAR, PLACES, TAKEN},
    skb::Skb,
};

/// Flows that a socket remembers of each direction; a power of two.
const REMEMBERED: usize = 16;

/// A flow whose place is not remembered has it remembered by one packet in so many, and
/// drives another out: sockets with many flows would else do little but that.
const SELDOM: u16 = 16;

/// `-EEXIST`.
const EXISTS: i32 = -17;

/// What a socket remembers. Nothing here is relied on: a place is that of a flow if its
/// entry has the flow's key.
#[repr(C)]
pub(super) struct Near {
    /// The socket's.
    cookie: u64,
    /// A flow's [`tag`], and its place below that.
    places: [u64; 2 * REMEMBERED],
}

impl Near {
    /// That of a socket, if it remembers anything.
    #[inline(always)]
    fn of(socket: *mut bpf_sock, flags: u32) -> Option<*mut Self> {
        // SAFETY: the socket is not null; the kernel asks for no more.
        let near = unsafe {
            bpf_sk_storage_get(
                (&raw const NEAR).cast_mut().cast(),
                socket.cast(),
                core::ptr::null_mut(),
                flags.into(),
            )
        };
        (!near.is_null()).then_some(near.cast())
    }

    /// Where the place of a flow is remembered.
    ///
    /// # Safety
    /// `near` is what [`Near::of`] gave.
    #[inline(always)]
    unsafe fn slot(near: *mut Self, key: &FlowKey) -> *mut u64 {
        let slot = (tag(key) << 1 | u32::from(key.direction)) as usize % (2 * REMEMBERED);
        // SAFETY: the caller's; the slot is one of them.
        unsafe { (&raw mut (*near).places).cast::<u64>().add(slot) }
    }
}

/// Tells flows of a socket apart, not for certain.
#[inline(always)]
const fn tag(key: &FlowKey) -> u32 {
    key.ssrc ^ key.peer_port as u32
}

/// The entry of a flow, and its place. The key has all but the cookie, which this fills in.
#[inline(always)]
pub(super) fn find_near(
    key: &mut FlowKey,
    skb: &Skb<'_>,
    socket: *mut bpf_sock,
    sequence: u16,
) -> Option<(*mut FlowEntry, u32)> {
    if let Some(near) = Near::of(socket, 0) {
        // SAFETY: the kernel keeps what a socket remembers until this run ends. The word
        // may be written meanwhile, which is why the entry is asked.
        unsafe {
            key.cookie = (*near).cookie;
            let place = Near::slot(near, key).read_volatile();
            if (place >> 32) as u32 == tag(key)
                && let Some(entry) = FLOWS.get_ptr_mut(place as u32)
                && is_of(entry, key)
            {
                return Some((entry, place as u32));
            }
        }
    }
    key.cookie = skb.cookie();
    // SAFETY: the map is preallocated.
    let place = unsafe { *PLACES.get_ptr(&*key)? };
    if sequence.is_multiple_of(SELDOM) {
        remember(socket, key, place);
    }
    Some((FLOWS.get_ptr_mut(place)?, place))
}

/// The entry of a flow, and its place.
#[inline(always)]
pub(super) fn find(key: &FlowKey) -> Option<(*mut FlowEntry, u32)> {
    // SAFETY: the map is preallocated.
    let place = unsafe { *PLACES.get_ptr(key)? };
    Some((FLOWS.get_ptr_mut(place)?, place))
}

/// Whether an entry is that of a flow. One comparison in the end: each branch costs.
///
/// # Safety
/// `entry` is a value of the map of flows.
#[inline(always)]
unsafe fn is_of(entry: *const FlowEntry, key: &FlowKey) -> bool {
    // SAFETY: the caller's.
    let its = unsafe { &(*entry).key };
    let differs = (its.peer[0] ^ key.peer[0])
        | (its.peer[1] ^ key.peer[1])
        | (its.peer[2] ^ key.peer[2])
        | (its.peer[3] ^ key.peer[3])
        | (its.ssrc ^ key.ssrc)
        | u32::from(its.peer_port ^ key.peer_port)
        | u32::from(its.direction ^ key.direction);
    u64::from(differs) | (its.cookie ^ key.cookie) == 0
}

/// Has the socket remember a flow's place. It does without where it has no memory left.
#[inline(never)]
fn remember(socket: *mut bpf_sock, key: &FlowKey, place: u32) {
    let Some(near) = Near::of(socket, BPF_SK_STORAGE_GET_F_CREATE) else { return };
    // SAFETY: as in `find_near`. Every writer writes the same cookie.
    unsafe {
        (&raw mut (*near).cookie).write_volatile(key.cookie);
        Near::slot(near, key).write_volatile(u64::from(tag(key)) << 32 | u64::from(place));
    }
}

/// What came of making a flow.
pub(super) enum Made {
    New,
    Before,
    NoRoom,
}

/// Makes a flow of a candidate.
#[inline(always)]
pub(super) fn make(key: &FlowKey, candidate: &Candidate) -> Made {
    let Some(place) = take() else { return Made::NoRoom };
    // The candidate is the image of the entry; it goes from map to map, because it is
    // too large for the stack.
    // SAFETY: both types have one layout, and every bit pattern is a value.
    let image = unsafe { &*(&raw const *candidate).cast::<FlowEntry>() };
    if FLOWS.set(place, image, u64::from(BPF_ANY)).is_err() {
        return Made::NoRoom; // beyond the end of the table
    }
    let inserted = PLACES.insert(key, &place, u64::from(BPF_NOEXIST));
    if let Err(why) = inserted {
        let _lost = FREE.push(&place, u64::from(BPF_ANY));
        return if why == EXISTS { Made::Before } else { Made::NoRoom };
    }
    if let Some(entry) = FLOWS.get_ptr_mut(place) {
        // SAFETY: the entry is valid. The cookie comes last: who sees it may see the rest.
        unsafe {
            let its = &raw mut (*entry).key;
            (&raw mut (*its).peer).write_volatile(key.peer);
            (&raw mut (*its).ssrc).write_volatile(key.ssrc);
            (&raw mut (*its).peer_port).write_volatile(key.peer_port);
            (&raw mut (*its).direction).write_volatile(key.direction);
            (&raw mut (*its).cookie).write_volatile(key.cookie);
        }
    }
    Made::New
}

/// A place that nobody has; it may lie beyond the end of the table.
#[inline(always)]
fn take() -> Option<u32> {
    if let Ok(Some(place)) = FREE.pop() {
        return Some(place);
    }
    let taken = TAKEN.get_ptr_mut(0)?;
    // SAFETY: the entry is valid, and the lock is its own.
    let place = unsafe {
        bpf_spin_lock((&raw mut (*taken).lock).cast());
        let place = (*taken).places;
        (*taken).places = place + 1;
        bpf_spin_unlock((&raw mut (*taken).lock).cast());
        place
    };
    u32::try_from(place).ok()
}
