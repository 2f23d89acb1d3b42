//! Whose a socket is, what is watched, and under which name: by a real observer, of real
//! processes, in real cgroups.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod peers {
    #[expect(dead_code, reason = "these tests ask for connections alone")]
    pub(crate) mod observer;
    pub(crate) mod patience;
}

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use observer::{
    export::snapshot::{Process, Tcp},
    model::{Creator, SocketCookie},
    source::{
        ebpf::cgroup::CgroupRoot,
        owner::{Owners, cgroups},
    },
};
use peers::{
    observer::{Observer, PATIENCE},
    patience::until,
};

/// Set for the child that serves.
const SERVE: &str = "OBSERVER_TEST_SERVE";
const ID: &str = "3f2a9c4b5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708";

/// One test at a time: each sees the whole host.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// In a child, serves until its standard input ends. Elsewhere there is nothing to do.
#[test]
fn serve() {
    if env::var_os(SERVE).is_none() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("\n{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut bytes = [0; 64];
                while let Ok(length @ 1..) = stream.read(&mut bytes) {
                    stream.write_all(&bytes[..length]).unwrap();
                }
            });
        }
    });
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// A process that echoes what comes to its listener.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(variables: &[(&str, &str)], cgroup: Option<&Cgroup>) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["serve", "--exact", "--nocapture"]).env(SERVE, "1");
        command.env_remove("OTEL_SERVICE_NAME").envs(variables.iter().copied());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        if let Some(cgroup) = cgroup {
            fs::write(cgroup.0.join("cgroup.procs"), child.id().to_string()).unwrap();
        }
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.map_while(Result::ok).find_map(|line| line.parse().ok());
        Self { child, address: address.expect("it says where it listens") }
    }

    fn connect(&self) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        talk(&mut stream);
        stream
    }
}

fn talk(stream: &mut TcpStream) {
    stream.write_all(b"hello").unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _status = self.child.wait();
    }
}

/// A cgroup of version 2, gone with this.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(name: &str) -> Self {
        let folder = CgroupRoot::find(None).unwrap().path.join(name);
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Those who were in it may still be on their way out.
        let begun = Instant::now();
        while fs::remove_dir(&self.0).is_err() && begun.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn process(end: &Tcp) -> &Process {
    end.process.as_ref().unwrap()
}

#[test]
fn an_accepted_socket_has_its_process_with_unit_and_container() {
    let _turn = turn();
    let container = Cgroup::new(&format!("docker-{ID}.scope"));
    let unit = Cgroup::new(&format!("observer-test-{}.service", std::process::id()));
    let observer = Observer::start(&[]);
    let inside = Server::start(&[("OTEL_SERVICE_NAME", "chat")], Some(&container));
    let of_unit = Server::start(&[], Some(&unit));
    let older = (inside.connect(), of_unit.connect());
    let end = observer.end(inside.address);
    let executable = env::current_exe().unwrap().to_string_lossy().into_owned();
    assert_eq!((end.service.as_deref(), process(&end).pid), (Some("chat"), inside.child.id()));
    assert_eq!(process(&end).executable.as_ref(), Some(&executable));
    assert_eq!(process(&end).container.as_deref(), Some(ID));
    assert_eq!(process(&end).container_runtime.as_deref(), Some("docker"));
    let end = observer.end(of_unit.address);
    let name = format!("observer-test-{}", std::process::id());
    assert_eq!(end.service.as_ref(), Some(&name));
    assert_eq!(process(&end).unit, Some(format!("{name}.service")));
    // Who comes later finds the same.
    drop(observer);
    let later = Observer::start(&[]);
    let (end, service) = (later.end(of_unit.address), Some(name));
    assert_eq!((end.service, end.adopted, end.role.as_str()), (service, true, "server"));
    assert_eq!(later.end(inside.address).service.as_deref(), Some("chat"));
    drop((older, inside, of_unit));
}

#[test]
fn connections_that_come_and_go_between_readings_are_counted_for_their_service() {
    let _turn = turn();
    let observer = Observer::start(&["--interval", "2s"]);
    let server = Server::start(&[("OTEL_SERVICE_NAME", "brief")], None);
    for _ in 0..50 {
        drop(server.connect());
    }
    drop(server);
    let closes = || {
        let text = observer.get("/metrics");
        let lines = text.lines().filter(|line| {
            line.starts_with("observer_tcp_closes_total") && line.contains("service_name=\"brief\"")
        });
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
    };
    until(PATIENCE, "all ends", || closes() >= 50.0);
    assert!((closes() - 50.0).abs() < f64::EPSILON, "{}", closes());
    assert!(observer.received("brief") >= 250.0);
}

#[test]
fn what_is_excluded_is_not_there_and_a_reload_changes_that() {
    let _turn = turn();
    let server = Server::start(&[("OTEL_SERVICE_NAME", "first")], None);
    let other = Server::start(&[("OTEL_SERVICE_NAME", "second")], None);
    let file = env::temp_dir().join(format!("observer-targets-{}.yaml", std::process::id()));
    let rules = |port: u16| format!("targets:\n  exclude:\n    - port: {port}\n");
    fs::write(&file, rules(server.address.port())).unwrap();
    let observer = Observer::start(&["--config", file.to_str().unwrap()]);
    let mut streams = (server.connect(), other.connect());
    observer.end(other.address);
    assert!(observer.ends(server.address).is_empty());
    assert!(observer.received("first").abs() < f64::EPSILON);
    fs::write(&file, rules(other.address.port())).unwrap();
    observer.signal(libc::SIGHUP);
    until(PATIENCE, "the other", || {
        observer.ends(other.address).is_empty() && !observer.ends(server.address).is_empty()
    });
    let before = observer.received("second");
    assert!(observer.received("first").abs() < f64::EPSILON, "what was, was not watched");
    talk(&mut streams.0);
    talk(&mut streams.1);
    until(PATIENCE, "five bytes", || (observer.received("first") - 5.0).abs() < f64::EPSILON);
    assert!((observer.received("second") - before).abs() < f64::EPSILON);
    fs::remove_file(file).unwrap();
}

#[test]
fn a_container_is_chosen_by_a_label() {
    let _turn = turn();
    let container = Cgroup::new(&format!("crio-{ID}.scope"));
    let inside = Server::start(&[], Some(&container));
    let outside = Server::start(&[], None);
    let file = format!("containers/storage/overlay-containers/{ID}/userdata/config.json");
    let text = r#"{"annotations": {"io.kubernetes.cri-o.Labels": "{\"app\": \"sfu\"}"}}"#;
    let rules = "{include: [{labels: {app: 's*'}, role: server, service: of-label}]}";
    let observer = Observer::with_file_in_run(&file, text, &["--targets", rules]);
    let streams = (inside.connect(), outside.connect());
    assert_eq!(observer.end(inside.address).service.as_deref(), Some("of-label"));
    assert!(observer.ends(outside.address).is_empty());
    drop((observer, streams, inside, outside));
}

#[test]
fn services_beyond_the_most_are_counted_together() {
    let _turn = turn();
    let names: Vec<_> = (0..4).map(|one| format!("service-{one}")).collect();
    let servers: Vec<_> =
        names.iter().map(|name| Server::start(&[("OTEL_SERVICE_NAME", name)], None)).collect();
    let only =
        format!("{{include: [{{executable: '{}'}}]}}", env::current_exe().unwrap().display());
    let observer = Observer::start(&["--max-services", "2", "--targets", &only]);
    let streams: Vec<_> = servers.iter().map(Server::connect).collect();
    let services = || {
        let ends = servers.iter().flat_map(|server| observer.ends(server.address));
        ends.filter_map(|end| end.service).collect::<Vec<_>>()
    };
    until(PATIENCE, "all connections", || services().len() == 4);
    // This process is one, for it is the same executable and made the connections.
    let overflown = services().iter().filter(|name| *name == "overflow").count();
    assert!((2..=3).contains(&overflown), "{:?}", services());
    assert!(observer.received("overflow") >= 10.0);
    drop(streams);
}

#[test]
fn a_restart_counts_nothing_twice() {
    let _turn = turn();
    let server = Server::start(&[("OTEL_SERVICE_NAME", "lasting")], None);
    let mut stream = server.connect();
    let mut sum = 0.0;
    for round in 0..3 {
        let observer = Observer::start(&[]);
        assert!(observer.end(server.address).adopted, "round {round}");
        assert!(observer.received("lasting").abs() < f64::EPSILON, "round {round}");
        (0..=round).for_each(|_| talk(&mut stream));
        let told = f64::from(5 * (round + 1));
        until(PATIENCE, "what was sent", || observer.received("lasting") >= told);
        sum += observer.received("lasting");
        observer.signal(libc::SIGKILL);
    }
    assert!((sum - 30.0).abs() < f64::EPSILON, "{sum}");
}

#[test]
fn a_number_that_is_used_again_is_another_process() {
    let _turn = turn();
    let server = Server::start(&[], None);
    let mut owners = Owners::start(CgroupRoot::find(None).ok(), 1_000);
    let root = fs::metadata(&CgroupRoot::find(None).unwrap().path).unwrap();
    let cgroup = std::os::unix::fs::MetadataExt::ino(&root);
    let creator =
        |at_ns| Creator { at_ns, cgroup, pid: server.child.id(), comm: "gone".to_owned() };
    let mut owner = |at_ns| {
        let answer = owners.of(SocketCookie(u64::MAX), None, &|_| Some(creator(at_ns)));
        answer.owner.unwrap()
    };
    let now = owner(now_ns());
    assert_eq!(now.executable, env::current_exe().ok());
    // Before it began, the number was somebody else's.
    let before = owner(now_ns() - 3_600_000_000_000.min(now_ns() / 2));
    assert_eq!((before.comm.as_str(), &before.executable), ("gone", &None));
    assert_eq!(before.place.cgroup, "/");
}

fn now_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure lives for the call.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[test]
fn a_cgroup_is_found_by_its_inode() {
    let root = CgroupRoot::find(None).unwrap();
    assert_eq!(cgroups::path(&root, 1).as_deref(), Some("/"));
    let name = format!("observer-test-{}", std::process::id());
    let cgroup = Cgroup::new(&name);
    let id = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&cgroup.0).unwrap());
    assert_eq!(cgroups::path(&root, id), Some(format!("/{name}")));
    drop(cgroup);
    assert_eq!(cgroups::path(&root, id), None);
}
