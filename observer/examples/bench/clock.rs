//! Clocks that the standard library does not have.

use std::{io, time::Duration};

use anyhow::{Result, ensure};

/// A clock of this process or of another process.
#[derive(Clone, Copy)]
pub(crate) struct Clock(libc::clockid_t);

impl Clock {
    /// CPU time of the thread that asks.
    pub(crate) const THREAD: Self = Self(libc::CLOCK_THREAD_CPUTIME_ID);
    /// What the programs date entries with.
    pub(crate) const MONOTONIC: Self = Self(libc::CLOCK_MONOTONIC);

    /// CPU time of all threads of a process.
    pub(crate) fn of_process(id: u32) -> Result<Self> {
        let mut clock = 0;
        // SAFETY: the number is written here.
        let error = unsafe { libc::clock_getcpuclockid(id.cast_signed(), &raw mut clock) };
        ensure!(error == 0, "process {id} has no clock: {}", io::Error::from_raw_os_error(error));
        Ok(Self(clock))
    }

    /// What it shows; zero where its thread or process has gone.
    pub(crate) fn now(self) -> Duration {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the structure lives for the call.
        unsafe { libc::clock_gettime(self.0, &raw mut time) };
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
}
