//! A voice flow in words, for both views.

use std::cmp::Ordering;

use crate::export::snapshot::Voice;

use super::{
    grade::Grade,
    grid::Cell,
    number::{UNKNOWN, decimal, known, percent},
};

/// Sequence numbers tell loss only once there are some.
pub(super) fn loss_ratio(flow: &Voice) -> Option<f64> {
    (flow.expected != 0).then_some(flow.loss_ratio)
}

/// Jitter at the end; without a sample of it there is none, and 0 would be a lie.
pub(super) fn jitter_ms(flow: &Voice) -> Option<f64> {
    flow.jitter_mean_ms.map(|_| flow.jitter_ms)
}

/// Most loss, then most jitter.
pub(super) fn badness(a: &Voice, b: &Voice) -> Ordering {
    let jitter = |flow: &Voice| flow.jitter_mean_ms.unwrap_or(flow.jitter_ms);
    a.loss_ratio.total_cmp(&b.loss_ratio).then_with(|| jitter(a).total_cmp(&jitter(b)))
}

/// The SSRC as Wireshark writes it.
pub(super) fn ssrc(flow: &Voice) -> String {
    format!("0x{:08x}", flow.ssrc)
}

/// The encoding and the number it goes by.
pub(super) fn codec(flow: &Voice) -> String {
    format!("{}/{}", flow.codec.as_deref().unwrap_or(UNKNOWN), flow.payload_type)
}

/// Which way, as an arrow.
pub(super) fn arrow(flow: &Voice) -> &'static str {
    match flow.direction.as_deref() {
        Some("receive") => "↓",
        Some("transmit") => "↑",
        _ => UNKNOWN,
    }
}

/// Which way, as an arrow and a word.
pub(super) fn direction(flow: &Voice) -> String {
    flow.direction
        .as_deref()
        .map_or_else(|| UNKNOWN.to_owned(), |word| format!("{} {word}", arrow(flow)))
}

/// A share of lost packets in percent, with its mark.
pub(super) fn loss_cell(ratio: Option<f64>) -> Cell {
    Cell::graded(&known(ratio, percent), ratio.map(Grade::of_loss).unwrap_or_default())
}

/// A jitter, with its mark.
pub(super) fn jitter_cell(ms: Option<f64>) -> Cell {
    Cell::graded(&known(ms, decimal), ms.map(Grade::of_jitter).unwrap_or_default())
}
