//! A vc-server on loopback in a folder of its own, and bots that talk and chat on it.

use std::env;
use std::fmt;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::super::guard::{self, GLANCE, Guarded};
use crate::command::{command, last_lines};

/// How long the server may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Before bots that have ended begin again: so long, too, if they cannot.
const REST: Duration = Duration::from_secs(2);

/// Settings that the server's and the collector's variables of this shell must not change.
const FOREIGN: [&str; 4] = ["VC_", "OTEL_", "OBSERVABILITY_", "SENTRY_"];

/// What `vc-bot` does: enough come and go and are lost that figures move, and few enough that
/// the call sounds good. After the time it begins again, with other accounts.
const TALK: &str = "call --bots 4 --slots 9 --churn 30s --loss 2 --time 1h";
const CHAT: &str = "chat --bots 4 --pause 1s --drop-every 20s --time 1h";

/// All of it. The bots go first, and the folder last.
pub(super) struct Call {
    talk: Bots,
    chat: Bots,
    server: Guarded,
    host: String,
    folder: Folder,
}

/// One run of `vc-bot` after another.
struct Bots {
    program: PathBuf,
    host: String,
    words: &'static str,
    log: PathBuf,
    run: Option<Guarded>,
    rest_until: Instant,
    invitation: Option<String>,
}

/// A folder that goes with its owner.
struct Folder(PathBuf);

impl Call {
    /// Starts the server, and the bots once it listens.
    pub(super) fn start(server: &Path, bot: &Path) -> Result<Self> {
        let folder = Folder::new()?;
        let log = folder.0.join("server.log");
        // Empty, and so that no file of this host is read instead.
        let config = folder.0.join("vc-server.yaml");
        File::create(&config)?;
        let mut run = guarded(&log, Some(&folder.0), server)?;
        run.arg("run");
        run.env("VC_CONFIG", &config).env("VC_DATABASE", folder.0.join("vc-server.db"));
        run.env("VC_LISTEN", "127.0.0.1:0").env("OBSERVABILITY_ENABLED", "false");
        // Bots make their accounts all at once, and stay on one login.
        run.env("VC_AUTH_ATTEMPTS_PER_MINUTE", "100000").env("VC_ACCESS_TOKEN_LIFETIME", "1d");
        let mut server = Guarded::start(&mut run)?;
        let host = host(&mut server, &log)?;
        let bots = |words, log| Bots {
            program: bot.to_owned(),
            host: host.clone(),
            words,
            log: folder.0.join(log),
            run: None,
            rest_until: Instant::now(),
            invitation: None,
        };
        let (talk, chat) = (bots(TALK, "call.log"), bots(CHAT, "chat.log"));
        Ok(Self { talk, chat, server, host, folder })
    }

    /// Has bots begin again that have ended. Whether there is a new invitation to their call.
    pub(super) fn keep_up(&mut self) -> Result<bool> {
        if self.server.ended()?.is_some() {
            bail!("vc-server has ended, and said:\n{}", tail(&self.folder.0.join("server.log")));
        }
        self.chat.keep_up()?;
        let before = self.talk.invitation.clone();
        self.talk.keep_up()?;
        Ok(self.talk.invitation.is_some() && self.talk.invitation != before)
    }

    /// Whether bots talk.
    pub(super) fn is_under_way(&self) -> bool {
        self.talk.invitation.is_some()
    }

    /// Where a browser joins them.
    pub(super) fn page(&self) -> String {
        let invitation = self.talk.invitation.as_deref().unwrap_or_default();
        format!("http://{}/talk#{invitation}", self.host)
    }

    /// Where the logs and the database are.
    pub(super) fn folder(&self) -> &Path {
        &self.folder.0
    }

    /// The end of what the bots say.
    pub(super) fn log(&self) -> String {
        tail(&self.talk.log)
    }

    /// Asks all of them to end.
    pub(super) fn release(&mut self) {
        for bots in [&mut self.talk, &mut self.chat] {
            bots.run.iter_mut().for_each(Guarded::release);
        }
        self.server.release();
    }
}

impl fmt::Display for Call {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "vc-server at {}, with 4 bots that talk and 4 that chat", self.host)
    }
}

impl Bots {
    fn keep_up(&mut self) -> Result<()> {
        let Some(run) = &mut self.run else {
            return if Instant::now() < self.rest_until { Ok(()) } else { self.begin() };
        };
        if run.ended()?.is_some() {
            self.run = None;
            self.rest_until = Instant::now() + REST;
        } else if self.invitation.is_none() {
            self.invitation = invitation(&fs::read_to_string(&self.log)?).map(str::to_owned);
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<()> {
        let mut run = guarded(&self.log, None, &self.program)?;
        run.args(self.words.split(' ')).args(["--server", &self.host]);
        self.invitation = None;
        self.run = Some(Guarded::start(&mut run)?);
        Ok(())
    }
}

impl Folder {
    fn new() -> Result<Self> {
        let folder = env::temp_dir().join(format!("observer-demo-{}", std::process::id()));
        // It must not be there: in a folder for everybody it might be somebody else's.
        let made = DirBuilder::new().mode(0o700).create(&folder);
        made.with_context(|| {
            format!("cannot create {}: set TMPDIR to a folder of yours", folder.display())
        })?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = guard::remove(&self.0) {
            eprintln!("{error:#}");
        }
    }
}

/// A program under a guard that writes into a log file, away from the terminal and its Ctrl-C,
/// so that it is this task that says when it ends.
fn guarded(log: &Path, folder: Option<&Path>, program: &Path) -> Result<Command> {
    let log = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut guard = command(env::current_exe().context("this program has no path")?);
    guard.arg("guard").process_group(0).stdout(log.try_clone()?).stderr(log);
    for (name, _) in env::vars_os() {
        if FOREIGN.iter().any(|start| name.to_string_lossy().starts_with(start)) {
            guard.env_remove(name);
        }
    }
    if let Some(folder) = folder {
        guard.arg("--folder").arg(folder);
    }
    guard.arg("--").arg(program);
    Ok(guard)
}

/// Where the server listens, once it does.
fn host(server: &mut Guarded, log: &Path) -> Result<String> {
    let begun = Instant::now();
    loop {
        let said = fs::read_to_string(log)?;
        if let Some(port) = said.lines().find_map(port) {
            return Ok(format!("127.0.0.1:{port}"));
        }
        if server.ended()?.is_some() || begun.elapsed() > PATIENCE {
            bail!("vc-server does not listen, and said:\n{}", tail(log));
        }
        thread::sleep(GLANCE);
    }
}

/// The port of the line that says where the server listens.
fn port(line: &str) -> Option<u64> {
    let line: Value = serde_json::from_str(line).ok()?;
    (line["event"] == "server.listen").then(|| line["server.port"].as_u64()).flatten()
}

/// The code that bots name, once the whole line is there.
fn invitation(said: &str) -> Option<&str> {
    let mut lines = said.split_inclusive('\n');
    lines.find_map(|line| line.strip_prefix("invitation: ")?.strip_suffix('\n'))
}

fn tail(log: &Path) -> String {
    last_lines(&fs::read_to_string(log).unwrap_or_default(), 10)
}

#[cfg(test)]
mod tests {
    use super::{invitation, port};

    #[test]
    fn an_invitation_is_a_whole_line() {
        assert_eq!(invitation("4 bots\ninvitation: ab12\nthey talk"), Some("ab12"));
        assert_eq!(invitation("4 bots\ninvitation: ab"), None);
    }

    #[test]
    fn the_port_stands_in_the_line_that_says_so() {
        assert_eq!(port(r#"{"event":"server.listen","server.port":4711}"#), Some(4711));
        assert_eq!(port(r#"{"event":"request","server.port":4711}"#), None);
        assert_eq!(port("no JSON, or not all of it yet"), None);
    }
}
