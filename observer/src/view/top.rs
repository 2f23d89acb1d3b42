//! A view that lives: voice flows and sockets, drawn anew with every snapshot.

use std::{
    io::{self, IsTerminal as _},
    mem::ManuallyDrop,
    panic,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, TryRecvError},
    },
    thread,
    time::{Duration, Instant},
};

use crossterm::{
    cursor,
    event::{self, Event},
    execute,
};

use crate::export::snapshot::Snapshot;

use self::{
    board::{Board, Next},
    theme::Theme,
};

mod subject;

mod trend;

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

/// Shows what `next` returns, until the user leaves or `stop` is set. `next` is called on
/// this thread, once an interval; keys are answered while it works. Its errors are shown,
/// and it is called again.
///
/// # Errors
/// Where standard input and output are no terminal, or the terminal fails. It is restored
/// then, and after a panic too.
pub fn run_until(
    mut next: impl FnMut() -> Result<Snapshot, String>,
    options: Options,
    stop: &AtomicBool,
) -> io::Result<()> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(io::Error::other("standard input and output are no terminal"));
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
    // Restored below: on its own it would panic where the terminal is gone.
    let mut terminal = ManuallyDrop::new(ratatui::try_init()?);
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
        while wait_for_key(TICK)? {
            match event::read()? {
                Event::Key(key) if board.press(key) == Next::Quit => return Ok(()),
                _ => drawn = None,
            }
            // Keys that came together are drawn together.
            if !wait_for_key(Duration::ZERO)? {
                break;
            }
        }
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
    }
}

/// Whether an event is there to be read. A terminal that hung up is an error: to read of
/// it would never end.
fn wait_for_key(patience: Duration) -> io::Result<bool> {
    let mut input = libc::pollfd { fd: libc::STDIN_FILENO, events: libc::POLLIN, revents: 0 };
    // SAFETY: the structure lives for the call, and it is one.
    unsafe { libc::poll(&raw mut input, 1, patience.as_millis() as libc::c_int) };
    if input.revents & (libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) != 0 {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    event::poll(Duration::ZERO)
}

/// Gives the terminal back, whichever way the view ends.
struct Restore {
    due: bool,
}

impl Drop for Restore {
    fn drop(&mut self) {
        if self.due && !thread::panicking() {
            // Where it fails there is no terminal any more.
            let _restored = ratatui::try_restore();
            let _shown = execute!(io::stdout(), cursor::Show);
        }
    }
}
