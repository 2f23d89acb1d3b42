//! sipp calls sipp: the caller plays a recording through a raw socket, the callee
//! sends back what it hears.

use std::{
    fs::create_dir,
    net::IpAddr,
    os::unix::fs::symlink,
    process::{Command, Stdio},
    time::Duration,
};

use super::{folder::Folder, gstreamer::listens, namespace::Namespace, process::Process};

/// Packets of the recording, G.711 A-law.
pub(crate) const PACKETS: u64 = 236;
/// Sequence number of the first of them.
pub(crate) const FIRST: u16 = 59_133;
/// Its synchronisation source.
pub(crate) const SSRC: u32 = 0xdee0_ee8f;
/// How long a call lasts.
pub(crate) const LASTS: Duration = Duration::from_secs(10);
/// Where the callee hears.
pub(crate) const CALLEE_PORT: u16 = 6_000;
/// Where the caller hears.
pub(crate) const CALLER_PORT: u16 = 7_000;

/// Where Debian puts the recording.
pub(crate) const RECORDING: &str = "/usr/share/sip-tester/g711a.pcap";
const DIGIT: &str = "/usr/share/sip-tester/dtmf_2833_1.pcap";
const SIGNALLING_PORT: u16 = 5_060;

/// Takes one call.
pub(crate) fn callee(namespace: &Namespace, at: IpAddr, folder: &Folder) -> Process {
    let mut command = sipp(namespace, at, folder, CALLEE_PORT);
    let callee = Process::start(command.args(["-sn", "uas", "-rtp_echo"]));
    listens(&callee, SIGNALLING_PORT);
    listens(&callee, CALLEE_PORT);
    callee
}

/// Makes one call.
pub(crate) fn caller(namespace: &Namespace, at: IpAddr, to: IpAddr, folder: &Folder) -> Process {
    let recordings = folder.path().join("pcap");
    create_dir(&recordings).expect("the folder can be written to");
    symlink(RECORDING, recordings.join("g711a.pcap")).expect("a link can be made");
    symlink(DIGIT, recordings.join("dtmf_2833_1.pcap")).expect("a link can be made");
    let mut command = sipp(namespace, at, folder, CALLER_PORT);
    Process::start(command.args(["-sn", "uac_pcap"]).arg(format!("{to}:{SIGNALLING_PORT}")))
}

fn sipp(namespace: &Namespace, at: IpAddr, folder: &Folder, media_port: u16) -> Command {
    let mut command = namespace.command("sipp");
    command
        .current_dir(folder.path())
        .env("TERM", "dumb")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.args(["-i", &at.to_string(), "-p", &SIGNALLING_PORT.to_string()]);
    command.args(["-mp", &media_port.to_string(), "-m", "1", "-nostdin"]);
    command
}
