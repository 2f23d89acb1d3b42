//! The calls that are made.

use std::{thread::sleep, time::Duration};

use anyhow::Result;
use serde_json::json;

use super::{
    path::{Kind, Path},
    peers::{
        baresip::{self, Baresip},
        chromium::{self, Chromium},
        ends::Ends,
        gstreamer::{self, Codec, Voice},
        janus::Janus,
        office::Office,
    },
    running::Running,
    stream::{Row, Stream},
};

/// Who calls whom.
#[derive(Clone, Copy)]
enum Parties {
    /// A browser calls another; what the callee hears is judged.
    Browsers { family: char },
    /// A browser calls Janus' echo test; what it hears is judged.
    Janus,
    /// GStreamer sends to GStreamer.
    GStreamer { codec: Codec, is_v4: bool },
    /// baresip calls baresip; what the callee hears is judged.
    Baresip { codec: baresip::Codec, is_v4: bool },
}

/// A call, and the way it takes.
pub(crate) struct Call {
    /// As the page calls it.
    pub(crate) who: &'static str,
    parties: Parties,
    pub(crate) path: Path,
}

const fn call(who: &'static str, parties: Parties, kind: Kind, lost_percent: u32) -> Call {
    Call { who, parties, path: Path { kind, lost_percent } }
}

const BROWSERS_V4: Parties = Parties::Browsers { family: '4' };
const BROWSERS_V6: Parties = Parties::Browsers { family: '6' };
const PCMA_V4: Parties = Parties::GStreamer { codec: Codec::Pcma, is_v4: true };
const G722_V6: Parties = Parties::GStreamer { codec: Codec::G722, is_v4: false };
const OPUS_V6: Parties = Parties::GStreamer { codec: Codec::Opus, is_v4: false };
const G722_V4: Parties = Parties::Baresip { codec: baresip::G722, is_v4: true };
const OPUS_V4: Parties = Parties::Baresip { codec: baresip::OPUS, is_v4: true };

/// All of them.
pub(crate) const ALL: [Call; 12] = [
    call("Chromium → Chromium, IPv4", BROWSERS_V4, Kind::Cable, 0),
    call("Chromium → Chromium, IPv6", BROWSERS_V6, Kind::Cable, 3),
    call("Chromium → Chromium, IPv4", BROWSERS_V4, Kind::Uneven, 1),
    call("Chromium → Chromium, IPv6", BROWSERS_V6, Kind::Disorder, 1),
    call("Janus → Chromium", Parties::Janus, Kind::Cable, 0),
    call("Janus → Chromium", Parties::Janus, Kind::Uneven, 3),
    call("Janus → Chromium", Parties::Janus, Kind::Disorder, 1),
    call("GStreamer, G.711 over IPv4", PCMA_V4, Kind::Uneven, 3),
    call("GStreamer, G.722 over IPv6", G722_V6, Kind::Uneven, 3),
    call("GStreamer, Opus over IPv6", OPUS_V6, Kind::Disorder, 1),
    call("baresip, G.722 over IPv4", G722_V4, Kind::Uneven, 3),
    call("baresip, Opus over IPv4", OPUS_V4, Kind::Disorder, 1),
];

/// Opus' payload type in Chromium.
const CHROMIUM_OPUS: u8 = 111;
/// Where GStreamer receives.
const PORT: u16 = 5_004;
/// Before the last packets, nothing is lost any more.
const LAST: Duration = Duration::from_secs(1);
/// How long a program may take beyond its call.
const GRACE: Duration = Duration::from_secs(20);

impl Call {
    /// Makes it, and samples it so many times, every 100 ms.
    pub(crate) fn measure(&self, running: &Running, samples: u32) -> Result<Row> {
        let path = self.path.lay();
        let ends = path.ends();
        match self.parties {
            Parties::Browsers { family } => self.browsers(running, ends, family, samples),
            Parties::Janus => self.janus(running, ends, samples),
            Parties::GStreamer { codec, is_v4 } => {
                self.gstreamer(running, ends, codec, is_v4, samples)
            }
            Parties::Baresip { codec, is_v4 } => self.baresip(running, ends, codec, is_v4, samples),
        }
    }

    fn browsers(&self, running: &Running, ends: &Ends, family: char, samples: u32) -> Result<Row> {
        let to = if family == '4' { ends.far_v4 } else { ends.far_v6 };
        let namespaces = (&ends.near, &ends.far);
        let stream = Stream::new(running, namespaces, to, CHROMIUM_OPUS, self.path.lost_percent);
        let office = Office::new(chromium::PAGE);
        let more = format!("&family={family}");
        let caller = Chromium::start(&ends.near, &office, "caller", &more);
        let callee = Chromium::start(&ends.far, &office, "callee", &more);
        caller.connected();
        callee.connected();
        let sampled = stream.sample(&callee, samples)?;
        stream.relent();
        caller.ask("talk", json!(false));
        stream.settle();
        stream.row(self.who, self.path.name(), Some(&callee.counts()), Some(sampled))
    }

    fn janus(&self, running: &Running, ends: &Ends, samples: u32) -> Result<Row> {
        let namespaces = (&ends.far, &ends.near);
        let stream =
            Stream::new(running, namespaces, ends.near_v4, CHROMIUM_OPUS, self.path.lost_percent);
        let office = Office::new(chromium::PAGE);
        let janus = Janus::start(&ends.far, ends.far_v4);
        let browser = Chromium::start(&ends.near, &office, "janus", &format!("&at={}", janus.url));
        browser.connected();
        let sampled = stream.sample(&browser, samples)?;
        stream.relent();
        browser.ask("talk", json!(false));
        stream.settle();
        stream.row(self.who, self.path.name(), Some(&browser.counts()), Some(sampled))
    }

    fn gstreamer(
        &self,
        running: &Running,
        ends: &Ends,
        codec: Codec,
        is_v4: bool,
        samples: u32,
    ) -> Result<Row> {
        let payload_type = codec.payload_type();
        let to = if is_v4 { ends.far_v4 } else { ends.far_v6 };
        let namespaces = (&ends.near, &ends.far);
        let stream = Stream::new(running, namespaces, to, payload_type, self.path.lost_percent);
        let _receiver = gstreamer::receiver(&ends.far, PORT);
        let voice = Voice {
            codec,
            packets: samples * 100 / gstreamer::PACKET_MS,
            first: 65_000,
            ssrc: 0x0acc_0ace,
            to: (to, PORT),
        };
        let mut sender = voice.start(&ends.near);
        sleep(voice.duration().saturating_sub(LAST));
        stream.relent();
        sender.finish(GRACE);
        stream.settle();
        stream.row(self.who, self.path.name(), None, None)
    }

    fn baresip(
        &self,
        running: &Running,
        ends: &Ends,
        codec: baresip::Codec,
        is_v4: bool,
        samples: u32,
    ) -> Result<Row> {
        let (near, to) =
            if is_v4 { (ends.near_v4, ends.far_v4) } else { (ends.near_v6, ends.far_v6) };
        let namespaces = (&ends.near, &ends.far);
        let stream =
            Stream::new(running, namespaces, to, codec.payload_type, self.path.lost_percent);
        let _callee = Baresip::callee(&ends.far, to, codec);
        let lasts =
            Duration::from_millis(u64::from(samples * 100)).min(baresip::LONGEST - LAST * 3);
        let _caller = Baresip::caller(&ends.near, near, codec, to, baresip::LONGEST);
        sleep(lasts.saturating_sub(LAST));
        stream.relent();
        // Who hangs up has no socket any more for what is on its way.
        baresip::tell(&ends.near, "hold");
        stream.settle();
        stream.row(self.who, self.path.name(), None, None)
    }
}
