//! Standard output, behind a queue: who reads it slowly, or not at all, holds nobody up.

use std::{
    io::{self, Write as _},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::Duration,
};

use super::delivery::Tally;

/// Lines that may wait: a few megabytes.
const QUEUE: usize = 8_192;

/// How long the last lines may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// Where lines go.
#[derive(Clone, Debug)]
pub(super) struct Output {
    queue: SyncSender<Entry>,
    tally: &'static Tally,
}

#[derive(Debug)]
enum Entry {
    Line(String),
    /// Say when everything before this is written.
    Written(SyncSender<()>),
}

impl Output {
    /// With a thread that writes.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(super) fn start(tally: &'static Tally) -> io::Result<Self> {
        let (queue, entries) = sync_channel(QUEUE);
        thread::Builder::new().name("log".to_owned()).spawn(move || write(&entries))?;
        Ok(Self { queue, tally })
    }

    /// A line, with its end. One that finds no room is dropped and counted.
    pub(super) fn line(&self, line: String) {
        if self.queue.try_send(Entry::Line(line)).is_err() {
            self.tally.drop_line();
        }
    }

    /// Waits until everything is written, or for so long as it may take.
    pub(super) fn finish(&self) {
        let (done, written) = sync_channel(1);
        if self.queue.try_send(Entry::Written(done)).is_ok() {
            let _in_vain = written.recv_timeout(FAREWELL);
        }
    }
}

/// A line that cannot be written ends nothing.
fn write(entries: &Receiver<Entry>) {
    for entry in entries {
        match entry {
            Entry::Line(line) => {
                let _unwritten = io::stdout().write_all(line.as_bytes());
            }
            Entry::Written(done) => {
                let _nobody_waits = done.send(());
            }
        }
    }
}
