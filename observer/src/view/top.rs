//! A view that lives: voice flows and sockets, drawn anew with every snapshot.

use std::{
    io::{self, IsTerminal as _},
    panic,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, TryRecvError},
    },
    thread,
    time::{Duration, Instant},
};

use crossterm::event::{self, Event};

use crate::export::snapshot::Snapshot;

use self::{
    board::{Board, Next},
    theme::Theme,
};

mod subject;

mod connection;
mod flow;

mod list;

mod board;

mod theme;

mod details;
mod help;
mod page;

/// How often the view looks whether it is to end, whether a snapshot came, and how late
/// it is.
const TICK: Duration = Duration::from_millis(100);

/// How the view is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether colours are welcome. Nothing is said by colour alone.
    pub colour: bool,
    /// Time from one snapshot to the next.
    pub interval: Duration,
    /// Where the figures come from, for the first line.
    pub title: String,
}

/// Shows what `next` returns, until the user leaves. `next` is called on this thread,
/// once an interval; keys are answered while it works. Its errors are shown, and it is
/// called again.
///
/// # Errors
/// Where standard output is no terminal, or the terminal fails. It is restored then, and
/// after a panic too.
pub fn run(next: impl FnMut() -> Result<Snapshot, String>, options: Options) -> io::Result<()> {
    run_until(next, options, &AtomicBool::new(false))
}

/// The same, until the user leaves or `stop` is set.
///
/// # Errors
/// As [`run`].
pub fn run_until(
    mut next: impl FnMut() -> Result<Snapshot, String>,
    options: Options,
    stop: &AtomicBool,
) -> io::Result<()> {
    if !io::stdout().is_terminal() {
        return Err(io::Error::other("standard output is no terminal"));
    }
    let start = Instant::now();
    let interval = options.interval;
    let (arrived, arrivals) = mpsc::channel();
    let (left, leaving) = mpsc::channel::<()>();
    thread::scope(|scope| {
        // Moved in, so that either end notices when the other one panics.
        let (arrived, leaving) = (arrived, leaving);
        let screen = scope.spawn(move || {
            let _left = left;
            show(options, &arrivals, start, stop)
        });
        loop {
            let due = Instant::now() + interval;
            let outcome = next();
            if arrived.send((outcome, start.elapsed())).is_err() {
                break;
            }
            let pause = due.saturating_duration_since(Instant::now());
            if leaving.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                break;
            }
        }
        screen.join().unwrap_or_else(|cause| panic::resume_unwind(cause))
    })
}

type Arrival = (Result<Snapshot, String>, Duration);

fn show(
    options: Options,
    arrivals: &Receiver<Arrival>,
    start: Instant,
    stop: &AtomicBool,
) -> io::Result<()> {
    let mut restore = Restore { due: true };
    let mut terminal = ratatui::try_init()?;
    let theme = Theme { colour: options.colour };
    let mut board = Board::new(options.title, options.interval);
    let mut drawn = None;
    loop {
        let mut changed = false;
        loop {
            match arrivals.try_recv() {
                Ok((outcome, at)) => board.observe(outcome, at),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    // The other thread panicked, and its hook has restored the terminal:
                    // doing it twice would put the cursor on top of its message.
                    restore.due = false;
                    return Ok(());
                }
            }
            changed = true;
        }
        board.now = start.elapsed();
        // The clock of the first line.
        if changed || drawn != Some(board.now.as_secs()) {
            drawn = Some(board.now.as_secs());
            terminal.draw(|frame| page::draw(frame, &mut board, theme))?;
        }
        while event::poll(TICK)? {
            match event::read()? {
                Event::Key(key) if board.press(key) == Next::Quit => return Ok(()),
                _ => drawn = None,
            }
            // Keys that came together are drawn together.
            if !event::poll(Duration::ZERO)? {
                break;
            }
        }
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
    }
}

/// Gives the terminal back, whichever way the view ends.
struct Restore {
    due: bool,
}

impl Drop for Restore {
    fn drop(&mut self) {
        if self.due && !thread::panicking() {
            ratatui::restore();
        }
    }
}
