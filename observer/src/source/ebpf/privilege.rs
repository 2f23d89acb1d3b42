//! What this process may do.

use std::fs;

/// `CAP_NET_ADMIN`, bit of capabilities(7): attach to a cgroup.
const NET_ADMIN: u32 = 12;
/// `CAP_SYS_ADMIN`: everything here, on kernels before 5.8 the only way.
const SYS_ADMIN: u32 = 21;
/// `CAP_PERFMON`: pointer arithmetic the verifier asks it for.
const PERFMON: u32 = 38;
/// `CAP_BPF`: load programs, create maps.
const BPF: u32 = 39;

/// The capabilities that are needed and that this process has not; empty when it
/// may load and attach.
#[must_use]
pub fn missing() -> Vec<&'static str> {
    fs::read_to_string("/proc/self/status").map(|text| missing_in(&text)).unwrap_or_default()
}

fn missing_in(status: &str) -> Vec<&'static str> {
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(u64::MAX);
    let has = |bit: u32| effective & (1 << bit) != 0;
    if has(SYS_ADMIN) {
        return Vec::new();
    }
    [(BPF, "CAP_BPF"), (NET_ADMIN, "CAP_NET_ADMIN"), (PERFMON, "CAP_PERFMON")]
        .into_iter()
        .filter_map(|(bit, name)| (!has(bit)).then_some(name))
        .collect()
}

/// Maps of kernels before 5.11 count against the limit of locked memory. Without
/// the right to raise it, creating them fails with an error of its own.
pub fn raise_memory_limit() {
    let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the structure lives for the call.
    if unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) } != 0 {
        tracing::debug!("the limit of locked memory stays as it is");
    }
}

#[cfg(test)]
mod tests {
    use super::missing_in;

    #[test]
    fn root_misses_nothing_and_a_user_everything() {
        assert!(missing_in("Name:\tx\nCapEff:\t000001ffffffffff\n").is_empty());
        let nobody = missing_in("CapEff:\t0000000000000000\n");
        assert_eq!(nobody, ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"]);
        let narrow = (1_u64 << 39) | (1 << 12) | (1 << 38);
        assert!(missing_in(&format!("CapEff:\t{narrow:016x}\n")).is_empty());
    }
}
