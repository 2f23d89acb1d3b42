//! One stream, and what everybody says of it.

use std::{
    net::{IpAddr, SocketAddr},
    thread::sleep,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, Result, ensure};
use observer::export::snapshot::Voice;
use serde::Serialize;
use serde_json::json;

use super::{
    peers::{
        capture::Capture,
        chromium::{Chromium, Counts},
        ends::DEVICE,
        firewall::Firewall,
        folder::Folder,
        loss,
        namespace::Namespace,
        patience::until,
        samples::{SPACING, median},
        tshark::{self, Count},
    },
    running::Running,
};

/// Longest wait for the first packets of a call that stands.
const PATIENCE: Duration = Duration::from_secs(20);
/// From the last packet to the moment when everyone has counted it.
const SETTLE: Duration = Duration::from_millis(600);

/// What is compared.
#[derive(Serialize)]
pub(crate) struct Row {
    who: &'static str,
    path: String,
    packets: Judged<u64>,
    lost: Judged<i64>,
    /// What the firewall dropped.
    dropped: u64,
    reordered: u64,
    /// Mean of the jitter in ms; the judge is RFC 3550 over tshark's times.
    mean_jitter_ms: Pair,
    /// Medians of the jitter in ms; the judge is `getStats()`.
    jitter_ms: Option<Pair>,
    /// Medians of the round trip in ms; the judge is `getStats()`.
    rtt_ms: Option<Pair>,
    /// What the observer says that it could not count.
    uncounted: Vec<String>,
}

#[derive(Serialize)]
struct Judged<T> {
    ours: T,
    /// What the receiving browser says.
    receiver: Option<T>,
    tshark: T,
}

/// What a time is compared with.
#[derive(Serialize)]
struct Pair {
    ours: Option<f64>,
    theirs: f64,
}

/// A stream from one namespace to another, and what stands beside it.
pub(crate) struct Stream<'a> {
    running: &'a Running,
    from: &'a Namespace,
    to: IpAddr,
    payload_type: u8,
    firewall: Firewall<'a>,
    capture: Capture,
    _folder: Folder,
}

/// Medians of what was sampled.
pub(crate) struct Sampled {
    jitter_ms: Pair,
    rtt_ms: Pair,
}

impl<'a> Stream<'a> {
    /// Loses so many in a hundred packets on their way out of one namespace, and captures
    /// what comes to the other.
    pub(crate) fn new(
        running: &'a Running,
        (from, to): (&'a Namespace, &Namespace),
        to_address: IpAddr,
        payload_type: u8,
        lost_percent: u32,
    ) -> Self {
        let rules = loss::of(payload_type, lost_percent);
        let folder = Folder::new();
        let firewall = Firewall::new(from, &format!("egress device {DEVICE}"), &rules);
        let capture = Capture::start(to, &folder);
        Self { running, from, to: to_address, payload_type, firewall, capture, _folder: folder }
    }

    /// Reads the observer's figures while a browser that hears the stream reads its own.
    pub(crate) fn sample(&self, listener: &Chromium<'_>, samples: u32) -> Result<Sampled> {
        until(PATIENCE, "a stream", || self.flow().is_ok());
        listener.begin("sample", json!(samples));
        let (mut jitter, mut rtt) = (Vec::new(), Vec::new());
        let begun = Instant::now();
        for number in 0..samples {
            sleep((SPACING * number).saturating_sub(begun.elapsed()));
            let flow = self.flow()?;
            jitter.push(flow.jitter_ms);
            rtt.extend(flow.rtt_ms);
        }
        let theirs = listener.samples();
        let of =
            |figure: fn(&Counts) -> Option<f64>| median(theirs.iter().filter_map(figure).collect());
        Ok(Sampled {
            jitter_ms: Pair {
                ours: Some(median(jitter)),
                theirs: of(|counts| Some(counts.jitter_ms)),
            },
            rtt_ms: Pair {
                ours: (rtt.len() == samples as usize).then(|| median(rtt)),
                theirs: of(|counts| counts.round_trip_ms),
            },
        })
    }

    /// Lets everything pass from here on, so that the end of the stream arrives.
    pub(crate) fn relent(&self) {
        self.from.run(&["nft", "flush", "chain", "netdev", "test", "lose"]);
        sleep(SETTLE);
    }

    /// Waits until everyone has counted the last packet.
    pub(crate) fn settle(&self) {
        sleep(SETTLE);
    }

    /// What everybody says in the end.
    pub(crate) fn row(
        self,
        who: &'static str,
        path: String,
        heard: Option<&Counts>,
        sampled: Option<Sampled>,
    ) -> Result<Row> {
        let flow = self.flow_now()?;
        let capture = self.capture.stop();
        let there: SocketAddr = flow.dst.parse()?;
        let numbers = tshark::sequence_numbers(&capture, there.port(), flow.ssrc);
        ensure!(!numbers.is_empty(), "tshark has no packet of {flow:#?}");
        let tshark = Count::of(&numbers);
        let by_rfc = tshark::mean_jitter_ms(&capture, there.port(), flow.ssrc, flow.clock_rate);
        let ledger = self.running.snapshot()?.ledger.lost;
        let uncounted = ledger.iter().map(|it| format!("{} {} {}", it.stage, it.reason, it.count));
        let uncounted = uncounted.collect();
        let (jitter_ms, rtt_ms) = sampled.map(|it| (it.jitter_ms, it.rtt_ms)).unzip();
        Ok(Row {
            who,
            path,
            packets: Judged {
                ours: flow.packets,
                receiver: heard.map(|counts| counts.received),
                tshark: tshark.packets,
            },
            lost: Judged {
                ours: flow.lost.try_into()?,
                receiver: heard.map(|counts| counts.lost),
                tshark: tshark.lost,
            },
            dropped: self.firewall.count("dropped"),
            reordered: flow.reordered,
            mean_jitter_ms: Pair { ours: flow.jitter_mean_ms, theirs: by_rfc },
            jitter_ms,
            rtt_ms,
            uncounted,
        })
    }

    /// What the observer has of it by a reading that begins after this, however busy the
    /// machine is.
    fn flow_now(&self) -> Result<Voice> {
        let asked = SystemTime::now();
        until(PATIENCE, "a reading", || {
            self.running.snapshot().is_ok_and(|snapshot| snapshot.taken_at > Some(asked))
        });
        self.flow()
    }

    /// What the observer has of it: it is the only one to this address.
    fn flow(&self) -> Result<Voice> {
        let is_it = |flow: &Voice| {
            flow.direction.as_deref() == Some("receive")
                && flow.payload_type == self.payload_type
                && flow.dst.parse().is_ok_and(|there: SocketAddr| there.ip() == self.to)
        };
        let snapshot = self.running.snapshot()?;
        let mut found: Vec<_> = snapshot.voice.into_iter().filter(is_it).collect();
        ensure!(found.len() == 1, "the observer has not one stream to {}: {found:#?}", self.to);
        found.pop().context("there is one")
    }
}
