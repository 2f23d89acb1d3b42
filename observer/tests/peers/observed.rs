//! The observer that the tests judge.

use observer::source::ebpf::{
    load::{Limits, Options},
    read::Kernel,
};

/// Attaches the programs to the whole host, the test's namespaces among it.
pub(crate) fn kernel() -> Kernel {
    let limits = Limits { flows: 4_096, candidates: 4_096, sockets: 4_096, ring_bytes: 1 << 18 };
    let options = Options { limits, cgroup_root: None, diagnostics: false };
    Kernel::start(&options).expect("the programs attach")
}
