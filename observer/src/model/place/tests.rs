use super::*;

const ID: &str = "3f2a9c4b5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708";
const UID: &str = "8a4b1c2d-3e4f-4a5b-8c6d-7e8f9a0b1c2d";

fn place(path: &str) -> Place {
    let uid = UID.replace('-', "_");
    Place::of(&path.replace("ID", ID).replace("UiD", UID).replace("U_D", &uid))
}

/// Paths as the runtimes make them: with systemd, and by themselves.
#[test]
fn containers_of_every_runtime() {
    for (path, runtime) in [
        ("/system.slice/docker-ID.scope", Runtime::Docker),
        ("/docker/ID", Runtime::Docker),
        ("/system.slice/nerdctl-ID.scope", Runtime::Containerd),
        ("/default/ID", Runtime::Unknown),
        ("/machine.slice/libpod-ID.scope", Runtime::Podman),
        ("/machine.slice/libpod-ID.scope/container", Runtime::Podman),
        ("/libpod_parent/libpod-ID", Runtime::Podman),
        (
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope",
            Runtime::Podman,
        ),
    ] {
        let place = place(path);
        let container = Some(Container { runtime, id: ID.to_owned() });
        assert_eq!((place.container, place.pod_uid, place.unit), (container, None, None), "{path}");
    }
}

#[test]
fn containers_of_a_pod() {
    for (path, runtime) in [
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_D.slice/cri-containerd-ID.scope",
            Runtime::Containerd,
        ),
        ("/kubepods.slice/kubepods-podU_D.slice/crio-ID.scope", Runtime::CriO),
        ("/kubepods.slice/kubepods-podU_D.slice/crio-ID.scope/container", Runtime::CriO),
        ("/kubepods/besteffort/podUiD/ID", Runtime::Unknown),
        ("/kubepods/podUiD/crio-ID", Runtime::CriO),
        (
            "/system.slice/containerd.service/kubepods-burstable-podU_D.slice:cri-containerd:ID",
            Runtime::Containerd,
        ),
        (
            "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podU_D.slice/cri-containerd-ID.scope",
            Runtime::Containerd,
        ),
        ("/kubepods.slice/kubepods-podU_D.slice/docker-ID.scope", Runtime::Docker),
    ] {
        let place = place(path);
        assert_eq!(place.container, Some(Container { runtime, id: ID.to_owned() }), "{path}");
        let uid = (!path.contains(':')).then(|| UID.to_owned());
        assert_eq!((place.pod_uid, place.unit), (uid, None), "{path}");
    }
    let of_a_file = place("/kubepods.slice/kubepods-pod8a4b1c2d3e4f4a5b8c6d7e8f9a0b1c2d.slice");
    assert_eq!(of_a_file.pod_uid.as_deref(), Some("8a4b1c2d3e4f4a5b8c6d7e8f9a0b1c2d"));
}

#[test]
fn units_and_what_is_neither() {
    for (path, unit) in [
        ("/system.slice/nginx.service", Some("nginx.service")),
        (
            "/system.slice/system-postgresql.slice/postgresql@15-main.service",
            Some("postgresql@15-main.service"),
        ),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/pipewire.service",
            Some("pipewire.service"),
        ),
        ("/user.slice/user-0.slice/session-3.scope", Some("session-3.scope")),
        ("/init.scope", Some("init.scope")),
        ("/system.slice/nginx.service/worker", Some("nginx.service")),
        // The watcher of a container, which is not in it.
        ("/machine.slice/libpod-conmon-ID.scope", Some("libpod-conmon-ID.scope")),
        ("/system.slice/crio-conmon-ID.scope", Some("crio-conmon-ID.scope")),
        ("/system.slice/docker-abc.scope", Some("docker-abc.scope")),
        ("/", None),
        ("", None),
        ("/.service", None),
        ("/lxc/podium", None),
        ("/pods/pod-and-some", None),
    ] {
        let place = place(path);
        let unit = unit.map(|unit| unit.replace("ID", ID));
        assert_eq!((place.unit, place.container, place.pod_uid), (unit, None, None), "{path}");
    }
}

#[test]
fn the_innermost_counts() {
    let inside = place("/docker/ID/system.slice/nginx.service");
    assert_eq!(inside.unit.as_deref(), Some("nginx.service"));
    assert_eq!(inside.container.unwrap().id, ID);
    let outside = place("/system.slice/docker.service/docker/ID");
    assert_eq!((outside.unit, outside.container.unwrap().runtime), (None, Runtime::Docker));
}

#[test]
fn of_many_hierarchies_the_one_that_tells_most() {
    let hybrid = format!("9:name=systemd:/docker/{ID}\n4:memory:/docker/{ID}\n0::/\n");
    assert_eq!(Place::of_process(&hybrid).container.unwrap().id, ID);
    let unified = "0::/system.slice/nginx.service\n";
    assert_eq!(Place::of_process(unified).unit.as_deref(), Some("nginx.service"));
    let both = "1:name=systemd:/system.slice/a.service\n0::/system.slice/a.service/sub\n";
    assert_eq!(Place::of_process(both).cgroup, "/system.slice/a.service/sub");
    let odd = Place::of_process("9:cpu\nnonsense\n\n0::/x:y\n");
    assert_eq!(odd.cgroup, "/x:y");
    assert_eq!(Place::of_process(""), Place::default());
}
