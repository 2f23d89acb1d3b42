//! Who may move a flow, when two processors carry it.
//!
//! `bpf_spin_lock` works everywhere, and costs a packet a third of all that is done for
//! it: two calls that mask interrupts. Since 5.12 a program can compare and exchange a
//! word itself, in a sixth of the time. So there are two sets of programs, and the
//! loader takes the first that the kernel accepts.

use core::arch::asm;

use aya_ebpf::{
    bindings::__sk_buff,
    helpers::{bpf_ktime_get_ns, bpf_spin_lock, bpf_spin_unlock},
};
use observer_common::abi::FlowEntry;

use super::{frames, voice};

/// How often a turn is asked for that another has, and how often the clock is read in
/// between: some 20 µs in all, longer than an interrupt. A holder can be put aside for
/// longer than any program should wait.
const ATTEMPTS: u32 = 128;
const LOOKS: u32 = 4;

/// 1 where a processor may let a store overtake another, which x86 does not. Set by the
/// loader.
#[unsafe(no_mangle)]
static WEAKLY_ORDERED: u8 = 0;

/// A way to have a flow to oneself.
pub(super) trait Turn {
    /// Begins to move a flow; `None` when the turn could not be had.
    ///
    /// # Safety
    /// `entry` is a value of the map of flows.
    unsafe fn begin(entry: *mut FlowEntry) -> Option<u64>;

    /// Ends what [`Turn::begin`] began and gave `turn` for.
    ///
    /// # Safety
    /// As [`Turn::begin`].
    unsafe fn end(entry: *mut FlowEntry, turn: u64);

    /// [`voice::datagram`].
    const DATAGRAM: extern "C" fn(*mut __sk_buff, u32, u32, u32, u64) -> u32;
    /// [`voice::segments`].
    const SEGMENTS: extern "C" fn(*mut __sk_buff, u32, u32, u32, u64) -> u64;
    /// [`frames::frames`].
    const FRAMES: extern "C" fn(*mut __sk_buff, u32, u64) -> u64;
}

/// The global functions of both ways. The verifier walks such a function once, and not once for
/// each call; it gets numbers and finds the rest again, and it cannot be generic.
macro_rules! globals {
    ($($module:ident::$body:ident($($argument:ident: $type:ty),*) -> $told:ty
        as $locked:ident, $exchanged:ident;)*) => {$(
        #[inline(never)]
        #[unsafe(no_mangle)]
        extern "C" fn $locked(ctx: *mut __sk_buff, $($argument: $type),*) -> $told {
            $module::$body::<Locked>(ctx, $($argument),*)
        }

        #[inline(never)]
        #[unsafe(no_mangle)]
        extern "C" fn $exchanged(ctx: *mut __sk_buff, $($argument: $type),*) -> $told {
            $module::$body::<Exchanged>(ctx, $($argument),*)
        }
    )*};
}

globals! {
    voice::datagram(at: u32, length: u32, direction: u32, now: u64) -> u32
        as datagram_locked, datagram_exchanged;
    voice::segments(offset: u32, size: u32, direction: u32, now: u64) -> u64
        as segments_locked, segments_exchanged;
    frames::frames(direction: u32, now: u64) -> u64 as frames_locked, frames_exchanged;
}

/// By the kernel's lock.
pub(super) struct Locked;

/// By a word of the entry that is odd as long as someone has the turn.
pub(super) struct Exchanged;

impl Turn for Locked {
    #[inline(always)]
    unsafe fn begin(entry: *mut FlowEntry) -> Option<u64> {
        // SAFETY: the caller's.
        unsafe { bpf_spin_lock((&raw mut (*entry).lock).cast()) };
        Some(0)
    }

    #[inline(always)]
    unsafe fn end(entry: *mut FlowEntry, _turn: u64) {
        // SAFETY: the caller's.
        unsafe { bpf_spin_unlock((&raw mut (*entry).lock).cast()) };
    }

    const DATAGRAM: extern "C" fn(*mut __sk_buff, u32, u32, u32, u64) -> u32 = datagram_locked;
    const SEGMENTS: extern "C" fn(*mut __sk_buff, u32, u32, u32, u64) -> u64 = segments_locked;
    const FRAMES: extern "C" fn(*mut __sk_buff, u32, u64) -> u64 = frames_locked;
}

impl Turn for Exchanged {
    #[inline(always)]
    unsafe fn begin(entry: *mut FlowEntry) -> Option<u64> {
        // SAFETY: the caller's.
        unsafe {
            let mut turn = (&raw const (*entry).turn).read_volatile();
            if turn & 1 != 0 || !take(entry, turn) {
                turn = wait(entry);
                if turn & 1 != 0 {
                    return None;
                }
            }
            let next = turn.wrapping_add(2);
            (&raw mut (*entry).turned).write_volatile(next);
            Some(next)
        }
    }

    #[inline(always)]
    unsafe fn end(entry: *mut FlowEntry, turn: u64) {
        // SAFETY: the caller's.
        unsafe { pass(entry, turn) };
    }

    const DATAGRAM: extern "C" fn(*mut __sk_buff, u32, u32, u32, u64) -> u32 = datagram_exchanged;
    const SEGMENTS: extern "C" fn(*mut __sk_buff, u32, u32, u32, u64) -> u64 = segments_exchanged;
    const FRAMES: extern "C" fn(*mut __sk_buff, u32, u64) -> u64 = frames_exchanged;
}

/// Waits for the turn; what comes back is odd when the wait was in vain. One way leads
/// from each attempt to the next: the verifier of 6.1 walks two ways through a loop as
/// two to the power of its length. Inlined, because the stack has no frame left for it.
#[inline(always)]
unsafe fn wait(entry: *mut FlowEntry) -> u64 {
    for _ in 0..ATTEMPTS {
        // SAFETY: the caller's; the clock has no preconditions.
        unsafe {
            for _ in 0..LOOKS {
                bpf_ktime_get_ns();
            }
            let even = (&raw const (*entry).turn).read_volatile() & !1;
            if take(entry, even) {
                return even;
            }
        }
    }
    1
}

/// Makes the word odd, if it is still what was read, which is even.
#[inline(always)]
unsafe fn take(entry: *mut FlowEntry, before: u64) -> bool {
    let found: u64;
    // SAFETY: the word is valid and aligned.
    unsafe {
        asm!(
            "r0 = cmpxchg_64({turn} + 0, r0, {odd})",
            turn = in(reg) &raw mut (*entry).turn,
            odd = in(reg) before + 1,
            inout("r0") before => found,
        );
    }
    found == before
}

/// Makes the word even again: by a store, where stores keep their order.
#[inline(always)]
unsafe fn pass(entry: *mut FlowEntry, after: u64) {
    // SAFETY: the word is valid and aligned.
    unsafe {
        let turn = &raw mut (*entry).turn;
        if (&raw const WEAKLY_ORDERED).read_volatile() == 0 {
            asm!("*(u64 *)({turn} + 0) = {after}", turn = in(reg) turn, after = in(reg) after);
        } else {
            asm!(
                "{after} = xchg_64({turn} + 0, {after})",
                turn = in(reg) turn,
                after = inout(reg) after => _,
            );
        }
    }
}
