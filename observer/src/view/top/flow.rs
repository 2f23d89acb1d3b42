//! Voice flows in the live view.

use std::cmp::Ordering;

use crate::{
    export::snapshot::{Interruptions, Setup, Voice},
    view::{
        grade::{Grade, JITTER_WARNING_MS, LOSS_BAD},
        grid::{Cell, Column, SERVICE},
        number::{UNKNOWN, decimal, duration, known, percent},
        owner::owner,
        voice::{self, Trouble},
    },
};

use super::{
    subject::{Fact, Key, Order, Row, Series, Subject, per_second},
    trend::trend,
};

/// A flow, or a call that has none yet.
pub(super) struct Call {
    /// The flow; without one its ends, its owner and the time it takes.
    pub(super) flow: Voice,
    /// What it waits for, if it has no flow.
    pub(super) waits_for: Option<String>,
}

impl From<Voice> for Call {
    fn from(flow: Voice) -> Self {
        Self { flow, waits_for: None }
    }
}

impl From<Setup> for Call {
    fn from(setup: Setup) -> Self {
        let Setup { local, peer, phase, duration_ms, service, process } = setup;
        let (src, dst) = (local, peer);
        let flow = Voice { src, dst, duration_ms, service, process, ..Voice::default() };
        Self { flow, waits_for: Some(phase) }
    }
}

impl Call {
    /// What only a flow has.
    fn of_flow(&self, text: fn(&Voice) -> String) -> String {
        if self.waits_for.is_none() { text(&self.flow) } else { UNKNOWN.to_owned() }
    }

    /// An arrow between the ends.
    fn between(&self) -> &'static str {
        if self.waits_for.is_none() { "→" } else { "↔" }
    }
}

/// How a flow changes in a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct FlowRate {
    /// Packets that came.
    pub(super) packets: f64,
    /// Packets the sequence numbers call for.
    pub(super) expected: f64,
    /// Packets that did not come.
    pub(super) lost: f64,
    /// Jitter at the end, if packets came.
    pub(super) jitter_ms: Option<f64>,
    /// Over how many seconds.
    pub(super) seconds: f64,
}

/// Width down to which addresses give way to what is said of the flow: most of IPv4 and its
/// port.
const LEGIBLE: usize = 19;

/// Seconds without a packet after which a flow is silent: a pause within speech, in which a
/// codec sends nothing, is shorter.
const SILENCE: f64 = 2.0;

/// Loss over the last intervals: as many of them as a judgement needs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct RecentLoss {
    expected: f64,
    lost: f64,
    seconds: f64,
}

impl RecentLoss {
    /// Packets of which one may be lost without a mark, and the seconds that must do where
    /// there are fewer.
    const ENOUGH: (f64, f64) = (100.0, 10.0);
    /// What the products of rates and times may lack of the sums they stand for.
    const ROUNDING: f64 = 1e-6;

    /// Of rates, the newest first.
    pub(super) fn of<'a>(newest_first: impl IntoIterator<Item = &'a FlowRate>) -> Self {
        let mut recent = Self::default();
        for rate in newest_first {
            if recent.is_enough() {
                break;
            }
            recent.expected += rate.expected * rate.seconds;
            recent.lost += rate.lost * rate.seconds;
            recent.seconds += rate.seconds;
        }
        recent
    }

    /// Share of packets lost, where any were due.
    pub(super) fn ratio(&self) -> Option<f64> {
        (self.expected > 0.0).then(|| (self.lost / self.expected).min(1.0))
    }

    /// In percent, with a mark if there is enough to judge.
    pub(super) fn cell(&self) -> Cell {
        let cell = voice::loss_cell(self.ratio());
        if self.is_enough() { cell } else { known(self.ratio(), percent).into() }
    }

    /// Share of packets lost, if there were enough to judge.
    fn judged(&self) -> Option<f64> {
        self.ratio().filter(|_| self.is_enough())
    }

    fn is_enough(&self) -> bool {
        let (packets, seconds) = Self::ENOUGH;
        self.expected >= packets - Self::ROUNDING || self.seconds >= seconds - Self::ROUNDING
    }
}

impl FlowRate {
    /// Share of packets lost, where any were due.
    pub(super) fn loss_ratio(&self) -> Option<f64> {
        (self.expected > 0.0).then(|| (self.lost / self.expected).min(1.0))
    }
}

fn packet_rate(row: &Row<Call>) -> Option<f64> {
    row.rate.map(|rate| rate.packets)
}

fn recent(row: &Row<Call>) -> RecentLoss {
    // Not every row has a history.
    let earlier = row.history.iter().rev().skip(1);
    RecentLoss::of(row.rate.iter().chain(row.rate.and(Some(earlier)).into_iter().flatten()))
}

fn loss_now(row: &Row<Call>) -> Option<f64> {
    recent(row).ratio()
}

/// What is worst about it, as a whole or of late.
fn trouble(row: &Row<Call>) -> Option<Trouble> {
    let (whole, late) = (voice::loss_ratio(&row.subject.flow), recent(row).judged());
    let loss = whole.into_iter().chain(late).reduce(f64::max);
    Trouble::of(&row.subject.flow, loss, voice::jitter_ms(&row.subject.flow))
}

/// For how many seconds no packet has come, if it is long enough to say so.
fn silence(row: &Row<Call>) -> Option<f64> {
    let without = |rate: &&FlowRate| rate.packets == 0.0;
    let earlier = row.history.iter().rev().skip(1);
    let rates = row.rate.iter().chain(row.rate.and(Some(earlier)).into_iter().flatten());
    let seconds: f64 = rates.take_while(without).map(|rate| rate.seconds).sum();
    (seconds >= SILENCE).then_some(seconds)
}

fn why_cell(row: &Row<Call>) -> Cell {
    if let Some(phase) = &row.subject.waits_for {
        return voice::missing(phase).to_owned().into();
    }
    match trouble(row) {
        Some(trouble) => trouble.cell(),
        None if row.gone.is_none() && silence(row).is_some() => "silence".to_owned().into(),
        None => voice::why_cell(&row.subject.flow),
    }
}

fn phase(row: &Row<Call>) -> String {
    if row.gone.is_some() {
        return "ended".to_owned();
    }
    if row.subject.waits_for.is_some() {
        return "setting up".to_owned();
    }
    match (silence(row), row.rate) {
        (Some(seconds), _) => {
            format!("silent {}", duration(seconds.round() * 1e3).replace(".0 s", " s"))
        }
        (None, Some(_)) => "talking".to_owned(),
        (None, None) => UNKNOWN.to_owned(),
    }
}

/// The worst of a trend has its colour, as its height says it.
fn trend_cell(
    row: &Row<Call>,
    value: fn(&FlowRate) -> Option<f64>,
    full: f64,
    grade: fn(f64) -> Grade,
) -> Cell {
    let newest_first = || row.history.iter().rev().map(value);
    let text = trend(newest_first(), full);
    let shown = newest_first().take(text.chars().count());
    let worst = shown.flatten().map(grade).max().unwrap_or_default();
    Cell { text, grade: worst }
}

/// What has trouble, then what is silent or not heard yet, then the rest.
fn worse(a: &Row<Call>, b: &Row<Call>) -> Ordering {
    let is_quiet = |row: &Row<Call>| row.subject.waits_for.is_some() || silence(row).is_some();
    Trouble::compare(trouble(a), trouble(b))
        .then_with(|| is_quiet(a).cmp(&is_quiet(b)))
        .then_with(|| voice::badness(&a.subject.flow, &b.subject.flow))
}

/// How often it was interrupted and for how long, by reason.
fn interruptions(flow: &Voice) -> Vec<Fact> {
    let known = flow.interruptions.as_ref();
    let count = |of: fn(&Interruptions) -> u64| known.map(of).map(|count| count.to_string());
    let time = |of: fn(&Interruptions) -> f64| known.map(of).map(duration);
    let cell = |text: Option<String>| Cell::from(text.unwrap_or_else(|| UNKNOWN.to_owned()));
    vec![
        ("silences", cell(count(|known| known.silence))),
        ("in all", cell(time(|known| known.silence_ms))),
        ("one-way", cell(count(|known| known.one_way))),
        ("in all", cell(time(|known| known.one_way_ms))),
    ]
}

/// Unknown is least.
fn by(value: fn(&Row<Call>) -> Option<f64>, a: &Row<Call>, b: &Row<Call>) -> Ordering {
    value(a).unwrap_or(-1.0).total_cmp(&value(b).unwrap_or(-1.0))
}

type FlowColumn = Column<Row<Call>>;

impl Subject for Call {
    type Rate = FlowRate;

    const NOUN: &'static str = "voice flow";

    const COLUMNS: &'static [Column<Row<Self>>] = &[
        FlowColumn::address("source", LEGIBLE, |row| row.subject.flow.src.clone().into()),
        FlowColumn::address("→ destination", 2 + LEGIBLE, |row| {
            format!("{} {}", row.subject.between(), row.subject.flow.dst).into()
        }),
        FlowColumn::names("service", 7, SERVICE, |row| {
            known(row.subject.flow.service.clone(), |name| name).into()
        })
        .where_known(),
        FlowColumn::words("↕", 1, |row| voice::arrow(&row.subject.flow).to_owned().into()),
        FlowColumn::words("phase", 6, |row| phase(row).into()).at_least(7),
        FlowColumn::words("why", 0, why_cell).at_least(7),
        FlowColumn::figures("MOS", 2, |row| voice::mos_cell(row.subject.flow.mos)).where_known(),
        FlowColumn::figures("loss %", 0, |row| {
            voice::loss_cell(voice::loss_ratio(&row.subject.flow))
        })
        .at_least(8),
        FlowColumn::words("loss trend", 2, |row| {
            trend_cell(row, FlowRate::loss_ratio, LOSS_BAD, Grade::of_loss)
        }),
        FlowColumn::figures("now %", 9, |row| recent(row).cell()).at_least(8),
        FlowColumn::figures("jitter ms", 3, |row| {
            voice::jitter_cell(voice::jitter_ms(&row.subject.flow))
        }),
        FlowColumn::words("jitter trend", 4, |row| {
            trend_cell(row, |rate| rate.jitter_ms, JITTER_WARNING_MS, Grade::of_jitter)
        }),
        FlowColumn::figures("rtt ms", 5, |row| voice::round_trip_cell(row.subject.flow.rtt_ms))
            .where_known(),
        FlowColumn::figures("pkt/s", 8, |row| known(packet_rate(row), decimal).into()),
        FlowColumn::words("codec", 10, |row| row.subject.of_flow(voice::codec).into()),
        FlowColumn::figures("duration", 8, |row| duration(row.subject.flow.duration_ms).into()),
        FlowColumn::figures("packets", 12, |row| row.subject.flow.packets.to_string().into())
            .at_least(8),
        FlowColumn::figures("lost", 11, |row| row.subject.flow.lost.to_string().into()).at_least(6),
        FlowColumn::figures("dup", 15, |row| row.subject.flow.duplicates.to_string().into())
            .at_least(4),
        FlowColumn::figures("reord", 15, |row| row.subject.flow.reordered.to_string().into()),
        FlowColumn::figures("gap ms", 13, |row| {
            known(row.subject.flow.delta_max_ms, decimal).into()
        }),
        FlowColumn::words("ssrc", 14, |row| row.subject.of_flow(voice::ssrc).into()),
    ];

    const ORDERS: &'static [Order<Self>] = &[
        Order { column: "why", descending: true, compare: worse },
        Order {
            column: "loss %",
            descending: true,
            compare: |a, b| voice::badness(&a.subject.flow, &b.subject.flow),
        },
        Order { column: "now %", descending: true, compare: |a, b| by(loss_now, a, b) },
        Order {
            column: "jitter ms",
            descending: true,
            compare: |a, b| by(|row| voice::jitter_ms(&row.subject.flow), a, b),
        },
        Order {
            column: "MOS",
            descending: false,
            compare: |a, b| {
                let mos = |row: &Row<Self>| row.subject.flow.mos.unwrap_or(f64::INFINITY);
                mos(a).total_cmp(&mos(b))
            },
        },
        Order { column: "pkt/s", descending: true, compare: |a, b| by(packet_rate, a, b) },
        Order {
            column: "duration",
            descending: true,
            compare: |a, b| a.subject.flow.duration_ms.total_cmp(&b.subject.flow.duration_ms),
        },
        Order {
            column: "source",
            descending: false,
            compare: |a, b| a.subject.flow.src.cmp(&b.subject.flow.src),
        },
    ];

    const LINGERS: f64 = 30.0;

    const FACT_LINES: u16 = 5;

    const SERIES: &'static [Series<Self>] = &[
        Series { name: "packets/s", value: |rate| Some(rate.packets), text: decimal, height: 1.0 },
        Series {
            name: "loss %",
            value: FlowRate::loss_ratio,
            text: percent,
            // One packet of a hundred is the height at which the marks begin.
            height: 0.01,
        },
        Series {
            name: "jitter ms",
            value: |rate| rate.jitter_ms,
            text: decimal,
            height: JITTER_WARNING_MS,
        },
    ];

    fn key(&self) -> Key<&str> {
        let Voice { src, dst, ssrc, direction, .. } = &self.flow;
        let direction = direction.as_deref().unwrap_or_default();
        Key(src, dst, *ssrc, if self.waits_for.is_none() { direction } else { "setting up" })
    }

    fn rate(&self, before: &Self, seconds: f64) -> Option<FlowRate> {
        let (flow, before) = (&self.flow, &before.flow);
        (flow.packets >= before.packets && flow.expected >= before.expected).then(|| FlowRate {
            packets: per_second(flow.packets, before.packets, seconds),
            expected: per_second(flow.expected, before.expected, seconds),
            // A packet that came late takes back a loss.
            lost: per_second(flow.lost, before.lost, seconds),
            jitter_ms: voice::jitter_ms(flow).filter(|_| flow.packets > before.packets),
            seconds,
        })
    }

    fn lingers(&self) -> bool {
        // It goes on as a flow.
        self.waits_for.is_none()
    }

    fn words(&self) -> String {
        let Voice { src, dst, service, process, .. } = &self.flow;
        let owner = owner(service.as_deref(), process.as_ref()).unwrap_or_default();
        if self.waits_for.is_some() {
            return format!("{src} {dst} setting up {owner}");
        }
        let (ssrc, codec) = (voice::ssrc(&self.flow), voice::codec(&self.flow));
        format!("{src} {dst} {ssrc} {codec} {} {owner}", voice::direction(&self.flow))
    }

    fn title(&self) -> String {
        let Voice { src, dst, service, process, .. } = &self.flow;
        let owner = owner(service.as_deref(), process.as_ref());
        let owner = owner.map_or_else(String::new, |owner| format!(" · {owner}"));
        format!("{src} {} {dst}{owner}", self.between())
    }

    fn facts(row: &Row<Self>) -> Vec<Vec<Fact>> {
        let flow = &row.subject.flow;
        let text = |text: String| Cell::from(text);
        if row.subject.waits_for.is_some() {
            let time = ("for", text(duration(flow.duration_ms)));
            return vec![vec![("", text(phase(row))), ("", why_cell(row)), time]];
        }
        vec![
            vec![
                if flow.direction.is_some() {
                    ("", text(voice::direction(flow)))
                } else {
                    ("direction", text(UNKNOWN.to_owned()))
                },
                ("", text(phase(row))),
                ("", why_cell(row)),
                ("codec", text(voice::codec(flow))),
                ("ssrc", text(voice::ssrc(flow))),
                ("for", text(duration(flow.duration_ms))),
            ],
            vec![
                ("packets", text(flow.packets.to_string())),
                ("expected", text(flow.expected.to_string())),
                ("lost", text(flow.lost.to_string())),
                ("loss %", voice::loss_cell(voice::loss_ratio(flow))),
                ("dup", text(flow.duplicates.to_string())),
                ("reordered", text(flow.reordered.to_string())),
            ],
            vec![
                ("jitter ms", voice::jitter_cell(voice::jitter_ms(flow))),
                ("mean", voice::jitter_cell(flow.jitter_mean_ms)),
                ("max", text(known(flow.jitter_max_ms, decimal))),
                ("longest gap ms", text(known(flow.delta_max_ms, decimal))),
                ("clock", text(format!("{} Hz", flow.clock_rate))),
                ("over", text(flow.transport.to_uppercase())),
            ],
            vec![
                ("bursts", text(known(flow.bursts, |count| count.to_string()))),
                ("in bursts %", text(known(flow.burst_loss_ratio, percent))),
                ("late %", voice::loss_cell(flow.late.map(|late| late.adaptive))),
                ("round trip ms", voice::round_trip_cell(flow.rtt_ms)),
                ("MOS", voice::mos_cell(flow.mos)),
                ("now", voice::mos_cell(flow.mos_now)),
            ],
            interruptions(flow),
        ]
    }
}
