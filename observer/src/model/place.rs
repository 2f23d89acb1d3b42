//! Where a process runs, by the path of its cgroup.

/// Who runs a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Runtime {
    /// Docker.
    Docker,
    /// containerd, by itself or for Kubernetes.
    Containerd,
    /// CRI-O.
    CriO,
    /// Podman.
    Podman,
    /// A container identifier stands there, and not whose it is.
    Unknown,
}

impl Runtime {
    /// Its name, as `container.runtime.name` has it; `None` when it is not known.
    #[must_use]
    pub const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Docker => Some("docker"),
            Self::Containerd => Some("containerd"),
            Self::CriO => Some("cri-o"),
            Self::Podman => Some("podman"),
            Self::Unknown => None,
        }
    }
}

/// A container.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Container {
    /// Who runs it.
    pub runtime: Runtime,
    /// 64 hexadecimal digits.
    pub id: String,
}

impl Container {
    /// `None` when `id` is none.
    #[must_use]
    pub fn new(runtime: Runtime, id: &str) -> Option<Self> {
        is_container_id(id).then(|| Self { runtime, id: id.to_owned() })
    }
}

/// What a path tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// The path, from the root of its hierarchy.
    pub cgroup: String,
    /// The systemd unit, a service or a scope.
    pub unit: Option<String>,
    /// The container.
    pub container: Option<Container>,
    /// Unique identifier of the Kubernetes pod.
    pub pod_uid: Option<String>,
}

/// What stands before the identifier of a container, and who writes it so. A scope of
/// systemd ends in `.scope`; with the runtime's own cgroups the words are the same, and
/// Docker and containerd leave the identifier alone in a folder of theirs.
const PREFIXES: [(&str, Runtime); 7] = [
    ("docker-", Runtime::Docker),
    ("cri-containerd-", Runtime::Containerd),
    ("cri-containerd:", Runtime::Containerd),
    ("nerdctl-", Runtime::Containerd),
    ("crio-", Runtime::CriO),
    ("libpod-payload-", Runtime::Podman),
    ("libpod-", Runtime::Podman),
];

impl Place {
    /// Reads a path. Where containers are in units, or units in containers, the innermost
    /// says what the process is of.
    #[must_use]
    pub fn of(cgroup: &str) -> Self {
        let mut place = Self { cgroup: cgroup.to_owned(), ..Self::default() };
        let mut folder = "";
        for name in cgroup.split('/') {
            if let Some(container) = container(folder, name) {
                place.container = Some(container);
                place.unit = None;
            } else if let Some(pod) = pod_uid(name) {
                place.pod_uid = Some(pod);
                place.unit = None;
            } else if has_ending(name, ".service") || has_ending(name, ".scope") {
                place.unit = Some(name.to_owned());
            }
            folder = name;
        }
        place
    }

    /// Reads `/proc/PID/cgroup` (cgroups(7)): of its hierarchies, the one that tells most.
    /// On hosts with both versions containers may be in those of version 1 alone.
    #[must_use]
    pub fn of_process(file: &str) -> Self {
        let paths = file.lines().filter_map(|line| {
            let (_, rest) = line.split_once(':')?;
            rest.split_once(':')
        });
        let mut best = Self::default();
        for (controllers, path) in paths {
            let place = Self::of(path);
            // Version 2, which has no controllers here, goes before equals.
            let telling = |place: &Self| (place.container.is_some(), place.unit.is_some());
            if telling(&place) > telling(&best)
                || telling(&place) == telling(&best) && controllers.is_empty()
            {
                best = place;
            }
        }
        best
    }
}

fn has_ending(name: &str, ending: &str) -> bool {
    name.len() > ending.len() && name.ends_with(ending)
}

fn container(folder: &str, name: &str) -> Option<Container> {
    let name = name.strip_suffix(".scope").unwrap_or(name);
    // With a slice before it, a colon on each side: `SLICE:cri-containerd:ID`.
    let name = name.find("cri-containerd:").map_or(name, |at| &name[at..]);
    let prefixed = PREFIXES
        .into_iter()
        .find_map(|(prefix, runtime)| Some((runtime, name.strip_prefix(prefix)?)));
    let (runtime, id) = prefixed.unwrap_or_else(|| {
        let runtime = match folder {
            "docker" => Runtime::Docker,
            _ => Runtime::Unknown,
        };
        (runtime, name)
    });
    Container::new(runtime, id)
}

fn is_container_id(text: &str) -> bool {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == 64 && text.bytes().all(is_hex)
}

/// `podUID`, or a slice that ends in it, with `_` for `-`. A pod of a file on the node
/// has 32 digits without any.
fn pod_uid(name: &str) -> Option<String> {
    let slice = name.strip_suffix(".slice");
    let uid = match slice {
        Some(slice) => slice.rsplit_once("-pod")?.1.replace('_', "-"),
        None => name.strip_prefix("pod")?.to_owned(),
    };
    let digits = uid.bytes().filter(u8::is_ascii_hexdigit).count();
    let hyphens = uid.bytes().filter(|byte| *byte == b'-').count();
    let is_uid = digits == 32 && digits + hyphens == uid.len() && (hyphens == 0 || hyphens == 4);
    is_uid.then_some(uid)
}

#[cfg(test)]
mod tests;
