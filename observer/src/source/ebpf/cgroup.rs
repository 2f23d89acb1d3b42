//! The root of the cgroup v2 hierarchy, where one attachment sees every socket.

use std::{
    ffi::CStr,
    fs::{self, File},
    io,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
        unix::fs::MetadataExt as _,
    },
    path::{Path, PathBuf},
};

use thiserror::Error;

/// Inode of the hierarchy's root directory (`kernfs`). Inside a cgroup namespace a
/// fresh mount shows another directory as its root; attached there, the programs
/// would see a part of the host and not say so.
const ROOT_INODE: u64 = 1;

/// Why there is no root to attach to.
#[derive(Debug, Error)]
pub enum CgroupError {
    /// The configured path cannot be opened.
    #[error(
        "cannot open the cgroup root {path}: {source}. Set `cgroup_root` to the mount point of the host's cgroup v2 hierarchy, or leave it out to have it found"
    )]
    Open {
        /// As configured.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It is not the root.
    #[error(
        "{path} is not the root of the cgroup v2 hierarchy (inode {inode}, the root's is 1): only a part of the host would be seen. In a container, mount the host's /sys/fs/cgroup and set `cgroup_root`, or share the host's cgroup namespace"
    )]
    NotRoot {
        /// What was looked at.
        path: PathBuf,
        /// Its inode.
        inode: u64,
    },
    /// None is mounted, and none can be.
    #[error(
        "no cgroup v2 hierarchy is mounted, and mounting one failed: {source}. The kernel needs CONFIG_CGROUP_BPF, and this process CAP_SYS_ADMIN to mount: `mount -t cgroup2 none /mnt` and set `cgroup_root: /mnt`"
    )]
    None {
        /// What the kernel said.
        source: io::Error,
    },
}

/// An open root, and how it was come by.
#[derive(Debug)]
pub struct CgroupRoot {
    /// The directory, or a description of a mount that has none.
    pub path: PathBuf,
    directory: File,
}

impl CgroupRoot {
    /// Opens `configured`, or else finds the root: among this process' mounts, as a
    /// mount of its own that nobody else sees, or among the mounts of process 1.
    ///
    /// # Errors
    /// [`CgroupError`] when what was found is not the root, or nothing was found.
    pub fn find(configured: Option<&Path>) -> Result<Self, CgroupError> {
        if let Some(path) = configured {
            return Self::open(path);
        }
        let mut refused = None;
        for path in mounted("/proc/self/mountinfo") {
            match Self::open(&path) {
                Ok(root) => return Ok(root),
                Err(error) => refused = Some(error),
            }
        }
        let source = match Self::mount() {
            Ok(root) if root.is_root() => return Ok(root),
            Ok(_) => io::Error::other("the mount shows a cgroup namespace, not the root"),
            Err(error) => error,
        };
        for path in mounted("/proc/1/mountinfo") {
            let path = Path::new("/proc/1/root").join(path.strip_prefix("/").unwrap_or(&path));
            if let Ok(root) = Self::open(&path) {
                return Ok(root);
            }
        }
        Err(refused.unwrap_or(CgroupError::None { source }))
    }

    /// The directory, for an attachment.
    #[must_use]
    pub const fn directory(&self) -> &File {
        &self.directory
    }

    fn open(path: &Path) -> Result<Self, CgroupError> {
        let fail = |source| CgroupError::Open { path: path.to_owned(), source };
        let directory = File::open(path).map_err(fail)?;
        let inode = directory.metadata().map_err(fail)?.ino();
        let root = Self { path: path.to_owned(), directory };
        if root.is_root() {
            Ok(root)
        } else {
            Err(CgroupError::NotRoot { path: path.to_owned(), inode })
        }
    }

    fn is_root(&self) -> bool {
        is_cgroup2(self.directory.as_raw_fd())
            && self.directory.metadata().is_ok_and(|data| data.ino() == ROOT_INODE)
    }

    /// A mount that hangs in no tree: it goes when this process does.
    fn mount() -> io::Result<Self> {
        let context = call(libc::SYS_fsopen, [c"cgroup2".as_ptr() as i64, 0, 0, 0, 0])?;
        let create = i64::from(libc::FSCONFIG_CMD_CREATE);
        call_unit(libc::SYS_fsconfig, [i64::from(context.as_raw_fd()), create, 0, 0, 0])?;
        let mount = call(libc::SYS_fsmount, [i64::from(context.as_raw_fd()), 0, 0, 0, 0])?;
        let here: &CStr = c".";
        let flags = i64::from(libc::O_DIRECTORY | libc::O_CLOEXEC);
        let directory = call(
            libc::SYS_openat,
            [i64::from(mount.as_raw_fd()), here.as_ptr() as i64, flags, 0, 0],
        )?;
        Ok(Self { path: PathBuf::from("(private mount)"), directory: File::from(directory) })
    }
}

fn call_unit(number: i64, arguments: [i64; 5]) -> io::Result<i64> {
    let [a, b, c, d, e] = arguments;
    // SAFETY: the callers pass descriptors they own, flags, and pointers to strings
    // that live for the call.
    let result = unsafe { libc::syscall(number, a, b, c, d, e) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn call(number: i64, arguments: [i64; 5]) -> io::Result<OwnedFd> {
    let descriptor = call_unit(number, arguments)?;
    let descriptor = RawFd::try_from(descriptor).map_err(io::Error::other)?;
    // SAFETY: the system call returned it just now, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn is_cgroup2(descriptor: RawFd) -> bool {
    let mut data = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the descriptor is open and the kernel fills the structure it is given.
    let found = unsafe { libc::fstatfs(descriptor, data.as_mut_ptr()) } == 0;
    // SAFETY: it was filled.
    found && unsafe { data.assume_init() }.f_type == libc::CGROUP2_SUPER_MAGIC
}

/// Mount points of cgroup v2 in a mountinfo file (proc(5)).
fn mounted(mountinfo: &str) -> Vec<PathBuf> {
    fs::read_to_string(mountinfo).map(|text| cgroup2_mounts(&text)).unwrap_or_default()
}

fn cgroup2_mounts(mountinfo: &str) -> Vec<PathBuf> {
    mountinfo
        .lines()
        .filter_map(|line| {
            let (mount, filesystem) = line.split_once(" - ")?;
            let is_cgroup2 = filesystem.split(' ').next() == Some("cgroup2");
            is_cgroup2.then(|| mount.split(' ').nth(4)).flatten().map(unescape)
        })
        .collect()
}

/// The kernel writes blanks and backslashes of a path in octal.
pub(in crate::source) fn unescape(path: &str) -> PathBuf {
    let mut plain = path.to_owned();
    for (escaped, character) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
    {
        plain = plain.replace(escaped, character);
    }
    PathBuf::from(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hybrid_hosts_mount_it_elsewhere() {
        let text = "35 24 0:30 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755\n\
                    36 35 0:31 / /sys/fs/cgroup/unified rw shared:10 - cgroup2 cgroup2 rw\n\
                    37 35 0:32 / /sys/fs/cgroup/systemd rw shared:11 - cgroup cgroup rw,name=systemd\n";
        assert_eq!(cgroup2_mounts(text), [PathBuf::from("/sys/fs/cgroup/unified")]);
    }

    #[test]
    fn mount_points_with_blanks_and_no_tags() {
        let text = "36 35 0:31 / /mnt/a\\040b\\134c rw - cgroup2 none rw\nnonsense\n";
        assert_eq!(cgroup2_mounts(text), [PathBuf::from("/mnt/a b\\c")]);
    }

    #[test]
    fn what_is_no_cgroup_is_refused() {
        let error = CgroupRoot::find(Some(Path::new("/"))).unwrap_err();
        assert!(matches!(error, CgroupError::NotRoot { .. }), "{error}");
        let error = CgroupRoot::find(Some(Path::new("/nowhere"))).unwrap_err();
        assert!(error.to_string().contains("/nowhere"), "{error}");
    }
}
