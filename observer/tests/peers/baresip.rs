//! baresip calls baresip, both with a microphone that is a recording.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpStream},
    path::Path,
    process::Stdio,
    time::Duration,
};

use super::{
    ends::DEVICE, folder::Folder, gstreamer::listens, namespace::Namespace, process::Process,
};

/// Where it is told what to do.
const CONTROL: ([u8; 4], u16) = ([127, 0, 0, 1], 4_444);
const SIGNALLING_PORT: u16 = 5_060;
/// Where it sends voice from, and where it hears.
const MEDIA_PORTS: &str = "20000-20010";
const RECORDING_S: u32 = 30;
/// Longest call, for the recording is not played again.
pub(crate) const LONGEST: Duration = Duration::from_secs(25);

/// How a call is encoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Codec {
    /// What baresip calls it.
    name: &'static str,
    /// The module that has it.
    module: &'static str,
    /// Samples a second of the recording.
    rate: u32,
    channels: u16,
    /// Payload type.
    pub(crate) payload_type: u8,
}

/// G.711 A-law.
pub(crate) const PCMA: Codec =
    Codec { name: "pcma/8000/1", module: "g711", rate: 8_000, channels: 1, payload_type: 8 };
/// G.722, whose RTP clock is half of its sampling rate (RFC 3551 section 4.5.2).
pub(crate) const G722: Codec =
    Codec { name: "g722/16000/1", module: "g722", rate: 16_000, channels: 1, payload_type: 9 };
/// Opus.
pub(crate) const OPUS: Codec =
    Codec { name: "opus/48000/2", module: "opus", rate: 48_000, channels: 2, payload_type: 96 };

/// One that takes a call, or makes one.
#[derive(Debug)]
pub(crate) struct Baresip {
    process: Process,
    _folder: Folder,
}

impl Baresip {
    /// One that answers every call.
    pub(crate) fn callee(namespace: &Namespace, at: IpAddr, codec: Codec) -> Self {
        let callee = Self::start(namespace, at, codec, &[]);
        listens(&callee.process, SIGNALLING_PORT);
        callee
    }

    /// One that calls `to`, and hangs up after a while.
    pub(crate) fn caller(
        namespace: &Namespace,
        at: IpAddr,
        codec: Codec,
        to: IpAddr,
        lasts: Duration,
    ) -> Self {
        assert!(lasts <= LONGEST, "{lasts:?} is longer than the recording");
        let dial = format!("/dial sip:callee@{}", SocketAddr::new(to, SIGNALLING_PORT));
        Self::start(namespace, at, codec, &["-e", &dial, "-t", &lasts.as_secs().to_string()])
    }

    fn start(namespace: &Namespace, at: IpAddr, codec: Codec, more: &[&str]) -> Self {
        let folder = Folder::new();
        configure(folder.path(), at, codec);
        let mut command = namespace.command("baresip");
        command.arg(if at.is_ipv4() { "-4" } else { "-6" }).arg("-f").arg(folder.path());
        command.args(more).stdout(Stdio::null()).stderr(Stdio::null());
        Self { process: Process::start(&mut command), _folder: folder }
    }

    /// Waits until it has hung up and ended.
    pub(crate) fn finish(&mut self, within: Duration) {
        let status = self.process.finish(within);
        assert!(status.success(), "baresip: {status}");
    }
}

/// Tells the one in a namespace something, and waits until it has heard: `hold`, `resume`.
pub(crate) fn tell(namespace: &Namespace, command: &str) {
    let connect = || TcpStream::connect(SocketAddr::from(CONTROL)).expect("baresip listens");
    let mut control = namespace.enter(connect);
    let words = format!(r#"{{"command":"{command}","token":"test"}}"#);
    write!(control, "{}:{words},", words.len()).expect("baresip reads");
    let mut answer = [0; 512];
    let length = control.read(&mut answer).expect("baresip answers");
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.contains(r#""ok":true"#), "{command}: {answer}");
}

fn configure(folder: &Path, at: IpAddr, codec: Codec) {
    let recording = folder.join("recording.wav");
    fs::write(&recording, wave(codec)).expect("the folder can be written to");
    let Codec { name, module, rate, channels, .. } = codec;
    let config = format!(
        "sip_listen {signalling}\nrtp_ports {MEDIA_PORTS}\nnet_interface {DEVICE}\n\
         audio_source aufile,{recording}\naudio_player aufile,{heard}\n\
         ausrc_srate {rate}\nauplay_srate {rate}\nausrc_channels {channels}\n\
         auplay_channels {channels}\nmodule_path /usr/lib/baresip/modules\nmodule aufile.so\n\
         module {module}.so\nmodule_app account.so\nmodule_app menu.so\n\
         module_app ctrl_tcp.so\nctrl_tcp_listen {control}\n",
        signalling = SocketAddr::new(at, SIGNALLING_PORT),
        recording = recording.display(),
        heard = folder.join("heard.wav").display(),
        control = SocketAddr::from(CONTROL),
    );
    let account = format!(
        "<sip:callee@{};transport=udp>;regint=0;answermode=auto;audio_codecs={name}\n",
        SocketAddr::new(at, SIGNALLING_PORT)
    );
    for (file, text) in [("config", &*config), ("accounts", &account), ("contacts", "")] {
        fs::write(folder.join(file), text).expect("the folder can be written to");
    }
}

/// A sawtooth in 16 bits, as a RIFF file.
fn wave(codec: Codec) -> Vec<u8> {
    let samples = codec.rate * RECORDING_S * u32::from(codec.channels);
    let block = codec.channels * 2;
    let mut file = Vec::new();
    file.extend(b"RIFF");
    file.extend((36 + samples * 2).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0");
    file.extend(codec.channels.to_le_bytes());
    file.extend(codec.rate.to_le_bytes());
    file.extend((codec.rate * u32::from(block)).to_le_bytes());
    file.extend(block.to_le_bytes());
    file.extend(b"\x10\0data");
    file.extend((samples * 2).to_le_bytes());
    file.extend((0..samples).flat_map(|sample| ((sample % 100) as i16 * 100).to_le_bytes()));
    file
}
