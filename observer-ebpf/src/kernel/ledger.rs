//! Counting what could not be counted.

use observer_common::{abi::loss::Count, packet::Unparsed};

use super::maps::LEDGER;

/// Adds one to a slot of the CPU that runs this.
#[inline(always)]
pub(super) fn count(what: Count) {
    if let Some(slot) = LEDGER.get_ptr_mut(what as u32) {
        // SAFETY: the slot belongs to this CPU. A program that interrupts this one
        // on it can lose one count; the hooks here run with bottom halves off.
        unsafe { *slot += 1 };
    }
}

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
