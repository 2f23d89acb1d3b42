//! A network of its own that lasts as long as its test: nothing from outside comes into it,
//! and no privileges are needed, because it belongs to a namespace of users.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

/// A network with its loopback up. The kernel removes it with the last process in it.
pub(crate) struct Namespace {
    /// Holds it. It ends with its input, so also where the test is killed.
    holder: Child,
}

impl Namespace {
    pub(crate) fn new() -> Self {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net", "sh", "-c"]);
        command.arg("ip link set lo up && echo ready && exec cat");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = command.spawn().expect("unshare is there");
        let mut line = String::new();
        let out = holder.stdout.take().expect("it is piped");
        BufReader::new(out).read_line(&mut line).expect("it can be read");
        let namespace = Self { holder };
        assert_eq!(line, "ready\n", "may users have namespaces here? `unshare -rn true`");
        namespace
    }

    /// The same command, to be run inside. Its process is the one that is started.
    pub(crate) fn inside(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.args(["--target", &self.holder.id().to_string()]);
        inside.args(["--user", "--net", "--preserve-credentials", "--"]);
        inside.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        inside
    }

    /// Runs a program inside to its end.
    pub(crate) fn run(&self, words: &[&str]) {
        let mut command = Command::new(words[0]);
        let status = self.inside(command.args(&words[1..])).status();
        assert!(status.is_ok_and(|status| status.success()), "{words:?}");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _gone_already = self.holder.kill();
        let _gone_already = self.holder.wait();
    }
}
