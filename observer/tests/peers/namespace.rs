//! A network namespace that lasts as long as its test.

use std::{
    ffi::OsStr,
    fs::File,
    os::fd::AsRawFd as _,
    process::{Command, Stdio, id},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

/// Namespaces that this process has made.
static MADE: AtomicU32 = AtomicU32::new(0);

/// A namespace with its loopback up. It is removed when this goes, and its devices
/// with it.
#[derive(Debug)]
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes one; `role` is part of its name, for whoever reads `ip netns list`.
    pub(crate) fn new(role: &str) -> Self {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let namespace = Self { name: format!("observer-{}-{number}-{role}", id()) };
        ip(&["netns", "add", &namespace.name]);
        namespace.run(&["ip", "link", "set", "lo", "up"]);
        namespace
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A program that will run in it. `ip` becomes that program, so the process that
    /// is started is the one to end.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program).stdin(Stdio::null());
        command
    }

    /// Runs a program in it to its end, and gives what it printed.
    pub(crate) fn run(&self, words: &[&str]) -> String {
        let mut command = self.command(words[0]);
        finished(command.args(&words[1..]))
    }

    /// Runs `task` on a thread of its own in it. Sockets and devices that the task
    /// opens stay in the namespace wherever they are used later.
    pub(crate) fn enter<T: Send>(&self, task: impl FnOnce() -> T + Send) -> T {
        let place = File::open(format!("/run/netns/{}", self.name)).expect("the namespace exists");
        thread::scope(|scope| {
            let inside = scope.spawn(move || {
                // SAFETY: the descriptor is open, and the call changes this thread alone.
                let result = unsafe { libc::setns(place.as_raw_fd(), libc::CLONE_NEWNET) };
                assert_eq!(result, 0, "setns: {}", std::io::Error::last_os_error());
                task()
            });
            inside.join().expect("the task in the namespace ended well")
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _best_effort = Command::new("ip").args(["netns", "delete", &self.name]).status();
    }
}

/// Runs `ip` outside every namespace of the test.
pub(crate) fn ip(words: &[&str]) -> String {
    finished(Command::new("ip").args(words))
}

fn finished(command: &mut Command) -> String {
    let output = command.output().expect("the program starts");
    assert!(
        output.status.success(),
        "{command:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
