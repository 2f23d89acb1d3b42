//! coturn, a relay (RFC 8656), for a caller that wants to be relayed.

use std::{
    net::{IpAddr, SocketAddr},
    process::Stdio,
};

use super::{folder::Folder, gstreamer::listens, namespace::Namespace, process::Process};

const PORT: u16 = 3_478;

/// A relay at work. It ends when this goes.
#[derive(Debug)]
pub(crate) struct Coturn {
    /// What a page has to be told of it.
    pub(crate) query: String,
    _process: Process,
    _folder: Folder,
}

impl Coturn {
    /// Starts one that relays from and to one address.
    pub(crate) fn start(namespace: &Namespace, at: IpAddr) -> Self {
        let folder = Folder::new();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let mut command = namespace.command("turnserver");
        command.args(["-n", "--no-cli", "--no-tls", "--no-dtls", "--lt-cred-mech"]);
        command.args(["--user", "test:test", "--realm", "test"]);
        command.args(["--listening-ip", &at.to_string(), "--relay-ip", &at.to_string()]);
        command.args(["--listening-port", &PORT.to_string()]);
        command.args(["--userdb", &path("users"), "--pidfile", &path("pid")]);
        command.args(["--log-file", "stdout"]).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process::start(&mut command);
        listens(&process, PORT);
        let query = format!("&relay=turn:{}", SocketAddr::new(at, PORT));
        Self { query, _process: process, _folder: folder }
    }
}
