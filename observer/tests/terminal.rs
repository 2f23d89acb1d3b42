//! The live view as a person at a terminal meets it: that it gives the terminal back,
//! and keeps the log off it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    process::{Command, Output},
    thread,
};

use observer::export::snapshot::{Interruptions, Setup, Snapshot, Voice};
use terminal::Terminal;

#[path = "support/terminal.rs"]
mod terminal;

/// What a terminal is told before and after a view.
const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";

fn observer(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_observer"));
    command.env_remove("OBSERVER_CONFIG").env("TERM", "xterm").args(arguments);
    command
}

/// Serves the same answer for as long as the test runs.
fn serve(status: &'static str, body: impl Into<Vec<u8>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let body = body.into();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 4096];
            let _request = stream.read(&mut request);
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n");
            // The client may have seen enough.
            let _sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    address
}

const EMPTY: &str =
    r#"{"voice":[],"websockets":[],"tcp":[],"ledger":{"completeness":1.0,"lost":[]}}"#;

fn top(address: SocketAddr, columns: u16, rows: u16) -> Terminal {
    let terminal =
        Terminal::start(&mut observer(&["top", "--listen", &address.to_string()]), columns, rows);
    terminal.wait_for("observer top");
    assert!(terminal.is_raw());
    terminal
}

#[test]
fn a_signal_gives_the_terminal_back() {
    let address = serve("200 OK", EMPTY);
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        let mut terminal = top(address, 80, 24);
        terminal.signal(signal);
        assert_eq!(terminal.wait().code(), Some(0), "signal {signal}");
        assert!(!terminal.is_raw(), "signal {signal}");
        assert!(terminal.screen().contains(LEAVE), "signal {signal}");
    }
    let mut terminal = top(address, 80, 24);
    terminal.press("q");
    assert_eq!(terminal.wait().code(), Some(0));
    assert!(!terminal.is_raw() && terminal.screen().contains("\x1b[?25h"));
}

#[test]
fn a_call_shows_from_its_set_up_on_and_says_that_audio_goes_one_way() {
    let current = Some("one_way".to_owned());
    let setup = Setup { phase: "dtls".to_owned(), ..Setup::default() };
    let flow = Voice {
        interruptions: Some(Interruptions { one_way: 1, current, ..Interruptions::default() }),
        ..Voice::default()
    };
    let snapshot = Snapshot { setups: vec![setup], voice: vec![flow], ..Snapshot::default() };
    let mut terminal = top(serve("200 OK", serde_json::to_vec(&snapshot).unwrap()), 120, 24);
    // Blanks between words may be jumped over.
    for word in ["!! one-way", "setting", "DTLS"] {
        terminal.wait_for(word);
    }
    terminal.press("q");
    assert_eq!(terminal.wait().code(), Some(0));
}

/// As root: the log of `run` would be written over its view.
#[test]
fn the_log_waits_until_the_view_has_ended() {
    let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let arguments = ["-v", "run", "--demo", "--interval", "200ms", "--listen", &listen];
    for signal in [libc::SIGHUP, libc::SIGTERM] {
        let mut terminal = Terminal::start(&mut observer(&arguments), 240, 24);
        terminal.wait_for(ENTER);
        // Its two flows are on the page, so the log has spoken of them.
        terminal.wait_for("pcma");
        terminal.signal(signal);
        assert_eq!(terminal.wait().code(), Some(0), "signal {signal}");
        assert!(!terminal.is_raw());
        let screen = terminal.screen();
        let (before, after) = screen.split_once(LEAVE).unwrap();
        let (_, view) = before.split_once(ENTER).unwrap();
        assert!(!view.contains("DEBUG") && !view.contains("INFO"), "{view}");
        assert!(after.contains("voice flows") && after.contains("stopped;"), "{after}");
    }
}

/// As root: without a view SIGHUP is a request, unless the terminal itself is gone.
#[test]
fn a_hangup_ends_it_only_with_its_terminal() {
    let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut terminal = Terminal::start(&mut observer(&["run", "--listen", &listen]), 100, 24);
    terminal.wait_for("observing");
    terminal.signal(libc::SIGHUP);
    terminal.wait_for("configuration read again");
    terminal.hang_up();
    assert_eq!(terminal.wait().code(), Some(0));
}

fn once(address: SocketAddr) -> Output {
    let arguments = ["top", "--once", "--format", "json", "--listen", &address.to_string()];
    // Nobody listens there.
    observer(&arguments).env("http_proxy", "http://127.0.0.1:9").output().unwrap()
}

#[test]
fn a_busy_hosts_snapshot_is_read_whole() {
    let snapshot = Snapshot {
        voice: vec![Voice { src: "[2001:db8::1]:50004".to_owned(), ..Voice::default() }; 60_000],
        ..Snapshot::default()
    };
    let body = serde_json::to_vec(&snapshot).unwrap();
    assert!(body.len() > 20 << 20);
    let output = once(serve("200 OK", body));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(serde_json::from_slice::<Snapshot>(&output.stdout).unwrap(), snapshot);
}

#[test]
fn an_answer_that_is_no_snapshot_is_an_error() {
    for (status, body, word) in
        [("403 Forbidden", "no", "403"), ("200 OK", "hello", "expected value")]
    {
        let output = once(serve(status, body));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(word) && !said.contains("observing"), "{said}");
    }
}

/// As root.
#[test]
fn without_an_observer_it_says_that_it_observes_by_itself() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = once(free);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("no observer listens") && said.contains("observing from here"), "{said}");
}
