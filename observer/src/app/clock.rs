//! What time it is.

use crate::model::WallClock;

/// `CLOCK_MONOTONIC`, the kernel programs' clock, in ns.
pub(super) fn now_ns() -> u64 {
    read_ns(libc::CLOCK_MONOTONIC)
}

/// How far that is from the wall's, measured at this moment.
pub(super) fn wall() -> WallClock {
    WallClock::new(now_ns(), read_ns(libc::CLOCK_REALTIME), now_ns())
}

fn read_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure lives for the call, and these clocks always exist.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0)
}
