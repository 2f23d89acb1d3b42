//! `observer replay`.

mod watch;

use std::{
    collections::HashSet,
    io::{self, IsTerminal as _, Read},
    path::Path,
    time::Duration,
};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    cli::Format,
    config::Config,
    failure::{Failure, print},
    is_colour_welcome,
};
use crate::{
    export::snapshot::{Interruptions, Ledger as LedgerLines, Setup, Snapshot, Voice},
    ledger::Ledger,
    model::{SettingUp, VoiceFlow},
    source::pcap::{Capture, CaptureError},
    track::{capture::CaptureFlows, voice::At},
    view::table,
};
use watch::Watch;

/// How many packets pass between two looks at the progress bar.
const PROGRESS_STEP: u64 = 1 << 14;

/// Runs a capture through the state machines and prints what came of it. Of a damaged
/// capture that is what stands before the damage.
pub(super) fn replay(config: &Config, file: &Path, format: Format) -> Result<(), Failure> {
    let flows = CaptureFlows::new(config.max_flows as usize, config.max_candidates as usize);
    let (snapshot, outcome) = if file == Path::new("-") {
        let capture = Capture::new(io::stdin().lock()).map_err(Failure::cannot_run)?;
        follow(capture, flows, None, config)
    } else {
        let capture = Capture::open(file).map_err(Failure::cannot_run)?;
        let size = capture.file_size();
        follow(capture, flows, size, config)
    };
    print(&match format {
        Format::Json => {
            serde_json::to_string_pretty(&snapshot).map_err(Failure::cannot_run)? + "\n"
        }
        Format::Table => {
            let colour = is_colour_welcome(&io::stdout());
            table::render(&snapshot, super::top::style(colour))
        }
    })?;
    Ok(outcome.context("not all of the capture was read")?)
}

/// What came of the packets, and what kept the rest of them from being read.
fn follow<R: Read>(
    mut capture: Capture<R>,
    mut flows: CaptureFlows,
    size: Option<u64>,
    config: &Config,
) -> (Snapshot, Result<(), CaptureError>) {
    let progress = progress(size);
    let mut packets = 0_u64;
    let (mut watch, mut last_ns) = (Watch::new(config.patience), 0);
    let outcome = loop {
        match capture.next_packet() {
            Ok(Some(packet)) => {
                watch.advance(&flows, packet.time_ns);
                flows.advance(packet.bytes, packet.wire_len, packet.time_ns);
                last_ns = packet.time_ns.max(last_ns);
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
        packets += 1;
        if packets.is_multiple_of(PROGRESS_STEP) {
            progress.set_position(capture.bytes_read());
        }
    };
    progress.finish_and_clear();
    warn(&capture);
    let ledger = ledger(&capture, &flows, outcome.as_ref().err());
    let paths = flows.paths();
    let interrupted = watch.finish(&flows, last_ns);
    let voice = |flow: &VoiceFlow| Voice {
        interruptions: Some(Interruptions::from(&interrupted.of(flow))),
        ..Voice::new(flow, At::Capture, &config.voice).on(&paths.figures(flow))
    };
    let snapshot = Snapshot {
        taken_at: None,
        voice: flows.calls(&paths).iter().map(voice).collect(),
        setups: setups(&paths.setting_up(), last_ns),
        websockets: Vec::new(),
        tcp: Vec::new(),
        ledger: LedgerLines::new(&ledger.losses(), ledger.completeness()),
    };
    (snapshot, outcome)
}

/// Calls without media, one for both of the ends that a capture shows.
fn setups(waiting: &[SettingUp], now_ns: u64) -> Vec<Setup> {
    let mut seen = HashSet::new();
    let mut is_first = |one: &&SettingUp| {
        seen.insert((one.local, one.key.peer)) && !seen.contains(&(one.key.peer, one.local))
    };
    let first = waiting.iter().filter(|one| is_first(one));
    first.map(|one| Setup::new(one, now_ns)).collect()
}

/// What went uncounted: in the file, and in what was read of it.
fn ledger<R: Read>(
    capture: &Capture<R>,
    flows: &CaptureFlows,
    error: Option<&CaptureError>,
) -> Ledger {
    let mut ledger = Ledger::default();
    ledger.add_counted(flows.packets());
    for ((stage, reason), count) in flows.losses() {
        ledger.add(stage, reason, *count);
    }
    let skipped = capture.skipped();
    let unreadable = matches!(error, Some(CaptureError::Read { .. }));
    for (reason, count) in [
        ("truncated", skipped.truncated),
        ("malformed_link_header", skipped.malformed_link_header),
        ("malformed_ip_header", skipped.malformed_ip_header),
        ("unsupported_link_type", skipped.unsupported_link_types.values().sum()),
        ("unsupported_encapsulation", skipped.unsupported_encapsulation),
        ("file_cut_off", u64::from(capture.truncated())),
        ("file_damaged", u64::from(error.is_some() && !unreadable)),
        ("read_failed", u64::from(unreadable)),
    ] {
        if count > 0 {
            ledger.add("capture", reason, count);
        }
    }
    ledger
}

/// Says what was not read, where a reader of the figures should know, and what is not to
/// be trusted.
fn warn<R: Read>(capture: &Capture<R>) {
    if capture.truncated() {
        tracing::warn!("the file ends in the middle of a packet; every whole packet was read");
    }
    let back = capture.backward_steps();
    if back.count > 0 {
        tracing::warn!(
            "the capture's clock goes back {} times, by up to {:?}: jitter, gaps and durations across such a step are wrong",
            back.count,
            back.longest,
        );
    }
    let unsupported = &capture.skipped().unsupported_link_types;
    if capture.packets() == 0 && !unsupported.is_empty() {
        let types: Vec<_> = unsupported.keys().map(ToString::to_string).collect();
        tracing::warn!(
            "no packet was read: the link type is {}, and Ethernet, Linux cooked, loopback and raw IP are read",
            types.join(", ")
        );
    }
}

/// A bar on a terminal, for a file that takes long enough to look at one.
fn progress(size: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = size.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
    let template = "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    if let (Some(_), Ok(style)) = (size, ProgressStyle::with_template(template)) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
