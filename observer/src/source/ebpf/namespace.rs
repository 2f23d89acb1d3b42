//! The network namespaces of the host.

use std::{
    collections::HashSet,
    fs::{self, File},
    io,
    os::{fd::AsRawFd as _, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use super::cgroup::unescape;

/// Where a thread finds its own.
const OWN: &str = "/proc/thread-self/ns/net";

/// A network namespace.
#[derive(Debug)]
pub struct Namespace {
    file: File,
    path: PathBuf,
    is_own: bool,
}

/// Device and inode of a network namespace: no two that live at one time have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NamespaceId {
    device: u64,
    inode: u64,
}

impl NamespaceId {
    /// Of what is at `path`.
    ///
    /// # Errors
    /// When nothing is there, or it may not be looked at.
    pub fn at(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|data| Self { device: data.dev(), inode: data.ino() })
    }
}

/// The namespaces that were found.
#[derive(Debug, Default)]
pub struct Namespaces {
    /// Each once, the own one first.
    pub found: Vec<Namespace>,
    /// Whether a process, or a mount, would not show its own.
    pub is_some_hidden: bool,
}

impl Namespaces {
    /// Those that a process is in, and those that are mounted, as `ip netns` does: a
    /// socket may live on where no process is.
    ///
    /// # Errors
    /// When the process' own namespace or the list of processes cannot be read.
    pub fn find() -> io::Result<Self> {
        let mut namespaces = Self::default();
        let mut seen = HashSet::new();
        namespaces.add(Path::new(OWN), &mut seen);
        if namespaces.found.is_empty() {
            return Err(io::Error::other("the own network namespace cannot be read"));
        }
        for process in fs::read_dir("/proc")?.flatten() {
            let is_process = process.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit);
            if is_process {
                namespaces.add(&process.path().join("ns/net"), &mut seen);
            }
        }
        for path in mounted(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default()) {
            namespaces.add(&path, &mut seen);
        }
        Ok(namespaces)
    }

    fn add(&mut self, path: &Path, seen: &mut HashSet<(u64, u64)>) {
        let file = fs::metadata(path).and_then(|data| {
            let is_new = seen.insert((data.dev(), data.ino()));
            is_new.then(|| File::open(path)).transpose()
        });
        match file {
            Ok(Some(file)) => {
                let is_own = self.found.is_empty();
                self.found.push(Namespace { file, path: path.to_owned(), is_own });
            }
            Ok(None) => {}
            Err(error) if is_gone(&error) => {}
            Err(error) => {
                tracing::debug!(%error, path = %path.display(), "a network namespace is hidden");
                self.is_some_hidden = true;
            }
        }
    }
}

impl Namespace {
    /// Puts the calling thread into it, for good.
    ///
    /// # Errors
    /// What the kernel said: to enter another namespace takes `CAP_SYS_ADMIN`.
    pub fn enter(&self) -> io::Result<()> {
        // SAFETY: the descriptor is open, and the call changes this thread alone.
        let result = unsafe { libc::setns(self.file.as_raw_fd(), libc::CLONE_NEWNET) };
        // Where this process started it is without being asked in.
        if result == 0 || self.is_own { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Opens what is at `path`. As long as it is open, the namespace lives.
    ///
    /// # Errors
    /// When nothing is there, or it may not be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, path: path.to_owned(), is_own: false })
    }

    /// Where it was found: below a process, or where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Which one it is.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn id(&self) -> io::Result<NamespaceId> {
        self.file.metadata().map(|data| NamespaceId { device: data.dev(), inode: data.ino() })
    }
}

/// A process that ended meanwhile has no namespace to miss.
pub(in crate::source) fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH))
}

/// Mount points of network namespaces in a mountinfo file (proc(5)).
fn mounted(mountinfo: &str) -> Vec<PathBuf> {
    mountinfo
        .lines()
        .filter_map(|line| {
            let (mount, filesystem) = line.split_once(" - ")?;
            let mut fields = mount.split(' ').skip(3);
            let is_network = fields.next()?.starts_with("net:[");
            let is_namespace = filesystem.split(' ').next() == Some("nsfs");
            (is_network && is_namespace).then(|| fields.next().map(unescape)).flatten()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_network_namespaces_and_no_others() {
        let text = "40 25 0:4 net:[4026532345] /run/netns/a\\040b rw shared:9 - nsfs nsfs rw\n\
                    41 25 0:4 mnt:[4026532346] /run/mnt rw shared:9 - nsfs nsfs rw\n\
                    36 35 0:31 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\nnonsense\n";
        assert_eq!(mounted(text), [PathBuf::from("/run/netns/a b")]);
    }

    #[test]
    fn the_own_one_is_first_and_needs_no_right() {
        let namespaces = Namespaces::find().unwrap();
        let own = fs::metadata(OWN).unwrap();
        let first = namespaces.found[0].file.metadata().unwrap();
        assert_eq!((first.dev(), first.ino()), (own.dev(), own.ino()));
        assert!(namespaces.found[0].enter().is_ok());
        let distinct: HashSet<_> =
            namespaces.found.iter().map(|one| one.file.metadata().unwrap().ino()).collect();
        assert_eq!(distinct.len(), namespaces.found.len());
    }
}
