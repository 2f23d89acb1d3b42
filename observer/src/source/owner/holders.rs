//! Which process holds which socket, by looking at every descriptor of every process:
//! for sockets of which no program told, because they are older than the programs or
//! came by accept.

use std::{
    collections::HashMap,
    fs,
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    model::SocketCookie,
    source::ebpf::{diag::inodes, namespace::Namespaces},
};

/// Of the time, a search takes at most this part: it is repeated no sooner.
const SHARE: u32 = 50;
/// And no sooner than this.
const PAUSE: Duration = Duration::from_secs(5);

/// What a search found.
#[derive(Debug, Default)]
pub struct Found {
    /// The process of each socket. Of several the first that is not process 1, which
    /// opens sockets for others, and so the parent rather than its children.
    pub processes: HashMap<SocketCookie, u32>,
    /// Namespaces that could not be looked at.
    pub hidden: u64,
    took: Duration,
}

/// Searches in a thread of its own, because it enters namespaces and takes its time.
#[derive(Debug, Default)]
pub struct Search {
    running: Option<JoinHandle<Found>>,
    next: Option<Instant>,
}

impl Search {
    /// Begins one, unless one is running or the last one is too near. Says whether it did.
    pub fn begin(&mut self, most: usize) -> bool {
        if self.running.is_some() || self.next.is_some_and(|next| Instant::now() < next) {
            return false;
        }
        let thread = Builder::new().name("holders".to_owned());
        self.running = thread
            .spawn(move || search(most))
            .inspect_err(|error| tracing::debug!(%error, "no search for the holders of sockets"))
            .ok();
        self.next = Some(Instant::now() + PAUSE);
        self.running.is_some()
    }

    /// What it found, if it has ended.
    pub fn poll(&mut self) -> Option<Found> {
        self.running.as_ref().is_some_and(JoinHandle::is_finished).then(|| self.wait()).flatten()
    }

    /// What it found, when it has ended.
    pub fn wait(&mut self) -> Option<Found> {
        let found = self.running.take()?.join();
        let found = found.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        self.next = Some(Instant::now() + PAUSE.max(found.took * SHARE));
        Some(found)
    }
}

fn search(most: usize) -> Found {
    let begun = Instant::now();
    let mut found = Found::default();
    let descriptors = descriptors();
    match Namespaces::find() {
        Ok(namespaces) => {
            found.hidden = namespaces.is_some_hidden.into();
            for namespace in &namespaces.found {
                let listed = namespace.enter().and_then(|()| {
                    inodes(|cookie, inode| {
                        if let Some(pid) = descriptors.get(&inode)
                            && found.processes.len() < most
                        {
                            found.processes.insert(SocketCookie(cookie), *pid);
                        }
                    })
                });
                if let Err(error) = listed {
                    tracing::debug!(%error, "the sockets of a namespace are not known");
                    found.hidden += 1;
                }
            }
        }
        Err(error) => {
            tracing::debug!(%error, "the sockets of no namespace are known");
            found.hidden += 1;
        }
    }
    found.took = begun.elapsed();
    found
}

/// The process of each socket's inode. A process that ends meanwhile, or shows nothing,
/// has none.
fn descriptors() -> HashMap<u32, u32> {
    let mut all = HashMap::new();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<u32> =
        processes.filter_map(|one| one.file_name().to_str()?.parse().ok()).collect();
    // Process 1 last: whoever is known stays.
    pids.sort_unstable_by_key(|pid| (*pid == 1, *pid));
    for pid in pids {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"));
        for descriptor in descriptors.into_iter().flatten().flatten() {
            let target = fs::read_link(descriptor.path());
            if let Some(inode) =
                target.ok().as_deref().and_then(|target| target.to_str()).and_then(inode)
            {
                all.entry(inode).or_insert(pid);
            }
        }
    }
    all
}

fn inode(target: &str) -> Option<u32> {
    target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, UdpSocket},
        os::fd::AsRawFd as _,
    };

    use super::*;

    #[test]
    fn what_a_descriptor_leads_to() {
        assert_eq!(inode("socket:[4711]"), Some(4711));
        for other in ["pipe:[4711]", "socket:[]", "/dev/null", "socket:[99999999999]"] {
            assert_eq!(inode(other), None, "{other}");
        }
    }

    #[test]
    fn own_sockets_are_held_by_this_process() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let udp = UdpSocket::bind("[::1]:0").unwrap();
        let mut search = Search::default();
        assert!(search.begin(100_000) && !search.begin(100_000), "one at a time");
        let found = search.wait().unwrap();
        assert!(search.wait().is_none() && !search.begin(100_000), "not at once again");
        for descriptor in
            [listener.as_raw_fd(), stream.as_raw_fd(), accepted.as_raw_fd(), udp.as_raw_fd()]
        {
            let holder = found.processes.get(&cookie(descriptor));
            assert_eq!(holder, Some(&std::process::id()));
        }
    }

    fn cookie(descriptor: i32) -> SocketCookie {
        let mut cookie = 0_u64;
        let mut length = size_of::<u64>() as libc::socklen_t;
        // SAFETY: the kernel writes as much as the length says.
        let result = unsafe {
            libc::getsockopt(
                descriptor,
                libc::SOL_SOCKET,
                libc::SO_COOKIE,
                (&raw mut cookie).cast(),
                &raw mut length,
            )
        };
        assert_eq!(result, 0);
        SocketCookie(cookie)
    }
}
