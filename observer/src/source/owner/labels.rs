//! Labels of containers and of their Kubernetes pods, from the files in which runtimes
//! keep them. What a runtime keeps in a database of its own is not known here: containerd's
//! labels of pods, Podman's of containers.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Deserialize;

use crate::model::{Container, Labels, Runtime};

/// The file system of the host, as an observer on it and one in a container see it.
const ROOTS: [&str; 2] = ["/", "/proc/1/root"];

/// What is read of a file at most.
const LONGEST: u64 = 1 << 20;

/// What kubelet calls a pod and a container, and what containerd's CRI makes of it.
const NAMES: [(&str, &str); 4] = [
    ("io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"),
    ("io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace"),
    ("io.kubernetes.cri.sandbox-uid", "io.kubernetes.pod.uid"),
    ("io.kubernetes.cri.container-name", "io.kubernetes.container.name"),
];

/// Where CRI-O puts the labels, in an annotation of its own, as JSON.
const CRIO_LABELS: &str = "io.kubernetes.cri-o.Labels";

/// Who names the container that stands for the whole pod and has the pod's labels.
const SANDBOXES: [&str; 2] = ["io.kubernetes.cri-o.SandboxID", "io.kubernetes.sandbox.id"];

/// A container's labels do not change while it lives: each is read once.
#[derive(Debug)]
pub struct LabelReader {
    roots: Vec<PathBuf>,
    known: HashMap<String, Arc<Labels>>,
}

impl Default for LabelReader {
    fn default() -> Self {
        Self { roots: ROOTS.map(PathBuf::from).to_vec(), known: HashMap::new() }
    }
}

impl LabelReader {
    /// The labels of a container and of its pod. Where both have one, the container's goes.
    pub fn of(&mut self, container: &Container) -> Arc<Labels> {
        if let Some(labels) = self.known.get(&container.id) {
            return Arc::clone(labels);
        }
        let labels = self.roots.iter().find_map(|root| read(root, container));
        let Some(labels) = labels else { return Arc::default() };
        let labels = Arc::new(labels);
        self.known.insert(container.id.clone(), Arc::clone(&labels));
        labels
    }

    /// Forgets what nobody has any more.
    pub fn forget_unused(&mut self) {
        self.known.retain(|_, labels| Arc::strong_count(labels) > 1);
    }
}

/// `None` when no runtime knows it here.
fn read(root: &Path, container: &Container) -> Option<Labels> {
    let (runtime, told) = of_any_runtime(root, container)?;
    let sandbox = SANDBOXES.iter().find_map(|name| told.get(*name));
    let sandbox = sandbox.filter(|id| **id != container.id);
    let of_pod = sandbox.and_then(|id| Container::new(runtime, id));
    let of_pod = of_pod.and_then(|sandbox| of_any_runtime(root, &sandbox));
    let mut labels = of_pod.map(|(runtime, told)| labels(runtime, told)).unwrap_or_default();
    labels.extend(self::labels(runtime, told));
    Some(labels)
}

/// What the file of a container says, and whose file it is.
fn of_any_runtime(root: &Path, container: &Container) -> Option<(Runtime, Labels)> {
    const ALL: [Runtime; 4] =
        [Runtime::Docker, Runtime::Containerd, Runtime::CriO, Runtime::Podman];
    let runtimes = match &container.runtime {
        Runtime::Unknown => &ALL[..],
        known => std::slice::from_ref(known),
    };
    runtimes.iter().find_map(|runtime| {
        let files = files(root, *runtime, &container.id);
        let told = files.iter().find_map(|file| told(*runtime, file))?;
        Some((*runtime, told))
    })
}

/// Where a runtime may keep what it was told of a container.
fn files(root: &Path, runtime: Runtime, id: &str) -> Vec<PathBuf> {
    let of_storage = |folder: &str| {
        root.join(folder).join("containers/storage/overlay-containers").join(id).join("userdata")
    };
    match runtime {
        Runtime::Docker => {
            vec![root.join("var/lib/docker/containers").join(id).join("config.v2.json")]
        }
        Runtime::Containerd => {
            let tasks = root.join("run/containerd/io.containerd.runtime.v2.task");
            let namespaces = fs::read_dir(tasks).into_iter().flatten().filter_map(Result::ok);
            namespaces.map(|namespace| namespace.path().join(id).join("config.json")).collect()
        }
        Runtime::CriO | Runtime::Podman => {
            ["run", "var/lib"].map(|folder| of_storage(folder).join("config.json")).to_vec()
        }
        Runtime::Unknown => Vec::new(),
    }
}

fn told(runtime: Runtime, file: &Path) -> Option<Labels> {
    let text = match text(file) {
        Ok(text) => text,
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::debug!(file = %file.display(), %error, "labels cannot be read");
            }
            return None;
        }
    };
    let told = if runtime == Runtime::Docker {
        serde_json::from_slice::<DockerFile>(&text).map(|file| file.config.labels)
    } else {
        serde_json::from_slice::<OciFile>(&text).map(|file| file.annotations)
    };
    let told = told.inspect_err(|error| {
        tracing::debug!(file = %file.display(), %error, "labels cannot be understood");
    });
    Some(told.ok()?.unwrap_or_default())
}

fn text(file: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(file)?.take(LONGEST).read_to_end(&mut text)?;
    Ok(text)
}

/// From what was told to labels. Annotations of CRI runtimes are no labels, but for those
/// that hold some; Podman's are all that there is.
fn labels(runtime: Runtime, mut told: Labels) -> Labels {
    match runtime {
        Runtime::Docker | Runtime::Podman | Runtime::Unknown => told,
        Runtime::CriO => told
            .remove(CRIO_LABELS)
            .and_then(|json| serde_json::from_str(&json).ok())
            .unwrap_or_default(),
        Runtime::Containerd => NAMES
            .into_iter()
            .filter_map(|(annotation, name)| Some((name.to_owned(), told.remove(annotation)?)))
            .collect(),
    }
}

/// Docker's `config.v2.json`, of which this is the part that is wanted.
#[derive(Deserialize)]
struct DockerFile {
    #[serde(rename = "Config")]
    config: DockerConfig,
}

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

/// `config.json` of the runtime specification of the Open Container Initiative.
#[derive(Deserialize)]
struct OciFile {
    annotations: Option<BTreeMap<String, String>>,
}

#[cfg(test)]
mod tests;
