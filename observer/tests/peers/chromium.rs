//! Chromium calls: a browser in a namespace, with a microphone that beeps.

use std::{process::Stdio, time::Duration};

use serde_json::{Value, json};

use super::{folder::Folder, namespace::Namespace, office::Office, process::Process};

/// The page that calls.
pub(crate) const PAGE: &str = include_str!("call.html");

/// Longest wait for a browser to start and a call to stand.
const SET_UP: Duration = Duration::from_secs(60);
/// Longest wait for what a page does at once.
const PROMPT: Duration = Duration::from_secs(20);

/// Whatever would make packets of its own is off.
const FLAGS: [&str; 19] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-breakpad",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--no-first-run",
    "--no-proxy-server",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
];

/// What a browser says of its call (`getStats()`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    /// Synchronisation source of the stream that it sends.
    pub(crate) sent_ssrc: u32,
    /// Packets sent.
    pub(crate) sent: u64,
    /// Synchronisation source of the stream that it receives.
    pub(crate) received_ssrc: u32,
    /// Packets received.
    pub(crate) received: u64,
    /// Packets lost.
    pub(crate) lost: i64,
    /// Jitter, in ms.
    pub(crate) jitter_ms: f64,
    /// Round trip of the last answer to a STUN request, in ms.
    pub(crate) round_trip_ms: Option<f64>,
    /// Requests that were answered.
    pub(crate) answers: u64,
}

impl Counts {
    fn of(said: &Value) -> Self {
        let number = |of: &str, name: &str| said[of][name].as_u64().unwrap_or_default();
        let ms = |of: &str, name: &str| said[of][name].as_f64().map(|seconds| seconds * 1e3);
        Self {
            sent_ssrc: number("outbound-rtp", "ssrc") as u32,
            sent: number("outbound-rtp", "packetsSent"),
            received_ssrc: number("inbound-rtp", "ssrc") as u32,
            received: number("inbound-rtp", "packetsReceived"),
            lost: said["inbound-rtp"]["packetsLost"].as_i64().unwrap_or_default(),
            jitter_ms: ms("inbound-rtp", "jitter").unwrap_or_default(),
            round_trip_ms: ms("pair", "currentRoundTripTime"),
            answers: number("pair", "responsesReceived"),
        }
    }
}

/// A browser in a call. It ends when this goes.
#[derive(Debug)]
pub(crate) struct Chromium<'a> {
    office: &'a Office,
    role: &'static str,
    _browser: Process,
    _profile: Folder,
}

impl<'a> Chromium<'a> {
    /// Starts one in a namespace; `more` goes to the page.
    pub(crate) fn start(
        namespace: &Namespace,
        office: &'a Office,
        role: &'static str,
        more: &str,
    ) -> Self {
        let profile = Folder::new();
        let at = office.counter(namespace);
        let mut command = namespace.command("chromium");
        command.args(FLAGS).arg(format!("--user-data-dir={}", profile.path().display()));
        command.arg(format!("http://{at}/?role={role}{more}"));
        command.env("HOME", profile.path()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { office, role, _browser: Process::start(&mut command), _profile: profile }
    }

    /// Waits until its call stands.
    pub(crate) fn connected(&self) {
        self.said(SET_UP);
    }

    /// Asks the page for something that it does at once.
    pub(crate) fn ask(&self, command: &str, argument: Value) -> Value {
        self.begin(command, argument);
        self.said(PROMPT)
    }

    /// Asks the page for something that takes its time: [`Chromium::samples`] has the answer.
    pub(crate) fn begin(&self, command: &str, argument: Value) {
        let letter = json!([command, argument]).to_string();
        self.office.leave(&format!("{}/asked", self.role), letter);
    }

    /// What it counts at this moment.
    pub(crate) fn counts(&self) -> Counts {
        Counts::of(&self.ask("stats", Value::Null))
    }

    /// What it counted at each moment of a `sample` that has begun.
    pub(crate) fn samples(&self) -> Vec<Counts> {
        let said = self.said(PROMPT);
        said.as_array().expect("a list of samples").iter().map(Counts::of).collect()
    }

    fn said(&self, within: Duration) -> Value {
        let letter = self.office.take(&format!("{}/said", self.role), within);
        let said: Value = serde_json::from_str(&letter).expect("a page speaks JSON");
        assert!(said.get("error").is_none(), "{}: {said}", self.role);
        said
    }
}
