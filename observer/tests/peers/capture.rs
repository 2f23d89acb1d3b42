//! What tcpdump writes beside the observer.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{ChildStderr, Stdio},
    thread::sleep,
    time::Duration,
};

use super::{ends::DEVICE, folder::Folder, namespace::Namespace, process::Process};

/// From the last packet to the moment when tcpdump has it: it reads at once, but on
/// a busy host it has to be scheduled first.
const SETTLE: Duration = Duration::from_millis(300);

/// What is captured, and longer than any packet of it. The buffer is of places as long as this,
/// and of the usual 256 KiB there would be 32.
const UDP: [&str; 2] = ["udp", "2048"];
const TCP: [&str; 2] = ["tcp", "65600"];

/// A capture that goes on.
#[derive(Debug)]
pub(crate) struct Capture {
    path: PathBuf,
    tcpdump: Process,
    says: BufReader<ChildStderr>,
}

impl Capture {
    /// Captures the UDP of a namespace's device, from now.
    pub(crate) fn start(namespace: &Namespace, folder: &Folder) -> Self {
        Self::on(DEVICE, namespace, folder)
    }

    /// The same, of another device.
    pub(crate) fn on(device: &str, namespace: &Namespace, folder: &Folder) -> Self {
        Self::of(UDP, device, namespace, folder)
    }

    /// Captures the TCP of a namespace's device, from now.
    pub(crate) fn of_tcp(namespace: &Namespace, folder: &Folder) -> Self {
        Self::of(TCP, DEVICE, namespace, folder)
    }

    fn of(
        [what, longest]: [&str; 2],
        device: &str,
        namespace: &Namespace,
        folder: &Folder,
    ) -> Self {
        let path = folder.path().join("beside.pcap");
        let mut command = namespace.command("tcpdump");
        command.args(["-i", device, "-n", "-U", "--immediate-mode", "-B", "8192", "-Z", "root"]);
        command.args(["-s", longest]);
        command.arg("--time-stamp-precision=nano").arg("-w").arg(&path).arg(what);
        let mut tcpdump = Process::start(command.stderr(Stdio::piped()));
        let mut says = BufReader::new(tcpdump.take_stderr().expect("it was piped"));
        let mut line = String::new();
        while !line.contains("listening on") {
            line.clear();
            let length = says.read_line(&mut line).expect("tcpdump writes text");
            assert!(length > 0, "tcpdump ended at its start");
        }
        Self { path, tcpdump, says }
    }

    /// Ends it, and makes sure that it missed nothing.
    pub(crate) fn stop(mut self) -> CaptureFile {
        sleep(SETTLE);
        self.tcpdump.interrupt();
        let status = self.tcpdump.finish(Duration::from_secs(5));
        let said: Vec<_> = self.says.lines().map_while(Result::ok).collect();
        let clean = said.iter().any(|line| line.starts_with("0 packets dropped by kernel"));
        assert!(status.success() && clean, "tcpdump: {status}: {said:?}");
        CaptureFile(self.path)
    }
}

/// A finished capture.
#[derive(Debug)]
pub(crate) struct CaptureFile(PathBuf);

impl CaptureFile {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}
