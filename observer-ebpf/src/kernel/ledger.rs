//! Counting what could not be counted.

use core::arch::asm;

use observer_common::{abi::loss::Count, packet::Unparsed};

use super::maps::{LEDGER, LOG_LIMIT, LogLimit};

/// Adds one to a slot of the CPU that runs this. Atomically all the same: another
/// task may take the CPU in the middle of a program.
#[inline(always)]
pub(super) fn count(what: Count) {
    if let Some(slot) = LEDGER.get_ptr_mut(what as u32) {
        // SAFETY: the slot is valid and aligned.
        unsafe { add(slot, 1) };
    }
}

/// Adds atomically. The form of the instruction that gives no result is the only one
/// that kernels before 5.12 have.
///
/// # Safety
/// The word is valid and aligned.
#[inline(always)]
pub(super) unsafe fn add(word: *mut u64, amount: u64) {
    // SAFETY: the caller's.
    unsafe {
        asm!("lock *(u64 *)({word} + 0) += {amount}", word = in(reg) word, amount = in(reg) amount);
    }
}

/// Whether a diagnostic may be sent, of which each CPU may send [`LOGS_A_SECOND`].
#[inline(always)]
pub(super) fn may_log(now: u64) -> bool {
    let Some(limit) = LOG_LIMIT.get_ptr_mut(0) else { return false };
    // SAFETY: the slot is this CPU's. A task that takes the CPU in between can send
    // one diagnostic more.
    let limit = unsafe { &mut *limit };
    if now.wrapping_sub(limit.since_ns) > 1_000_000_000 {
        *limit = LogLimit { since_ns: now, sent: 0 };
    }
    if limit.sent >= LOGS_A_SECOND {
        count(Count::LogSuppressed);
        return false;
    }
    limit.sent += 1;
    true
}

/// Diagnostics that one CPU may send in a second.
const LOGS_A_SECOND: u64 = 100;

/// Counts a packet that could not be followed.
#[inline(always)]
pub(super) fn count_unparsed(why: Unparsed) {
    count(match why {
        Unparsed::Truncated => Count::Truncated,
        Unparsed::NotIp => Count::NotIp,
        Unparsed::Fragment => Count::Fragment,
        Unparsed::ExtensionHeaders => Count::ExtensionHeaders,
    });
}
