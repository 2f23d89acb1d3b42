//! A quiet place to measure in.

use std::{
    fs::{self, File},
    io,
    os::fd::AsRawFd as _,
    path::PathBuf,
    process,
};

use anyhow::{Context as _, Result};
use observer::source::ebpf::cgroup::CgroupRoot;

/// A cgroup with this process alone in it: programs attached here see no packets of
/// others. The process goes back and the cgroup goes away with this.
pub(crate) struct Group {
    directory: File,
    /// The cgroups below have paths of their own only through the open root, which a
    /// private mount keeps out of the file system.
    _root: CgroupRoot,
    path: PathBuf,
    before: PathBuf,
}

impl Group {
    pub(crate) fn enter() -> Result<Self> {
        let root = CgroupRoot::find(None)?;
        let base = PathBuf::from(format!("/proc/self/fd/{}", root.directory().as_raw_fd()));
        let own = fs::read_to_string("/proc/self/cgroup").context("cannot read /proc")?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or("");
        let path = base.join(format!("observer-bench-{}", process::id()));
        fs::create_dir(&path).context("cannot make a cgroup below the root")?;
        let group = Self {
            directory: File::open(&path)?,
            before: base.join(own).join("cgroup.procs"),
            _root: root,
            path,
        };
        fs::write(group.path.join("cgroup.procs"), process::id().to_string())
            .context("cannot move into a cgroup below the root")?;
        Ok(group)
    }

    pub(crate) const fn directory(&self) -> &File {
        &self.directory
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let back = fs::write(&self.before, process::id().to_string());
        if let Err(error) = back.and_then(|()| fs::remove_dir(&self.path)) {
            eprintln!("an empty cgroup {} stays behind: {error}", self.path.display());
        }
    }
}

/// Binds this thread to the last CPU that it may use: the first one serves most
/// interrupts.
pub(crate) fn stay_on_one_cpu() -> Result<()> {
    // SAFETY: an empty set is all zero; the kernel fills it and the macros read it.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) != 0 {
            return Err(io::Error::last_os_error()).context("cannot read the CPU affinity");
        }
        let last = (0..libc::CPU_SETSIZE as usize).rev().find(|&cpu| libc::CPU_ISSET(cpu, &set));
        libc::CPU_ZERO(&mut set);
        libc::CPU_SET(last.unwrap_or(0), &mut set);
        if libc::sched_setaffinity(0, size_of_val(&set), &raw const set) != 0 {
            return Err(io::Error::last_os_error()).context("cannot stay on one CPU");
        }
    }
    Ok(())
}
