//! The demo as a newcomer has it: `cargo xtask run --demo`, with programs that are built already.
//! `cargo xtask test` builds them and names their folder in `DEMO_PROGRAMS`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::{
        fs::{PermissionsExt as _, symlink},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use tempfile::TempDir;

#[expect(dead_code, reason = "the observer's own tests use more of it")]
#[path = "../../observer/tests/support/terminal.rs"]
mod terminal;

use self::terminal::Terminal;

/// What a newcomer is promised.
const MINUTE: Duration = Duration::from_secs(60);

/// How long all of it may take to end.
const END: Duration = Duration::from_secs(20);

/// Of the gateway: four bots talk and four chat, and one may be about to come back.
const CONNECTIONS: usize = 7;

#[test]
fn a_newcomer_sees_a_living_call_within_a_minute_and_nothing_stays_behind() {
    let Some(programs) = programs() else { return };
    let begun = Instant::now();
    let mut demo = Demo::start(&programs);
    let snapshot = loop {
        demo.still_runs();
        let snapshot = get(&demo.listen, "/api/v1/snapshot");
        let snapshot = demo.servers(&serde_json::from_str(&snapshot).unwrap_or_default());
        if shows_a_call(&snapshot) {
            break snapshot;
        }
        assert!(begun.elapsed() < MINUTE, "{}\n{snapshot:#?}", demo.said());
        thread::sleep(Duration::from_millis(200));
    };
    println!("figure demo.seen_after_s={:.1}", begun.elapsed().as_secs_f64());

    let page = demo.wait_for("join it").split_whitespace().nth(2).unwrap().to_owned();
    let (host, invitation) = page.strip_prefix("http://").unwrap().split_once("/talk#").unwrap();
    assert!(!invitation.is_empty() && get(host, "/talk").contains("<title>Talk</title>"));
    let gateway = snapshot.tcp.iter().filter(|one| one["server"] == host);
    assert!(gateway.count() >= CONNECTIONS, "{:#?}", snapshot.tcp);
    assert!(demo.said().contains(&format!("observer top --listen {}", demo.listen)));
    let ends = snapshot.voice.iter().flat_map(|flow| [&flow["src"], &flow["dst"]]);
    for end in ends {
        assert!(end.as_str().unwrap().starts_with("127.0.0.1:"), "{end}");
    }

    let is_caller = |name: &str| is_program(name, "vc-bot call");
    let family = demo.family();
    let ((caller, _), _) = family.iter().find(|(_, name)| is_caller(name)).unwrap();
    kill_process(Pid::from_raw(*caller).unwrap(), Signal::KILL).unwrap();
    demo.wait_for("the bots begin another call: http://127.0.0.1:");

    // As Ctrl-C does: the whole group hears it.
    let family = demo.family();
    kill_process_group(demo.pid(), Signal::INT).unwrap();
    assert!(demo.ended().success(), "{}", demo.said());
    // By its log, it ended in good order.
    assert!(demo.said().contains("stopped; every program is detached"), "{}", demo.said());
    demo.leaves_nothing(&family, Duration::ZERO);
}

#[test]
fn a_demo_that_is_killed_leaves_nothing_behind() {
    let Some(programs) = programs() else { return };
    let mut demo = Demo::start(&programs);
    // The task, and of its four programs a guard each and the program.
    let family = demo.wait_for_family(|family| {
        let runs = |program: &str| family.values().any(|name| is_program(name, program));
        ["vc-server run", "vc-bot call", "vc-bot chat", "observer run"].into_iter().all(runs)
    });
    assert!(family.len() >= 9, "{family:?}");
    kill_process(demo.pid(), Signal::KILL).unwrap();
    assert!(!demo.ended().success());
    demo.leaves_nothing(&family, END);
}

#[test]
fn at_a_terminal_enter_shows_the_view_and_ctrl_c_ends_all_of_it() {
    let Some(programs) = programs() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut demo = demo(&programs, &free_address(), folder.path());
    let mut terminal = Terminal::start(demo.env("TERM", "xterm"), 120, 30);
    terminal.wait_for("end it");
    assert!(terminal.screen().contains("or press Enter here"), "{}", terminal.screen());
    terminal.press("\r");
    // The view is on its own page, and has read of the first flow.
    terminal.wait_for("\x1b[?1049h");
    terminal.wait_for("talking");
    assert!(terminal.is_raw());
    terminal.press("q");
    terminal.wait_for("Enter shows it again");
    assert!(!terminal.is_raw());
    terminal.press("\x03");
    assert_eq!(terminal.wait().code(), Some(0), "{}", terminal.screen());
    assert!(terminal.screen().contains("stopped; every program is detached"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn an_observer_that_cannot_run_ends_the_demo_with_its_own_exit_code() {
    let Some(programs) = programs() else { return };
    let folder = tempfile::tempdir().unwrap();
    for name in ["vc-server", "vc-bot"] {
        symlink(programs.join(name), folder.path().join(name)).unwrap();
    }
    let real = programs.join("observer");
    let script = format!(
        "#!/bin/sh\n[ $1 = run ] && sleep 2 && echo no luck >&2 && exit 2\nexec {} \"$@\"\n",
        real.display()
    );
    let observer = folder.path().join("observer");
    fs::write(&observer, script).unwrap();
    fs::set_permissions(&observer, fs::Permissions::from_mode(0o755)).unwrap();
    let mut demo = Demo::start(folder.path());
    let has_bots = |family: &Family| family.values().any(|name| is_program(name, "vc-bot chat"));
    let family = demo.wait_for_family(has_bots);
    assert_eq!(demo.ended().code(), Some(2), "{}", demo.said());
    assert!(demo.said().contains("no luck"), "{}", demo.said());
    demo.leaves_nothing(&family, Duration::ZERO);
}

/// Whether it is the program, and not its guard.
fn is_program(line: &str, program: &str) -> bool {
    line.contains(program) && !line.contains("guard")
}

/// Where they are; nothing, and a word about it, where nobody said.
fn programs() -> Option<PathBuf> {
    let programs = env::var_os("DEMO_PROGRAMS").map(PathBuf::from);
    if programs.is_none() {
        println!("skipped: demo: DEMO_PROGRAMS names no folder; `cargo xtask test` does");
    }
    programs
}

/// What the observer says of the demo's own server: others may run beside it.
#[derive(Debug)]
struct Servers {
    voice: Vec<Value>,
    tcp: Vec<Value>,
}

/// Voice that vc-server receives and passes on, with loss and a score, and its gateway.
fn shows_a_call(seen: &Servers) -> bool {
    let is_heard = |flow: &&Value| {
        let mos = flow["mos"].as_f64().unwrap_or_default();
        let is_scored = (1.0..=5.0).contains(&mos);
        flow["direction"] == "receive" && flow["packets"].as_u64() > Some(50) && is_scored
    };
    let heard = seen.voice.iter().filter(is_heard).count();
    let passed_on = seen.voice.iter().filter(|flow| flow["direction"] == "transmit").count();
    let is_lossy = seen.voice.iter().any(|flow| flow["lost"].as_u64() > Some(0));
    heard >= 2 && passed_on >= 2 && is_lossy && seen.tcp.len() >= CONNECTIONS
}

/// The body of an answer, or nothing.
fn get(host: &str, path: &str) -> String {
    let Ok(mut stream) = TcpStream::connect(host) else { return String::new() };
    let asked = write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let mut text = String::new();
    if asked.is_err() || stream.read_to_string(&mut text).is_err() {
        return String::new();
    }
    text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}

/// Processes by number and start, and what they were called with.
type Family = BTreeMap<(i32, u64), String>;

/// What a newcomer types, but for the programs and the address.
fn demo(programs: &Path, listen: &str, folder: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["xtask", "run", "--demo", "--programs"]).arg(programs);
    command.args(["--", "--listen", listen]).env("TMPDIR", folder);
    // What a shell may have set for a server of its own.
    command.env("VC_LISTEN", "192.0.2.1:1");
    command
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// A demo under way, with a temporary folder of its own.
struct Demo {
    child: Child,
    folder: TempDir,
    listen: String,
    said: Arc<Mutex<String>>,
    readers: Vec<thread::JoinHandle<()>>,
}

impl Demo {
    fn start(programs: &Path) -> Self {
        let (listen, folder) = (free_address(), tempfile::tempdir().unwrap());
        let mut command = demo(programs, &listen, folder.path());
        command.process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let readers = vec![
            read(child.stdout.take().unwrap(), &said),
            read(child.stderr.take().unwrap(), &said),
        ];
        Self { child, folder, listen, said, readers }
    }

    /// `cargo run` puts the task in its own place.
    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    fn still_runs(&mut self) {
        assert!(self.child.try_wait().unwrap().is_none(), "{}", self.said());
    }

    /// The first line that has these words, at once or soon.
    fn wait_for(&mut self, words: &str) -> String {
        let begun = Instant::now();
        loop {
            if let Some(line) = self.said().lines().find(|line| line.contains(words)) {
                return line.to_owned();
            }
            self.still_runs();
            assert!(begun.elapsed() < MINUTE, "no `{words}` in:\n{}", self.said());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn ended(&mut self) -> ExitStatus {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < END, "it does not end: {}", self.said());
            thread::sleep(Duration::from_millis(20));
        };
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        status
    }

    fn wait_for_family(&mut self, is_there: impl Fn(&Family) -> bool) -> Family {
        let begun = Instant::now();
        loop {
            let family = self.family();
            if is_there(&family) {
                return family;
            }
            self.still_runs();
            assert!(begun.elapsed() < MINUTE, "{family:?}\n{}", self.said());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Its processes.
    fn family(&self) -> Family {
        let all = processes();
        let mut family = vec![self.pid().as_raw_pid()];
        let mut members = BTreeMap::new();
        while let Some(member) = family.pop() {
            for ((pid, start), (parent, name)) in &all {
                if *pid == member {
                    members.insert((*pid, *start), name.clone());
                } else if *parent == member {
                    family.push(*pid);
                }
            }
        }
        members
    }

    /// What is measured of the server's process.
    fn servers(&self, snapshot: &Value) -> Servers {
        let family = self.family();
        let server = family.iter().find(|(_, name)| is_program(name, "vc-server run"));
        let server = server.map(|((pid, _), _)| Value::from(*pid));
        let of = |key: &str| {
            let all = snapshot[key].as_array().into_iter().flatten();
            let own = all.filter(|one| {
                one["service"] == "vc-server" && Some(&one["process"]["pid"]) == server.as_ref()
            });
            own.cloned().collect()
        };
        Servers { voice: of("voice"), tcp: of("tcp") }
    }

    fn leaves_nothing(&self, family: &Family, patience: Duration) {
        let begun = Instant::now();
        loop {
            let all = processes();
            let left: Vec<_> = family.iter().filter(|(one, _)| all.contains_key(one)).collect();
            let files: Vec<_> = fs::read_dir(self.folder.path()).unwrap().flatten().collect();
            if left.is_empty() && files.is_empty() {
                return;
            }
            assert!(begun.elapsed() < patience, "left: {left:?}, {files:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _gone_already = self.child.wait();
    }
}

fn read(
    from: impl std::io::Read + Send + 'static,
    to: &Arc<Mutex<String>>,
) -> thread::JoinHandle<()> {
    let to = Arc::clone(to);
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            to.lock().unwrap().push_str(&(line + "\n"));
        }
    })
}

/// Every process that is no zombie, by number and start: its parent, and what it was called with.
fn processes() -> BTreeMap<(i32, u64), (i32, String)> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let process = |entry: fs::DirEntry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name may have spaces and brackets in it; what follows has none.
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let (state, parent, start) = (fields.first()?, fields.get(1)?, fields.get(19)?);
        let line = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        (*state != "Z").then_some(())?;
        Some(((pid, start.parse().ok()?), (parent.parse().ok()?, line.replace('\0', " "))))
    };
    entries.filter_map(process).collect()
}
