use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

const CONTAINER: char = 'a';
const SANDBOX: char = 'b';

fn id(digit: char) -> String {
    digit.to_string().repeat(64)
}

/// A file system of its own, gone with this.
struct Root(PathBuf);

impl Root {
    fn with(files: &[(String, &str)]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "observer-labels-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let root = Self(std::env::temp_dir().join(name));
        for (path, text) in files {
            let file = root.0.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        root
    }

    fn labels(&self, runtime: Runtime) -> Vec<(String, String)> {
        let mut reader = LabelReader { roots: vec![self.0.clone()], known: HashMap::new() };
        let container = Container { runtime, id: id(CONTAINER) };
        reader.of(&container).iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

fn expected(labels: &[(&str, &str)]) -> Vec<(String, String)> {
    labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn docker(digit: char) -> String {
    format!("var/lib/docker/containers/{}/config.v2.json", id(digit))
}

fn containerd(namespace: &str, digit: char) -> String {
    let id = id(digit);
    format!("run/containerd/io.containerd.runtime.v2.task/{namespace}/{id}/config.json")
}

fn storage(folder: &str, digit: char) -> String {
    let id = id(digit);
    format!("{folder}/containers/storage/overlay-containers/{id}/userdata/config.json")
}

#[test]
fn docker_keeps_labels_and_those_of_pods_with_their_sandbox() {
    let compose = r#"{"ID":"x","Config":{"Env":[],"Labels":{"com.docker.compose.service":"sfu"}}}"#;
    let root = Root::with(&[(docker(CONTAINER), compose)]);
    let labels = expected(&[("com.docker.compose.service", "sfu")]);
    assert_eq!(root.labels(Runtime::Docker), labels);
    assert_eq!(root.labels(Runtime::Unknown), labels, "every place is looked at");
    assert_eq!(root.labels(Runtime::Podman), []);

    let of_pod = r#"{"Config":{"Labels":{"app":"chat","tier":"pod"}}}"#;
    let sandbox = id(SANDBOX);
    let of_container = format!(
        r#"{{"Config":{{"Labels":{{"tier":"own","io.kubernetes.sandbox.id":"{sandbox}"}}}}}}"#
    );
    let root = Root::with(&[(docker(CONTAINER), &of_container), (docker(SANDBOX), of_pod)]);
    let labels =
        expected(&[("app", "chat"), ("io.kubernetes.sandbox.id", &sandbox), ("tier", "own")]);
    assert_eq!(root.labels(Runtime::Docker), labels);
}

#[test]
fn containerd_tells_pod_and_container_in_any_namespace() {
    let text = r#"{"ociVersion":"1.2.0","annotations":{
        "io.kubernetes.cri.container-name":"sfu",
        "io.kubernetes.cri.container-type":"container",
        "io.kubernetes.cri.sandbox-name":"voice-7d9",
        "io.kubernetes.cri.sandbox-namespace":"prod"}}"#;
    let root =
        Root::with(&[(containerd("moby", SANDBOX), "{}"), (containerd("k8s.io", CONTAINER), text)]);
    let labels = expected(&[
        ("io.kubernetes.container.name", "sfu"),
        ("io.kubernetes.pod.name", "voice-7d9"),
        ("io.kubernetes.pod.namespace", "prod"),
    ]);
    assert_eq!(root.labels(Runtime::Containerd), labels);
}

#[test]
fn cri_o_keeps_labels_in_an_annotation_and_those_of_pods_with_their_sandbox() {
    let sandbox = id(SANDBOX);
    let of_container = format!(
        r#"{{"annotations":{{"io.kubernetes.cri-o.SandboxID":"{sandbox}","note":"no label",
        "io.kubernetes.cri-o.Labels":"{{\"io.kubernetes.container.name\":\"sfu\"}}"}}}}"#
    );
    let of_pod = r#"{"annotations":{"io.kubernetes.cri-o.Labels":"{\"app\":\"chat\"}"}}"#;
    for folder in ["run", "var/lib"] {
        let files =
            [(storage(folder, CONTAINER), &*of_container), (storage(folder, SANDBOX), of_pod)];
        let labels = expected(&[("app", "chat"), ("io.kubernetes.container.name", "sfu")]);
        assert_eq!(Root::with(&files).labels(Runtime::CriO), labels);
    }
}

#[test]
fn of_podman_there_are_annotations() {
    let text = r#"{"annotations":{"io.container.manager":"libpod","app":"chat"}}"#;
    let root = Root::with(&[(storage("var/lib", CONTAINER), text)]);
    let labels = expected(&[("app", "chat"), ("io.container.manager", "libpod")]);
    assert_eq!(root.labels(Runtime::Podman), labels);
}

#[test]
fn what_makes_no_sense_has_no_labels() {
    let elsewhere = r#"{"Config":{"Labels":{"a":"b","io.kubernetes.sandbox.id":"../../../etc"}}}"#;
    let root = Root::with(&[(docker(CONTAINER), elsewhere)]);
    assert_eq!(root.labels(Runtime::Docker)[0], ("a".to_owned(), "b".to_owned()));
    let long = format!(r#"{{"Config":{{"Labels":{{"a":"{}"}}}}}}"#, "x".repeat(2 << 20));
    for text in ["", "{", "[]", r#"{"Config":{}}"#, r#"{"Config":{"Labels":{"a":1}}}"#, &long] {
        let root = Root::with(&[(docker(CONTAINER), text)]);
        assert_eq!(root.labels(Runtime::Docker), [], "{}", &text[..text.len().min(40)]);
    }
    assert_eq!(Root::with(&[]).labels(Runtime::Unknown), []);
}

#[test]
fn what_is_known_is_not_read_again_until_nobody_has_it() {
    let root = Root::with(&[(docker(CONTAINER), r#"{"Config":{"Labels":{"a":"b"}}}"#)]);
    let mut reader = LabelReader { roots: vec![root.0.clone()], known: HashMap::new() };
    let container = Container { runtime: Runtime::Docker, id: id(CONTAINER) };
    let labels = reader.of(&container);
    fs::remove_file(root.0.join(docker(CONTAINER))).unwrap();
    reader.forget_unused();
    assert_eq!(reader.of(&container), labels);
    drop(labels);
    reader.forget_unused();
    assert!(reader.of(&container).is_empty());
}
