//! Janus, a WebRTC server, whose echo test sends back what it hears.

use std::{
    env, fs,
    net::{IpAddr, SocketAddr, TcpStream},
    os::unix::fs::symlink,
    process::Stdio,
    time::Duration,
};

use super::{
    ends::DEVICE, folder::Folder, namespace::Namespace, patience::until, process::Process,
};

const PORT: u16 = 8_088;

/// Where Debian puts its modules.
pub(crate) fn modules() -> String {
    format!("/usr/lib/{}-linux-gnu/janus", env::consts::ARCH)
}

/// A server at work. It ends when this goes.
#[derive(Debug)]
pub(crate) struct Janus {
    /// Where its interface is.
    pub(crate) url: String,
    _process: Process,
    _folder: Folder,
}

impl Janus {
    /// Starts one with the echo test and plain HTTP alone.
    pub(crate) fn start(namespace: &Namespace, at: IpAddr) -> Self {
        Self::with(namespace, at, "")
    }

    /// Starts one that takes connections of ICE over TCP too.
    pub(crate) fn with_tcp(namespace: &Namespace, at: IpAddr) -> Self {
        Self::with(namespace, at, "ice_lite = true; ice_tcp = true;")
    }

    fn with(namespace: &Namespace, at: IpAddr, nat: &str) -> Self {
        let folder = Folder::new();
        let path = |name: &str| folder.path().join(name);
        for (kind, module) in [
            ("plugins", "libjanus_echotest"),
            ("transports", "libjanus_http"),
            ("events", ""),
            ("loggers", ""),
        ] {
            fs::create_dir(path(kind)).expect("the folder can be written to");
            if !module.is_empty() {
                let file = format!("{kind}/{module}.so");
                let there =
                    fs::read_dir(format!("{}/{kind}", modules())).expect("Janus is installed");
                let mut there = there.flatten().map(|entry| entry.path());
                let is_it = |entry: &std::path::PathBuf| entry.to_string_lossy().contains(module);
                let original = there.find(is_it).expect("Janus has its modules");
                symlink(original, path(&file)).expect("a link can be made");
            }
        }
        let [plugins, transports, events, loggers] =
            ["plugins", "transports", "events", "loggers"].map(path);
        let general = format!(
            "general: {{ plugins_folder = {plugins:?}; transports_folder = {transports:?}; \
             events_folder = {events:?}; loggers_folder = {loggers:?}; }}\n\
             nat: {{ ice_enforce_list = {DEVICE:?}; {nat} }}\n"
        );
        let http = format!("general: {{ http = true; port = {PORT}; base_path = \"/janus\"; }}\n");
        for (file, text) in [("janus.jcfg", general), ("janus.transport.http.jcfg", http)] {
            fs::write(path(file), text).expect("the folder can be written to");
        }
        let mut command = namespace.command("janus");
        command.arg("-F").arg(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process::start(&mut command);
        let address = SocketAddr::new(at, PORT);
        until(Duration::from_secs(20), "Janus to listen", || {
            namespace.enter(|| TcpStream::connect(address).is_ok())
        });
        Self { url: format!("http://{address}/janus"), _process: process, _folder: folder }
    }
}
