//! The server that tests talk to: the program itself, in a folder of its own.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;
use vc_bot::{Api, Login};

/// How long anything may take here.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A server at work. It is killed when this goes.
pub(crate) struct Server {
    child: Child,
    folder: Option<TempDir>,
    database: PathBuf,
    port: u16,
    lines: Arc<Mutex<Vec<Value>>>,
    readers: Vec<JoinHandle<()>>,
    errors: Arc<Mutex<String>>,
}

/// What a server said until its end.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) lines: Vec<Value>,
    pub(crate) errors: String,
    pub(crate) folder: Option<TempDir>,
}

impl Server {
    /// One that lets everybody try as often as they like.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// One with these variables besides.
    pub(crate) fn with(variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        Self::on(folder, variables)
    }

    /// One on the database of another.
    pub(crate) fn on(folder: TempDir, variables: &[(&str, &str)]) -> Self {
        let mut command = program();
        let database = folder.path().join("vc.db");
        let mut server = Self::launch(command.args(["run"]), &database, variables);
        server.folder = Some(folder);
        server
    }

    /// One that a command starts.
    pub(crate) fn launch(
        command: &mut Command,
        database: &Path,
        variables: &[(&str, &str)],
    ) -> Self {
        command
            .env("VC_LISTEN", "127.0.0.1:0")
            .env("VC_DATABASE", database)
            .env("VC_AUTH_ATTEMPTS_PER_MINUTE", "100000")
            .env("VC_MESSAGES_PER_MINUTE", "100000")
            .env("VC_REFRESH_GRACE", "0s")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let errors = Arc::new(Mutex::new(String::new()));
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let readers = vec![
            std::thread::spawn({
                let lines = Arc::clone(&lines);
                move || {
                    for line in BufReader::new(out).lines().map_while(Result::ok) {
                        let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                        lines.lock().unwrap_or_else(PoisonError::into_inner).push(value);
                    }
                }
            }),
            std::thread::spawn({
                let errors = Arc::clone(&errors);
                move || {
                    let mut text = String::new();
                    let _whole = BufReader::new(err).read_to_string(&mut text);
                    errors.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
                }
            }),
        ];
        let database = database.to_owned();
        let mut server = Self { child, folder: None, database, port: 0, lines, readers, errors };
        let port = |line: &Value| {
            (line["event"] == "server.listen").then(|| line["server.port"].as_u64()).flatten()
        };
        let found = server.wait_for_line("the server to listen", |line| port(line).is_some());
        server.port = u16::try_from(port(&found).unwrap()).unwrap();
        server
    }

    /// `host:port`
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn api(&self) -> Api {
        Api::new(&self.host())
    }

    pub(crate) fn database(&self) -> &Path {
        &self.database
    }

    /// Somebody with an account, logged in.
    pub(crate) async fn user(&self, name: &str) -> Login {
        let api = self.api();
        api.register(name, "a good password").await.expect("the name is free");
        api.log_in(name, "a good password").await.expect("the password is right")
    }

    /// What was logged so far.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The first line of that kind, now or soon.
    pub(crate) fn wait_for_line(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            if let Some(found) = self.lines().into_iter().find(&is_it) {
                return found;
            }
            if begun.elapsed() > PATIENCE || self.child.try_wait().is_ok_and(|it| it.is_some()) {
                let errors = self.errors.lock().unwrap().clone();
                panic!("waited for {what} in vain: {errors}{:#?}", self.lines());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{name} is sent");
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(self) -> Ended {
        self.signal("TERM");
        self.wait()
    }

    /// Waits until it has ended.
    pub(crate) fn wait(mut self) -> Ended {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end: {:#?}", self.lines());
            std::thread::sleep(Duration::from_millis(5));
        };
        for reader in self.readers.drain(..) {
            reader.join().expect("it only reads");
        }
        let errors = self.errors.lock().unwrap().clone();
        Ended { status, lines: self.lines(), errors, folder: self.folder.take() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _gone_already = self.child.wait();
    }
}

/// The program, without what the environment says of it.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vc-server"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["VC_", "OTEL_", "OBSERVABILITY_", "SENTRY_"].iter().any(|start| text.starts_with(start))
        {
            command.env_remove(&name);
        }
    }
    command
}
