//! What the observer itself uses, as the kernel counts it.

use std::{fs, io, mem, time::Duration};

use crate::model::ProcessUsage;

/// Reads it.
///
/// # Errors
/// When `/proc` is not there or not readable.
pub fn usage() -> io::Result<ProcessUsage> {
    // SAFETY: zeros are a valid value of this structure of numbers.
    let mut times: libc::rusage = unsafe { mem::zeroed() };
    // SAFETY: the structure outlives the call.
    if unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut times) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(ProcessUsage {
        user: duration(times.ru_utime),
        system: duration(times.ru_stime),
        memory_bytes: resident_pages(&fs::read_to_string("/proc/self/statm")?)? * page_size(),
        // One is of the directory that is being read.
        descriptors: (fs::read_dir("/proc/self/fd")?.count() as u64).saturating_sub(1),
    })
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
}

/// The second number of `/proc/PID/statm` (proc(5)).
fn resident_pages(statm: &str) -> io::Result<u64> {
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok());
    pages.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/self/statm has no size"))
}

fn page_size() -> u64 {
    // SAFETY: the call has no preconditions.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4_096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_shows() {
        let before = usage().unwrap();
        let ballast = vec![1_u8; 64 << 20];
        let descriptors: Vec<_> = (0..9).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        let after = usage().unwrap();
        let grown = after.memory_bytes.saturating_sub(before.memory_bytes);
        assert!(grown > 32 << 20, "{grown} bytes for {}", ballast.len());
        assert!(after.descriptors >= descriptors.len() as u64);
        assert!(after.user + after.system >= before.user + before.system);
    }

    #[test]
    fn a_strange_statm_is_an_error() {
        assert_eq!(resident_pages("900 17 3 1 0 2 0\n").unwrap(), 17);
        assert!(resident_pages("").is_err() && resident_pages("1 x").is_err());
    }
}
