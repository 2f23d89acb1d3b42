//! The chat server as an SFU: a program of the same workspace that the observer shares no code
//! with.

use std::{
    env,
    fs::{self, File},
    net::{IpAddr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use serde_json::Value;

use super::{folder::Folder, namespace::Namespace, patience::until, process::Process};

/// Where it serves pages and the gateway.
const PORT: u16 = 8080;
/// Where it takes media.
const MEDIA_PORT: u16 = 5004;
/// Longest wait for its start.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server at work. It ends when this goes.
pub(crate) struct Sfu {
    _process: Process,
    folder: Folder,
    /// Where pages find it.
    pub(crate) url: String,
    /// What it calls itself, unlike any other.
    pub(crate) service: String,
    /// Where media goes.
    pub(crate) media: SocketAddr,
}

impl Sfu {
    /// One at an address of a namespace.
    pub(crate) fn start(namespace: &Namespace, at: IpAddr) -> Self {
        let (listen, media) = (SocketAddr::new(at, PORT), SocketAddr::new(at, MEDIA_PORT));
        let folder = Folder::new();
        let mut command = namespace.command(program());
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if ["VC_", "OTEL_", "OBSERVABILITY_", "SENTRY_"].iter().any(|it| text.starts_with(it)) {
                command.env_remove(&name);
            }
        }
        let service = format!("sfu-{at}");
        let log = File::create(folder.path().join("log")).expect("the folder is ours");
        command
            .arg("run")
            .env("OTEL_SERVICE_NAME", &service)
            .env("VC_LISTEN", listen.to_string())
            .env("VC_VOICE_LISTEN", media.to_string())
            .env("VC_DATABASE", folder.path().join("vc.db"))
            .stdout(log.try_clone().expect("it is open"))
            .stderr(log);
        let process = Process::start(&mut command);
        let url = format!("http://{listen}");
        let sfu = Self { _process: process, folder, url, service, media };
        namespace.enter(|| {
            until(PATIENCE, "the server", || TcpStream::connect(listen).is_ok());
        });
        sfu
    }

    /// What it said, for whoever reads that a test failed.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// The program: what a runner built as somebody who may write where cargo builds, else what
/// cargo makes of it.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| env::var_os("VC_SERVER_PROGRAM").map_or_else(build, PathBuf::from))
}

fn build() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "-p", "vc-server", "--bin", "vc-server"]);
    cargo.arg("--message-format=json-render-diagnostics");
    cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let output = cargo.stdin(Stdio::null()).stderr(Stdio::inherit()).output().expect("cargo runs");
    assert!(output.status.success(), "{cargo:?} failed");
    let messages = String::from_utf8_lossy(&output.stdout);
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut programs =
        messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    programs.next_back().expect("cargo says where the program is")
}
