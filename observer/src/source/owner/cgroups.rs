//! Cgroups by their number.

use std::{
    fs,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use crate::source::ebpf::cgroup::CgroupRoot;

/// `FILEID_KERNFS` (`include/linux/exportfs.h`): a handle that is the number alone.
const KERNFS: libc::c_int = 0xfe;

/// `struct file_handle` with eight bytes (`open_by_handle_at`(2)).
#[repr(C)]
struct Handle {
    bytes: libc::c_uint,
    kind: libc::c_int,
    id: [u8; 8],
}

/// The path of a cgroup of version 2 from the root of its hierarchy; `None` when it is
/// gone, or without `CAP_DAC_READ_SEARCH`.
#[must_use]
pub fn path(root: &CgroupRoot, id: u64) -> Option<String> {
    let handle = Handle { bytes: 8, kind: KERNFS, id: id.to_ne_bytes() };
    // SAFETY: the handle is as long as it says, and lives for the call.
    let descriptor = unsafe {
        libc::syscall(
            libc::SYS_open_by_handle_at,
            root.directory().as_raw_fd(),
            &raw const handle,
            libc::O_PATH | libc::O_CLOEXEC,
        )
    };
    let descriptor = i32::try_from(descriptor).ok().filter(|descriptor| *descriptor >= 0)?;
    // SAFETY: the system call returned it just now, so nobody else owns it.
    let cgroup = unsafe { OwnedFd::from_raw_fd(descriptor) };
    let of = |descriptor| fs::read_link(format!("/proc/self/fd/{descriptor}")).ok();
    let (base, path) = (of(root.directory().as_raw_fd())?, of(cgroup.as_raw_fd())?);
    let below = path.strip_prefix(&base).ok()?;
    Some(format!("/{}", below.display()))
}
