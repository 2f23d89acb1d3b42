//! The observer that the tests judge.

use observer::{
    model::Losses,
    source::ebpf::{
        load::{Limits, Options},
        read::Kernel,
    },
};

/// Attaches the programs to the whole host, the test's namespaces among it. The tables
/// have room for what else goes on there.
pub(crate) fn kernel() -> Kernel {
    kernel_with_room(1 << 16)
}

/// As [`kernel`], with room for so many connections.
pub(crate) fn kernel_with_room(sockets: u32) -> Kernel {
    let limits = Limits { flows: 1 << 17, candidates: 1 << 15, sockets, ring_bytes: 1 << 20 };
    let options = Options { limits, cgroup_root: None, diagnostics: false, oldest: false };
    Kernel::start(&options).expect("the programs attach")
}

/// What the observer could not count, for the message of a test that misses something.
pub(crate) fn losses(kernel: &mut Kernel) -> Losses {
    let mut losses = kernel.losses().expect("the map can be read");
    losses.retain(|_, count| *count > 0);
    losses
}
