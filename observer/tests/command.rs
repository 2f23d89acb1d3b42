//! The command as a user meets it: what it says and how it ends when something is
//! wrong, and that it leaves nothing behind.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use observer::source::ebpf::probe::PROBES;
use support::attachment::attached;

#[expect(dead_code, reason = "each test binary uses a part of it")]
mod support;

fn observer() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_observer"));
    command.env_remove("OBSERVER_CONFIG").stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    observer().args(arguments).output().unwrap()
}

/// Asserts the exit code, and that standard error is one sentence with all of `words`.
#[track_caller]
fn assert_says(output: &Output, code: i32, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
}

fn scratch(name: &str, text: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("observer-{}-{name}", std::process::id()));
    fs::write(&path, text).unwrap();
    path
}

/// A capture that ends in the middle of a packet, of which the log has to speak.
fn cut_off_capture() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/captures/g711-vlan.pcap");
    let mut capture = fs::read(path).unwrap();
    capture.truncate(capture.len() - 10);
    capture
}

/// A free port. Somebody else may take it in between; the tests run one at a time.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A running observer, ended with this.
struct Running {
    child: Child,
    address: SocketAddr,
    lines: mpsc::Receiver<String>,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        Self::at_its_own_pace(&[arguments, &["--interval", "200ms"]].concat())
    }

    fn at_its_own_pace(arguments: &[&str]) -> Self {
        let address = free();
        let mut child = observer()
            .args(["run", "--listen", &address.to_string()])
            .args(arguments)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (send, lines) = mpsc::channel();
        thread::spawn(move || {
            stderr.lines().map_while(Result::ok).try_for_each(|line| send.send(line))
        });
        let running = Self { child, address, lines };
        running.wait_for("observing");
        running
    }

    #[track_caller]
    fn wait_for(&self, word: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut said = Vec::new();
        while let Ok(line) =
            self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            if line.contains(word) {
                return line;
            }
            said.push(line);
        }
        panic!("it never said {word:?}, but {said:#?}");
    }

    /// The status line of an answer.
    fn status(&self, path: &str, host: &str) -> String {
        self.answer(path, host).lines().next().unwrap_or_default().to_owned()
    }

    fn answer(&self, path: &str, host: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// How many readings there are in two seconds.
    fn readings(&self) -> u64 {
        let before = self.readings_so_far();
        thread::sleep(Duration::from_secs(2));
        self.readings_so_far() - before
    }

    fn readings_so_far(&self) -> u64 {
        let page = self.answer("/metrics", "localhost");
        let count = "observer_reading_duration_seconds_count ";
        let count = page.lines().find_map(|line| line.strip_prefix(count));
        count.unwrap().parse().unwrap()
    }

    fn signal(&self, signal: i32) {
        // SAFETY: the process is our child, and not waited for yet.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

#[test]
fn a_wrong_key_is_named_with_its_line_and_the_nearest_valid_one() {
    let path = scratch("key.yaml", b"# ours\ninterval: 1s\nmax_conections: 5\n");
    let output = run(&["--config", path.to_str().unwrap(), "config"]);
    assert_says(&output, 2, &["line 3", "`max_conections`", "`max_connections`"]);
    fs::remove_file(path).unwrap();
}

#[test]
fn the_log_filter_of_the_file_is_in_force() {
    let path = scratch("log.yaml", b"log: '][bad'\n");
    let file = path.to_str().unwrap();
    let output = run(&["--config", file, "config"]);
    assert_says(&output, 2, &["`log: ][bad`", "`observer=debug`"]);
    assert!(run(&["--config", file, "--log", "info", "config"]).status.success());
    fs::write(&path, "log: off\n").unwrap();
    let cut = scratch("quiet.pcap", &cut_off_capture());
    let output = run(&["--config", file, "replay", cut.to_str().unwrap()]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    fs::remove_file(cut).unwrap();
    fs::remove_file(path).unwrap();
}

#[test]
fn a_missing_file_is_named() {
    assert_says(&run(&["--config", "/nowhere.yaml", "config"]), 2, &["/nowhere.yaml"]);
    assert_says(&run(&["replay", "/nowhere.pcap"]), 2, &["/nowhere.pcap"]);
}

#[test]
fn a_file_without_end_is_not_read() {
    assert_says(&run(&["--config", "/dev/zero", "config"]), 2, &["/dev/zero", "1 MiB"]);
}

#[test]
fn each_value_is_printed_with_its_source_and_can_be_read_back() {
    let path = scratch("sources.yaml", b"max_flows: 9\ninterval: 2s\n");
    let file = path.to_str().unwrap();
    let mut command = observer();
    command.env("OBSERVER_LOG", "warn").args(["--config", file, "config", "--max-flows", "8"]);
    let output = command.output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    for (value, source) in [
        ("interval: 2s", format!("# {file}, line 2")),
        ("max_flows: 8", "# --max-flows".to_owned()),
        ("log: warn", "# OBSERVER_LOG".to_owned()),
        ("listen: 127.0.0.1:9464", "# default".to_owned()),
    ] {
        let line = printed.lines().find(|line| line.starts_with(value));
        assert!(line.is_some_and(|line| line.ends_with(&source)), "{value}: {printed}");
    }
    fs::write(&path, &printed).unwrap();
    let again = run(&["--config", file, "config", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(json["max_flows"]["value"], 8);
    assert_eq!(json["max_flows"]["source"]["line"], 5);
    assert_eq!(json["log"]["value"], "warn");
    fs::remove_file(path).unwrap();
}

#[test]
fn a_variable_that_is_set_to_nothing_is_not_set() {
    let mut command = observer();
    for key in ["LISTEN", "ALLOW_REMOTE", "INTERVAL", "MAX_FLOWS", "CONFIG", "LOG"] {
        command.env(format!("OBSERVER_{key}"), "");
    }
    let output = command.arg("config").output().unwrap();
    assert_eq!(output.stdout, run(&["config"]).stdout);
    assert!(output.status.success());
}

#[test]
fn a_flag_does_not_take_the_command_for_its_value() {
    let output = run(&["--allow-remote", "config"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("allow_remote: true"), "{output:?}");
}

#[test]
fn what_cannot_be_printed_is_said() {
    for argument in ["--help", "--version", "config"] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = observer().arg(argument).stdout(full).output().unwrap();
        assert_says(&output, 1, &["No space left"]);
    }
}

#[test]
fn what_is_no_capture_is_said_to_be_none() {
    for (name, bytes, word) in [
        ("text", b"hello, this is no capture at all".as_slice(), "pcap"),
        ("empty", b"".as_slice(), "empty"),
        ("gzip", &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0], "gunzip"),
    ] {
        let path = scratch(name, bytes);
        assert_says(&run(&["replay", path.to_str().unwrap()]), 2, &[word]);
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert_says(&run(&["run", "--listen", &address]), 2, &[&address, "taken", "--listen"]);
}

#[test]
fn other_hosts_are_kept_out_unless_let_in() {
    assert_says(&run(&["run", "--listen", "0.0.0.0:0"]), 2, &["allow_remote"]);
}

#[test]
fn what_is_no_cgroup_root_is_refused() {
    let listen = free().to_string();
    let output = run(&["run", "--listen", &listen, "--cgroup-root", "/proc"]);
    assert_says(&output, 2, &["/proc", "not the root of the cgroup v2"]);
    let output = run(&["run", "--listen", &listen, "--cgroup-root", "/nowhere"]);
    assert_says(&output, 2, &["/nowhere"]);
}

#[test]
fn without_privileges_it_says_which_are_missing() {
    let exe = env!("CARGO_BIN_EXE_observer");
    let unprivileged = ["--bounding-set=-all", "--inh-caps=-all", exe];
    for command in ["run", "check"] {
        let output = Command::new("setpriv")
            .args(unprivileged)
            .arg(command)
            .args(["--listen", &free().to_string()])
            .output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(2));
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains("CAP_BPF") && said.contains("setcap"), "{said}");
    }
}

#[test]
fn check_knows_a_user_namespace() {
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", env!("CARGO_BIN_EXE_observer"), "check"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stdout);
    for words in ["os error 1", "user namespace", "/proc/self/uid_map", "as root"] {
        assert!(said.contains(words), "no {words:?} in {said}");
    }
}

#[test]
fn a_log_that_cannot_be_written_ends_nothing() {
    let full = || File::create("/dev/full").unwrap();
    let cut = scratch("cut.pcap", &cut_off_capture());
    let replay = ["replay", cut.to_str().unwrap()];
    let said = run(&replay).stderr;
    assert!(String::from_utf8_lossy(&said).contains("ends in the middle"), "{said:?}");
    let status = observer().args(replay).stdout(Stdio::null()).stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(0));
    fs::remove_file(cut).unwrap();

    let address = free();
    let mut child = observer()
        .args(["-vv", "run", "--listen", &address.to_string()])
        .stdout(Stdio::null())
        .stderr(full())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(address).is_err() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(50));
    }
    // Some intervals, each with something to say.
    thread::sleep(Duration::from_secs(1));
    // SAFETY: the process is our child, and not waited for yet.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGTERM) }, 0);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn help_teaches_and_usage_errors_end_with_2() {
    let help = run(&["--help"]);
    assert!(help.status.success());
    let text = String::from_utf8_lossy(&help.stdout);
    for word in ["Examples", "Exit codes", "replay", "OBSERVER_"] {
        assert!(text.contains(word), "{word}");
    }
    assert_eq!(run(&["no-such-command"]).status.code(), Some(2));
    for shell in ["bash", "zsh", "fish"] {
        assert!(!run(&["completions", shell]).stdout.is_empty(), "{shell}");
    }
}

#[test]
fn every_way_to_end_leaves_nothing_attached() {
    let before = attached();
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGKILL] {
        let mut running = Running::start(&[]);
        assert!(attached().len() >= before.len() + PROBES.len(), "every program is attached");
        running.signal(signal);
        let status = running.child.wait().unwrap();
        assert_eq!(status.success(), signal != libc::SIGKILL, "signal {signal}: {status}");
        assert_eq!(attached(), before, "signal {signal}");
    }
}

#[test]
fn two_observers_share_a_host() {
    let before = attached();
    let first = Running::start(&[]);
    let second = Running::start(&[]);
    assert!(attached().len() >= before.len() + 2 * PROBES.len());
    drop(first);
    assert!(attached().len() >= before.len() + PROBES.len());
    drop(second);
    assert_eq!(attached(), before);
}

#[test]
fn clients_that_ask_nothing_keep_nobody_out() {
    let running = Running::start(&[]);
    let idle: Vec<_> = (0..60).map(|_| TcpStream::connect(running.address).unwrap()).collect();
    let begun = Instant::now();
    assert_eq!(running.status("/healthz", "localhost"), "HTTP/1.1 200 OK");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    for mut client in idle {
        client.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        // Closed, or reset.
        assert_eq!(client.read(&mut [0]).unwrap_or(0), 0);
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn the_snapshot_is_for_those_who_ask_by_our_own_name() {
    let running = Running::start(&[]);
    let ours = running.address.to_string();
    for (host, status) in [
        ("localhost", "HTTP/1.1 200 OK"),
        (ours.as_str(), "HTTP/1.1 200 OK"),
        ("example.org", "HTTP/1.1 403 Forbidden"),
    ] {
        assert_eq!(running.status("/api/v1/snapshot", host), status, "{host}");
    }
    assert_eq!(running.status("/metrics", "example.org"), "HTTP/1.1 200 OK");
}

#[test]
fn the_kernels_diagnostics_are_shown_at_vv() {
    let running = Running::start(&["-vv"]);
    let ssrc = 0x5eed_0001;
    begin_flow(ssrc);
    running.wait_for(&format!("voice flow began: ssrc {ssrc}"));
}

#[test]
fn a_hangup_has_the_file_read_again() {
    let path = scratch("reload.yaml", b"interval: 1s\n");
    let running = Running::at_its_own_pace(&["--config", path.to_str().unwrap()]);
    assert!((1..=3).contains(&running.readings()));

    fs::write(&path, "interval: 100ms\nlog: observer=debug\nmax_flows: 9\n").unwrap();
    running.signal(libc::SIGHUP);
    let said = running.wait_for("configuration read again");
    for change in ["interval from 1s to 100ms", "log from unset to observer=debug"] {
        assert!(said.contains(change), "{said}");
    }
    assert!(!said.contains("max_flows"), "{said}");
    let said = running.wait_for("needs a restart");
    assert!(said.contains("WARN") && said.contains("max_flows from 65536 to 9"), "{said}");
    let readings = running.readings();
    assert!((12..=22).contains(&readings), "{readings}");
    begin_flow(0x5eed_0002);
    assert!(running.wait_for("voice flows").contains("DEBUG"));

    for (text, word) in [
        ("interval: 1s\nmax_flow: 9\n", "line 2: there is no key `max_flow`"),
        ("interval: 1s\nlog: '][bad'\n", "`log: ][bad`"),
        ("interval: 1ms\n", "is not between"),
    ] {
        fs::write(&path, text).unwrap();
        running.signal(libc::SIGHUP);
        let said = running.wait_for("the configuration stays as it was");
        assert!(said.contains("ERROR") && said.contains(word), "{said}");
    }
    fs::remove_file(&path).unwrap();
    running.signal(libc::SIGHUP);
    let said = running.wait_for("the configuration stays as it was");
    assert!(said.contains(path.to_str().unwrap()), "{said}");
    let readings = running.readings();
    assert!((12..=22).contains(&readings), "{readings}");
    assert_eq!(running.status("/healthz", "localhost"), "HTTP/1.1 200 OK");
}

#[test]
fn what_is_on_the_command_line_stays_when_the_file_is_read_again() {
    let path = scratch("stays.yaml", b"interval: 1s\n");
    let running = Running::start(&["--config", path.to_str().unwrap()]);
    fs::write(&path, "interval: 5s\n").unwrap();
    running.signal(libc::SIGHUP);
    running.wait_for("configuration read again: nothing changes");
    // Said although the filter keeps it back from here on.
    fs::write(&path, "log: warn\n").unwrap();
    running.signal(libc::SIGHUP);
    running.wait_for("log from unset to warn");
    fs::write(&path, "log: info\n").unwrap();
    running.signal(libc::SIGHUP);
    running.wait_for("log from warn to info");
    fs::remove_file(path).unwrap();
}

/// Three packets of a stream, which is then known for one.
fn begin_flow(ssrc: u32) {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    for sequence in 0..3_u16 {
        let mut packet = vec![0x80, 0];
        packet.extend(sequence.to_be_bytes());
        packet.extend((u32::from(sequence) * 160).to_be_bytes());
        packet.extend(ssrc.to_be_bytes());
        packet.extend([0; 160]);
        sender.send_to(&packet, receiver.local_addr().unwrap()).unwrap();
    }
}
