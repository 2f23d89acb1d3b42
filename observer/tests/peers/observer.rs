//! The command at work, and what it says of this host.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use observer::export::snapshot::{Snapshot, Tcp, Voice};

use super::patience::until;

/// Longest wait for what an observer says within a reading or two.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// An observer at work.
pub(crate) struct Observer {
    child: Child,
    address: SocketAddr,
}

impl Observer {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::by(Command::new(env!("CARGO_BIN_EXE_observer")), arguments)
    }

    /// One that sees a file in `/run` that nobody else does.
    pub(crate) fn with_file_in_run(path: &str, text: &str, arguments: &[&str]) -> Self {
        const SCRIPT: &str = "mount -t tmpfs none /run && mkdir -p \"/run/${1%/*}\" && \
                              printf %s \"$2\" > \"/run/$1\" && shift 2 && exec \"$@\"";
        let mut command = Command::new("unshare");
        let observer = env!("CARGO_BIN_EXE_observer");
        command.args(["--mount", "sh", "-c", SCRIPT, "sh", path, text, observer]);
        Self::by(command, arguments)
    }

    fn by(mut command: Command, arguments: &[&str]) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = command
            .env_remove("OBSERVER_CONFIG")
            .env("OBSERVER_INTERVAL", "200ms")
            .args(["run", "--listen", &address.to_string()])
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let observer = Self { child, address };
        until(PATIENCE, "the observer", || observer.get("/readyz").contains("200 OK"));
        observer
    }

    pub(crate) fn get(&self, path: &str) -> String {
        let mut answer = String::new();
        if let Ok(mut stream) = TcpStream::connect(self.address) {
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            let _cut_off = stream.read_to_string(&mut answer);
        }
        answer
    }

    /// The server's end of connections to this address.
    pub(crate) fn ends(&self, of: SocketAddr) -> Vec<Tcp> {
        let answer = self.get("/api/v1/snapshot");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let Ok(snapshot) = serde_json::from_str::<Snapshot>(body) else { return Vec::new() };
        let server = Some(of.to_string());
        snapshot
            .tcp
            .into_iter()
            .filter(|one| one.server == server && one.role != "client")
            .collect()
    }

    pub(crate) fn end(&self, of: SocketAddr) -> Tcp {
        let mut found = None;
        until(PATIENCE, "the connection", || {
            found = self.ends(of).pop();
            found.is_some()
        });
        found.unwrap()
    }

    /// The value of a series.
    pub(crate) fn series(&self, name: &str) -> Option<f64> {
        let text = self.get("/metrics");
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    /// What it serves; nothing before its first reading.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let answer = self.get("/api/v1/snapshot");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_default()
    }

    pub(crate) fn flows(&self, ssrc: u32) -> Vec<Voice> {
        self.snapshot().voice.into_iter().filter(|flow| flow.ssrc == ssrc).collect()
    }

    /// Packets of the flows with this SSRC, by direction.
    pub(crate) fn packets(&self, ssrc: u32) -> BTreeMap<String, u64> {
        let flows = self.flows(ssrc).into_iter();
        flows.filter_map(|flow| Some((flow.direction?, flow.packets))).collect()
    }

    pub(crate) fn received(&self, service: &str) -> f64 {
        let labels = format!("{{network_io_direction=\"receive\",service_name=\"{service}\"}}");
        self.series(&format!("observer_tcp_io_bytes_total{labels}")).unwrap_or(0.0)
    }

    pub(crate) fn signal(&self, signal: i32) {
        // SAFETY: the child is not reaped yet, so the number is its own.
        unsafe { libc::kill(self.child.id() as i32, signal) };
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _status = self.child.wait();
    }
}
