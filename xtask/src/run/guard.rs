//! `guard`: runs a program that ends with whoever started the guard, even if that is killed.
//!
//! The starter holds a pipe to the guard's standard input. The kernel closes it however the
//! starter ends, and it reaches a guard that runs as root, which its starter may not signal.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, ErrorKind, stdin};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::command::{cannot_start, command, find};

/// How long a program may take to end before it is killed: more than the observer's last export
/// or the server's last answers take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Between two looks at what has happened.
pub(super) const GLANCE: Duration = Duration::from_millis(50);

/// What to run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A folder to remove once the program has ended
    #[arg(long)]
    folder: Option<PathBuf>,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    words: Vec<OsString>,
}

/// Runs the program until it ends, a signal comes, or standard input is closed.
pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    // Before the program: Ctrl-C reaches it too, and the guard has to outlive it.
    let mut signals = signals()?;
    let (program, rest) = args.words.split_first().context("a guard needs a program to run")?;
    let mut run = mortal(program);
    run.args(rest).stdin(Stdio::null());
    let mut child = run.spawn().with_context(|| cannot_start(&run))?;
    let (closing, closed) = mpsc::channel();
    thread::spawn(move || {
        let _read = io::copy(&mut stdin(), &mut io::sink());
        // The guard may have ended.
        let _told = closing.send(());
    });
    let mut asked = None;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        let is_over = signals.pending().count() > 0 || closed.try_recv().is_ok();
        match asked {
            None if is_over => {
                terminate(&child);
                asked = Some(Instant::now());
            }
            Some(since) if since.elapsed() > PATIENCE => child.kill()?,
            _ => {}
        }
        thread::sleep(GLANCE);
    };
    if let Some(folder) = &args.folder {
        remove(folder)?;
    }
    Ok(code(status))
}

/// A guard, as its starter has it.
pub(super) struct Guarded {
    guard: Child,
    /// The guard ends its program when this is closed.
    hold: Option<ChildStdin>,
}

impl Guarded {
    /// Starts a guard: a command of this program, by way of sudo or not.
    pub(super) fn start(guard: &mut Command) -> Result<Self> {
        let child = guard.stdin(Stdio::piped()).spawn();
        let mut child = child.with_context(|| cannot_start(guard))?;
        let hold = child.stdin.take();
        Ok(Self { guard: child, hold })
    }

    /// The status of the program, if it has ended.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.guard.try_wait()?)
    }

    /// What it says, if it was started with a pipe for that.
    pub(super) fn says(&mut self) -> Option<ChildStderr> {
        self.guard.stderr.take()
    }

    /// Asks the program to end, and does not wait for it.
    pub(super) fn release(&mut self) {
        self.hold = None;
    }

    /// Ends the program, and waits until it has ended.
    pub(super) fn end(&mut self) -> Result<ExitStatus> {
        self.release();
        Ok(self.guard.wait()?)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ended = self.end();
    }
}

/// A command whose process ends with the thread that started it.
pub(super) fn mortal(program: impl AsRef<OsStr>) -> Command {
    match find("setpriv") {
        Some(setpriv) => {
            let mut command = command(setpriv);
            command.args(["--pdeathsig", "TERM", "--"]).arg(program);
            command
        }
        // It is part of util-linux. Without it, a guard that is killed leaves its program behind.
        None => command(program),
    }
}

/// The signals that ask for the end, heard from here on.
pub(super) fn signals() -> Result<Signals> {
    Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot hear signals")
}

/// Asks a child that was not waited for yet, so that its number is still its own.
pub(super) fn terminate(child: &Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may have ended.
        let _sent = kill_process(pid, Signal::TERM);
    }
}

/// Removes a folder, if it is still there.
pub(super) fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}: remove it", folder.display()))
        }
        _ => Ok(()),
    }
}

/// The exit code that tells of a status.
pub(super) fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}
