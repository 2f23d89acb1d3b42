//! A program beside the test, ended with it.

use std::{
    process::{Child, ChildStderr, Command, ExitStatus},
    time::Duration,
};

use super::patience::until;

/// A running program. It is killed, by its number, when this goes.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().expect("the program starts"))
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// What it says, if its standard error was piped.
    pub(crate) fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.0.stderr.take()
    }

    /// Asks it to end, as Ctrl-C would.
    pub(crate) fn interrupt(&self) {
        let number = self.id() as libc::pid_t;
        // SAFETY: the call takes numbers; the child is not reaped yet, so the number is its own.
        unsafe { libc::kill(number, libc::SIGINT) };
    }

    /// Waits for its end.
    pub(crate) fn finish(&mut self, within: Duration) -> ExitStatus {
        let mut status = None;
        until(within, "the program to end", || {
            status = self.0.try_wait().expect("a child can be waited for");
            status.is_some()
        });
        status.expect("it has ended")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _status = self.0.wait();
    }
}
