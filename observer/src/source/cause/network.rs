//! What the network namespaces of the host count, added up.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
    thread::{Builder, scope},
};

use super::{
    CauseError,
    growth::Growth,
    snmp::{self, Listen, Udp},
};
use crate::{
    model::{ListenDrops, UdpErrors},
    source::ebpf::namespace::{Namespace, NamespaceId, Namespaces, is_gone},
};

/// Where a thread finds the counters of the namespace it is in.
const OWN: &str = "/proc/thread-self/net";

/// Where a network namespace is to be found. Nothing of it is held open: that would keep
/// it alive, with its devices, after everyone else has left it.
#[derive(Clone, Debug)]
pub struct Place {
    id: NamespaceId,
    path: PathBuf,
}

/// Every network namespace of the host that is to be found.
#[derive(Debug, Default)]
pub struct Places {
    /// Each once.
    pub found: Vec<Place>,
    /// Whether a process, or a mount, would not show its own.
    pub is_some_hidden: bool,
}

/// What the namespaces have added. A namespace that is made as another goes may get the
/// number of that one; it is told apart by counters that are less.
#[derive(Debug, Default)]
pub struct Network {
    udp: Growth<NamespaceId, 5>,
    udp6: Growth<NamespaceId, 5>,
    listen: Growth<NamespaceId, 2>,
}

/// Counters of one namespace, or why there are none.
struct Counters {
    id: NamespaceId,
    udp: Result<Option<Udp>, CauseError>,
    udp6: Result<Option<Udp>, CauseError>,
    listen: Result<Option<Listen>, CauseError>,
}

impl Place {
    /// Which namespace it is.
    #[must_use]
    pub const fn id(&self) -> NamespaceId {
        self.id
    }

    /// Where the kernel shows the namespace's counters without its being entered: beside
    /// `ns/net` of a process.
    fn counters(&self) -> Option<PathBuf> {
        let is_of_process = self.path.starts_with("/proc") && self.path.ends_with("ns/net");
        let process = self.path.parent()?.parent()?;
        is_of_process.then(|| process.join("net"))
    }

    /// Whether the process or the mount is still there, and is of the same namespace.
    fn is_there(&self) -> bool {
        NamespaceId::at(&self.path).is_ok_and(|id| id == self.id)
    }
}

impl Places {
    /// Finds them, by way of every process.
    ///
    /// # Errors
    /// When the processes cannot be listed.
    pub fn find() -> Result<Self, CauseError> {
        let all =
            Namespaces::find().map_err(|source| CauseError::read(Path::new("/proc"), source))?;
        let found = all
            .found
            .iter()
            .filter_map(|one| Some(Place { id: one.id().ok()?, path: one.path().to_owned() }));
        Ok(Self { found: found.collect(), is_some_hidden: all.is_some_hidden })
    }
}

impl Network {
    /// Reads the counters of the namespaces that are at `places`, and forgets all others.
    /// Gives what could not be read.
    pub fn update(&mut self, places: &Places) -> Vec<CauseError> {
        let known: HashSet<_> = places.found.iter().map(Place::id).collect();
        let mut errors = Vec::new();
        let mut mounted = Vec::new();
        for place in &places.found {
            match place.counters() {
                Some(folder) => {
                    let counters = place.is_there().then(|| Counters::read(place.id, &folder));
                    errors.extend(counters.into_iter().flat_map(|one| self.take_in(one)));
                }
                None => mounted.push(place),
            }
        }
        for outcome in entered(&mounted) {
            match outcome {
                Ok(counters) => errors.extend(self.take_in(counters)),
                Err(error) => errors.push(error),
            }
        }
        self.udp.keep(|id| known.contains(id));
        self.udp6.keep(|id| known.contains(id));
        self.listen.keep(|id| known.contains(id));
        errors
    }

    /// What UDP has given up since each namespace was first seen.
    #[must_use]
    pub fn udp(&self) -> UdpErrors {
        let (v4, v6) = (self.udp.sum(), self.udp6.sum());
        let [all, buffer_full, checksum, memory, send] = std::array::from_fn(|at| v4[at] + v6[at]);
        let other = all.saturating_sub(buffer_full + checksum + memory);
        UdpErrors { buffer_full, checksum, memory, other, send }
    }

    /// What listeners have given up since each namespace was first seen.
    #[must_use]
    pub const fn listen(&self) -> ListenDrops {
        let [queue_full, all] = self.listen.sum();
        ListenDrops { queue_full, other: all.saturating_sub(queue_full) }
    }

    fn take_in(&mut self, counters: Counters) -> Vec<CauseError> {
        let Counters { id, udp, udp6, listen } = counters;
        let words = |udp: Udp| {
            [udp.in_errors, udp.receive_buffer, udp.checksum, udp.memory, udp.send_buffer]
        };
        let outcomes = [
            udp.map(|udp| udp.into_iter().for_each(|udp| self.udp.see(id, words(udp)))),
            udp6.map(|udp| udp.into_iter().for_each(|udp| self.udp6.see(id, words(udp)))),
            listen.map(|it| {
                it.into_iter().for_each(|it| self.listen.see(id, [it.overflows, it.drops]));
            }),
        ];
        outcomes.into_iter().filter_map(Result::err).collect()
    }
}

impl Counters {
    fn read(id: NamespaceId, folder: &Path) -> Self {
        Self {
            id,
            udp: parsed(folder, "snmp", snmp::udp),
            // A kernel that was started without IPv6 has none of it.
            udp6: if folder.join("snmp6").exists() {
                parsed(folder, "snmp6", snmp::udp6)
            } else {
                Ok(None)
            },
            listen: parsed(folder, "netstat", snmp::listen),
        }
    }
}

/// A file of a namespace; nothing if the process ended meanwhile.
fn parsed<T>(
    folder: &Path,
    file: &str,
    parse: impl FnOnce(&str) -> Result<T, CauseError>,
) -> Result<Option<T>, CauseError> {
    let path = folder.join(file);
    match fs::read_to_string(&path) {
        Ok(text) => parse(&text).map(Some),
        Err(error) if is_gone(&error) && !folder.exists() => Ok(None),
        Err(error) => Err(CauseError::read(&path, error)),
    }
}

/// Counters of namespaces that no process is in. To read them takes entering, and a
/// thread that has entered a namespace is of no other use.
fn entered(places: &[&Place]) -> Vec<Result<Counters, CauseError>> {
    if places.is_empty() {
        return Vec::new();
    }
    scope(|scope| {
        let thread = Builder::new().name("causes".to_owned());
        match thread.spawn_scoped(scope, || places.iter().filter_map(|one| enter(one)).collect()) {
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(error) => vec![Err(CauseError::read(Path::new(OWN), error))],
        }
    })
}

/// Counters of the namespace that is mounted at a place; none if it is no more.
fn enter(place: &Place) -> Option<Result<Counters, CauseError>> {
    let fail = |source| Some(Err(CauseError::Enter { path: place.path.clone(), source }));
    let namespace = match Namespace::open(&place.path) {
        Ok(namespace) if namespace.id().is_ok_and(|id| id == place.id) => namespace,
        Ok(_) => return None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return fail(error),
    };
    match namespace.enter() {
        Ok(()) => Some(Ok(Counters::read(place.id, Path::new(OWN)))),
        Err(error) => fail(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &str) -> Place {
        Place { id: NamespaceId::at(Path::new("/proc/self/ns/net")).unwrap(), path: path.into() }
    }

    #[test]
    fn a_process_shows_its_counters_and_a_mount_does_not() {
        assert_eq!(place("/proc/12/ns/net").counters(), Some("/proc/12/net".into()));
        assert_eq!(place("/proc/thread-self/ns/net").counters(), Some(OWN.into()));
        assert_eq!(place("/run/netns/a").counters(), None);
        assert_eq!(place("/run/ns/net").counters(), None);
    }

    #[test]
    fn a_place_where_another_is_or_none_is_passed_over() {
        let mut network = Network::default();
        for path in ["/proc/0/ns/net", "/run/nothing", "/dev/null"] {
            let places = Places { found: vec![place(path)], is_some_hidden: false };
            assert!(network.update(&places).is_empty(), "{path}");
        }
        assert_eq!(network.udp(), UdpErrors::default());
    }
}
