//! `observer replay` and `tshark -z rtp,streams` on one file.

use std::{path::Path, process::Command};

use anyhow::{Result, ensure};
use observer::export::snapshot::Snapshot;

use crate::{
    process::{Cost, run},
    traffic::{FLOWS, PORT},
};

/// Packets and losses of a stream, by its SSRC.
type Stream = (u32, u64, i64);

/// What both took for one file.
pub(crate) struct Round {
    pub(crate) ours: Cost,
    pub(crate) tshark: Cost,
}

pub(crate) fn ours(observer: &Path, capture: &Path) -> Result<Cost> {
    run(Command::new(observer).args(["replay", "--format", "json"]).arg(capture))
}

pub(crate) fn tshark(capture: &Path) -> Result<Cost> {
    let mut command = Command::new("tshark");
    command.args(["-q", "-z", "rtp,streams", "-d", &format!("udp.port=={PORT},rtp"), "-r"]);
    run(command.arg(capture))
}

impl Round {
    /// Both, one after the other.
    pub(crate) fn run(observer: &Path, capture: &Path, ours_first: bool) -> Result<Self> {
        if ours_first {
            let ours = ours(observer, capture)?;
            return Ok(Self { ours, tshark: tshark(capture)? });
        }
        let tshark = tshark(capture)?;
        Ok(Self { ours: ours(observer, capture)?, tshark })
    }

    /// How many times as fast ours was, by CPU time.
    pub(crate) fn ratio(&self) -> f64 {
        self.tshark.cpu.as_secs_f64() / self.ours.cpu.as_secs_f64()
    }

    /// That both counted the same: each stream with each packet and each loss.
    pub(crate) fn agrees(&self, packets: u64) -> Result<()> {
        let snapshot: Snapshot = serde_json::from_str(&self.ours.output)?;
        let stream =
            |flow: &observer::export::snapshot::Voice| (flow.ssrc, flow.packets, flow.lost as i64);
        let mut ours: Vec<Stream> = snapshot.voice.iter().map(stream).collect();
        let mut theirs: Vec<Stream> = self.tshark.output.lines().filter_map(line).collect();
        ours.sort_unstable();
        theirs.sort_unstable();
        ensure!(ours.len() == FLOWS as usize, "{} streams of {FLOWS}", ours.len());
        let differs = ours.iter().zip(&theirs).find(|(ours, theirs)| ours != theirs);
        ensure!(differs.is_none(), "ours and tshark's SSRC, packets, losses: {differs:?}");
        ensure!(theirs.len() == ours.len(), "tshark has {} streams", theirs.len());
        let counted: u64 = ours.iter().map(|(_, packets, _)| packets).sum();
        ensure!(counted == packets, "{counted} of {packets} packets");
        ensure!(ours.iter().any(|(.., lost)| *lost > 0), "nothing was lost");
        ensure!(snapshot.voice.iter().any(|flow| flow.reordered > 0), "nothing was late");
        Ok(())
    }
}

/// Of a line of tshark's: start, end, addresses and ports, SSRC, payload, packets, lost and
/// its share.
fn line(line: &str) -> Option<Stream> {
    let words: Vec<_> = line.split_whitespace().collect();
    let share = words.iter().position(|word| word.ends_with("%)"))?;
    let ssrc = u32::from_str_radix(words.get(6)?.strip_prefix("0x")?, 16).ok()?;
    Some((ssrc, words.get(share - 2)?.parse().ok()?, words.get(share - 1)?.parse().ok()?))
}
