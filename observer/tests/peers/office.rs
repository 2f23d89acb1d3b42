//! A post office for pages: it serves one, and carries letters between pages and test.

use std::{
    collections::{HashMap, VecDeque},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, sleep},
    time::Duration,
};

use super::namespace::Namespace;

/// How long a page waits for a letter before it asks again.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a counter looks for customers.
const LOOK: Duration = Duration::from_millis(5);

/// Letters by name, first come first served.
#[derive(Debug, Default)]
struct Letters {
    waiting: Mutex<HashMap<String, VecDeque<String>>>,
    came: Condvar,
}

/// It closes when this goes.
#[derive(Debug)]
pub(crate) struct Office {
    letters: Arc<Letters>,
    page: &'static str,
    closed: Arc<AtomicBool>,
}

impl Office {
    /// Opens one, without a counter yet.
    pub(crate) fn new(page: &'static str) -> Self {
        Self { letters: Arc::default(), page, closed: Arc::default() }
    }

    /// Opens a counter on the loopback of a namespace, and says where it is.
    pub(crate) fn counter(&self, namespace: &Namespace) -> SocketAddr {
        let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let listener = namespace.enter(bind);
        listener.set_nonblocking(true).expect("an option can be set");
        let at = listener.local_addr().expect("it is bound");
        let (letters, closed, page) =
            (Arc::clone(&self.letters), Arc::clone(&self.closed), self.page);
        thread::spawn(move || {
            while !closed.load(Ordering::Relaxed) {
                let Ok((stream, _)) = listener.accept() else {
                    sleep(LOOK);
                    continue;
                };
                let letters = Arc::clone(&letters);
                thread::spawn(move || serve(&stream, &letters, page));
            }
        });
        at
    }

    /// Leaves a letter.
    pub(crate) fn leave(&self, name: &str, letter: String) {
        self.letters.leave(name, letter);
    }

    /// Waits for a letter, and takes it.
    pub(crate) fn take(&self, name: &str, within: Duration) -> String {
        let letter = self.letters.take(name, within);
        assert!(letter.is_some(), "waited {within:?} for a letter to {name}");
        letter.unwrap_or_default()
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

impl Letters {
    fn leave(&self, name: &str, letter: String) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.entry(name.to_owned()).or_default().push_back(letter);
        self.came.notify_all();
    }

    fn take(&self, name: &str, within: Duration) -> Option<String> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let is_none =
            |waiting: &mut HashMap<_, _>| waiting.get(name).is_none_or(VecDeque::is_empty);
        let (mut waiting, _) = self
            .came
            .wait_timeout_while(waiting, within, is_none)
            .unwrap_or_else(PoisonError::into_inner);
        waiting.get_mut(name)?.pop_front()
    }
}

/// One request and its answer. Who hangs up in between is not answered.
fn serve(stream: &TcpStream, letters: &Letters, page: &str) -> Option<()> {
    stream.set_nonblocking(false).ok()?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
    }
    let name = path.trim_start_matches('/');
    let (status, kind, body) = if method == "POST" {
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        letters.leave(name, String::from_utf8(body).ok()?);
        ("200 OK", "text/plain", String::new())
    } else if name.starts_with('?') {
        ("200 OK", "text/html", page.to_owned())
    } else if let Some(letter) = letters.take(name, PATIENCE) {
        ("200 OK", "application/json", letter)
    } else {
        ("202 Accepted", "text/plain", String::new())
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    (&mut &*stream).write_all((head + &body).as_bytes()).ok()
}
