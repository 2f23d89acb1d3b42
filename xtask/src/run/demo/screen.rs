//! The terminal that the demo was started from: the observer's log, or its live view.

use std::io::{self, BufRead as _, BufReader, IsTerminal as _, stderr, stdin, stdout};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};

use super::super::guard::{mortal, terminate};
use crate::command::cannot_start;

/// Lines of the log that wait while the view is shown. More are not kept, because the observer
/// must not wait for its log.
const LINES: usize = 1_000;

/// A terminal, with somebody who may press Enter.
pub(super) struct Screen {
    observer: PathBuf,
    url: String,
    log: Receiver<Vec<u8>>,
    reader: JoinHandle<()>,
    /// Has the keyboard be read until the next Enter: whoever else reads it would lose keys.
    ask: Sender<()>,
    entered: Receiver<()>,
    is_asked: bool,
    view: Option<Child>,
}

impl Screen {
    /// Whether this task has a terminal.
    pub(super) fn is_there() -> bool {
        stdin().is_terminal() && stdout().is_terminal() && stderr().is_terminal()
    }

    /// Shows the log of an observer that will listen there.
    pub(super) fn new(log: ChildStderr, observer: &Path, listen: SocketAddr) -> Self {
        let (line, lines) = sync_channel(LINES);
        let reader = thread::spawn(move || {
            for text in BufReader::new(log).split(b'\n').map_while(Result::ok) {
                let _kept = line.try_send(text);
            }
        });
        let (ask, asked) = channel();
        let (enter, entered) = channel();
        thread::spawn(move || {
            let mut line = String::new();
            while asked.recv().is_ok() && stdin().read_line(&mut line).is_ok_and(|read| read > 0) {
                // The demo may have ended.
                let _told = enter.send(());
            }
        });
        let url = format!("http://{}/api/v1/snapshot", super::reachable(listen));
        let (observer, log) = (observer.to_owned(), lines);
        Self { observer, url, log, reader, ask, entered, is_asked: false, view: None }
    }

    /// Shows the log, and the view from Enter on until it is left. Enter means that only once
    /// there is something to see.
    pub(super) fn attend(&mut self, is_ready: bool) -> Result<()> {
        if let Some(view) = &mut self.view {
            if view.try_wait()?.is_none() {
                return Ok(());
            }
            self.view = None;
            println!("Enter shows it again, Ctrl-C ends all of it");
        }
        self.print();
        if is_ready && !self.is_asked {
            self.is_asked = self.ask.send(()).is_ok();
        }
        if self.entered.try_recv().is_ok() {
            self.is_asked = false;
            let mut view = mortal(&self.observer);
            view.args(["top", "--url", &self.url]);
            self.view = Some(view.spawn().with_context(|| cannot_start(&view))?);
        }
        Ok(())
    }

    /// Ends the view, which gives the terminal back.
    pub(super) fn leave(&mut self) {
        if let Some(mut view) = self.view.take() {
            terminate(&view);
            let _ended = view.wait();
        }
    }

    /// Shows what is left of the log of an observer that has ended.
    pub(super) fn close(self) {
        let Self { log, reader, .. } = self;
        // A reader that panicked has ended too.
        let _ended = reader.join();
        show(&log);
    }

    fn print(&self) {
        show(&self.log);
    }
}

fn show(log: &Receiver<Vec<u8>>) {
    for mut line in log.try_iter() {
        line.push(b'\n');
        // A terminal that is gone is told by SIGHUP.
        let _shown = io::Write::write_all(&mut stderr(), &line);
    }
}
