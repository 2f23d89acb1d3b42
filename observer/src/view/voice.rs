//! A voice flow in words, for both views.

use std::cmp::Ordering;

use crate::export::snapshot::Voice;

use super::{
    grade::{Grade, JITTER_WARNING_MS, LOSS_WARNING, ROUND_TRIP_WARNING_MS},
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

/// Share of the lost packets above which it is bursts or silences that are lost.
const MOSTLY: f64 = 0.5;

/// What is worst about a flow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Trouble {
    /// The cause, in a word.
    pub(super) reason: &'static str,
    /// How bad the flow is, whatever the cause.
    pub(super) grade: Grade,
    /// How many times as much of it there is as a mark begins at.
    severity: f64,
}

impl Trouble {
    /// Of a flow with that loss and jitter; `None` where no figure has a mark.
    pub(super) fn of(flow: &Voice, loss: Option<f64>, jitter_ms: Option<f64>) -> Option<Self> {
        let lost = if silence_ratio(flow) > MOSTLY * flow.loss_ratio {
            "silence"
        } else if flow.burst_loss_ratio.is_some_and(|share| share > MOSTLY) {
            "bursts"
        } else {
            "loss"
        };
        let trouble = |reason, value: Option<f64>, grade: fn(f64) -> Grade, begins: f64| {
            let value = value?;
            Some(Self { reason, grade: grade(value), severity: value / begins })
        };
        let causes = [
            // Who cannot be heard has lost all.
            trouble("one-way", one_way_ratio(flow), Grade::of_loss, LOSS_WARNING),
            trouble(lost, loss, Grade::of_loss, LOSS_WARNING),
            trouble("late", flow.late.map(|late| late.adaptive), Grade::of_loss, LOSS_WARNING),
            trouble("jitter", jitter_ms, Grade::of_jitter, JITTER_WARNING_MS),
            trouble("rtt", flow.rtt_ms, Grade::of_round_trip, ROUND_TRIP_WARNING_MS),
            // What makes it low has a name of its own, unless it is the codec.
            lowest(flow).map(|mos| Self {
                reason: "MOS",
                grade: Grade::of_mos(mos),
                severity: 1.0,
            }),
        ];
        let marked = causes.into_iter().flatten().filter(|one| one.grade != Grade::Fine);
        marked.reduce(|a, b| {
            let worse = if b.severity > a.severity { b } else { a };
            Self { grade: a.grade.max(b.grade), ..worse }
        })
    }

    /// The cause, with the flow's mark.
    pub(super) fn cell(&self) -> Cell {
        Cell::graded(self.reason, self.grade)
    }

    /// Less bad before worse; what has no trouble is least.
    pub(super) fn compare(a: Option<Self>, b: Option<Self>) -> Ordering {
        let rank = |one: Option<Self>| one.map_or((Grade::Fine, 0.0), |it| (it.grade, it.severity));
        let ((a, severity), (b, other)) = (rank(a), rank(b));
        a.cmp(&b).then_with(|| severity.total_cmp(&other))
    }
}

/// Share of its time in which it was silent.
fn silence_ratio(flow: &Voice) -> f64 {
    let known = flow.interruptions.as_ref().filter(|_| flow.duration_ms > 0.0);
    known.map_or(0.0, |known| known.silence_ms / flow.duration_ms)
}

/// Share of its time in which audio went one way; while it does, all.
fn one_way_ratio(flow: &Voice) -> Option<f64> {
    let known = flow.interruptions.as_ref()?;
    if known.current.is_some() {
        return Some(1.0);
    }
    (flow.duration_ms > 0.0).then(|| (known.one_way_ms / flow.duration_ms).min(1.0))
}

/// The score of the whole flow or of its last interval, whichever is lower.
fn lowest(flow: &Voice) -> Option<f64> {
    flow.mos.into_iter().chain(flow.mos_now).reduce(f64::min)
}

/// What is worst about a flow as a whole.
pub(super) fn trouble(flow: &Voice) -> Option<Trouble> {
    Trouble::of(flow, loss_ratio(flow), flow.jitter_mean_ms)
}

/// That, or that there is none; unknown where nothing was to be lost.
pub(super) fn why_cell(flow: &Voice) -> Cell {
    let fine = || if loss_ratio(flow).is_some() { "fine" } else { UNKNOWN }.to_owned().into();
    trouble(flow).map_or_else(fine, |trouble| trouble.cell())
}

/// What a call without media waits for, in words.
pub(super) fn missing(phase: &str) -> &'static str {
    match phase {
        "ice" => "no pair",
        "dtls" => "no DTLS",
        _ => "no media",
    }
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

/// A mean opinion score, with its mark.
pub(super) fn mos_cell(mos: Option<f64>) -> Cell {
    let text = known(mos, |mos| format!("{mos:.2}"));
    Cell::graded(&text, mos.map(Grade::of_mos).unwrap_or_default())
}

/// A round trip, with its mark.
pub(super) fn round_trip_cell(ms: Option<f64>) -> Cell {
    Cell::graded(&known(ms, decimal), ms.map(Grade::of_round_trip).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::snapshot::{Interruptions, Late};

    fn flow(loss_ratio: f64, jitter_ms: f64) -> Voice {
        let (jitter_mean_ms, expected) = (Some(jitter_ms), 1_000);
        Voice { loss_ratio, expected, jitter_ms, jitter_mean_ms, ..Voice::default() }
    }

    fn why(flow: &Voice) -> String {
        why_cell(flow).text
    }

    #[test]
    fn the_reason_is_what_is_farthest_over_its_threshold() {
        assert_eq!(why(&flow(0.005, 20.0)), "fine");
        assert_eq!(why(&Voice::default()), "–");
        assert_eq!(why(&flow(0.02, 31.0)), "! loss");
        assert_eq!(why(&flow(0.02, 90.0)), "! jitter");
        assert_eq!(why(&flow(0.06, 900.0)), "!! jitter", "the mark is the flow's");
        assert_eq!(why(&Voice { rtt_ms: Some(500.0), ..flow(0.0, 0.0) }), "! rtt");
        let late = Some(Late { adaptive: 0.04, ..Late::default() });
        assert_eq!(why(&Voice { late, ..flow(0.02, 0.0) }), "! late");
        let bursts = |share| Voice { burst_loss_ratio: Some(share), ..flow(0.06, 0.0) };
        assert_eq!([0.5, 0.51].map(|share| why(&bursts(share))), ["!! loss", "!! bursts"]);
    }

    #[test]
    fn a_low_score_marks_a_flow_and_is_the_reason_only_without_another() {
        let scored = |mos, flow| Voice { mos: Some(mos), ..flow };
        assert_eq!(why(&scored(4.2, flow(0.0, 0.0))), "fine");
        assert_eq!(why(&scored(3.0, flow(0.0, 0.0))), "!! MOS");
        assert_eq!(why(&scored(3.0, flow(0.0, 31.0))), "!! jitter");
        let bad_now = Voice { mos_now: Some(2.0), ..scored(4.2, flow(0.0, 0.0)) };
        assert_eq!(why(&bad_now), "!! MOS");
    }

    #[test]
    fn silences_are_the_reason_where_most_was_lost_in_them() {
        let silent = |silence_ms| Interruptions { silence: 1, silence_ms, ..Default::default() };
        let flow = |silence_ms| Voice {
            duration_ms: 60_000.0,
            burst_loss_ratio: Some(0.9),
            interruptions: Some(silent(silence_ms)),
            ..flow(0.1, 0.0)
        };
        assert_eq!([2_000.0, 6_000.0].map(|ms| why(&flow(ms))), ["!! bursts", "!! silence"]);
    }

    #[test]
    fn one_way_audio_is_worse_than_what_is_lost_of_it() {
        let one_way = |current: Option<&str>, one_way_ms| Voice {
            duration_ms: 60_000.0,
            interruptions: Some(Interruptions {
                one_way: 1,
                one_way_ms,
                current: current.map(str::to_owned),
                ..Interruptions::default()
            }),
            ..flow(0.02, 0.0)
        };
        assert_eq!(why(&one_way(None, 600.0)), "! loss", "a hundredth of its time");
        assert_eq!(why(&one_way(None, 16_000.0)), "!! one-way");
        assert_eq!(why(&one_way(Some("one_way"), 16_000.0)), "!! one-way");
        let order = Trouble::compare(
            trouble(&one_way(None, 16_000.0)),
            trouble(&one_way(Some("one_way"), 16_000.0)),
        );
        assert_eq!(order, Ordering::Less);
    }

    #[test]
    fn marks_come_before_multiples() {
        let order = |a: &Voice, b: &Voice| Trouble::compare(trouble(a), trouble(b));
        assert_eq!(order(&flow(0.0, 3_000.0), &flow(0.051, 0.0)), Ordering::Less);
        assert_eq!(order(&flow(0.02, 0.0), &flow(0.03, 0.0)), Ordering::Less);
        assert_eq!(order(&flow(0.0, 0.0), &flow(0.0, 31.0)), Ordering::Less);
        assert_eq!(order(&flow(0.0, 0.0), &flow(0.001, 0.0)), Ordering::Equal);
    }
}
