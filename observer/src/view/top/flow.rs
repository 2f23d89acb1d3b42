//! Voice flows in the live view.

use std::cmp::Ordering;

use crate::{
    export::snapshot::Voice,
    view::{
        grid::{ADDRESS, ARROW_ADDRESS, Cell, Column, SERVICE},
        number::{UNKNOWN, decimal, duration, known, percent},
        owner::owner,
        voice,
    },
};

use super::subject::{Fact, Key, Order, Row, Series, Subject, per_second};

/// How a flow changes in a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct FlowRate {
    /// Packets that came.
    pub(super) packets: f64,
    /// Packets the sequence numbers call for.
    pub(super) expected: f64,
    /// Packets that did not come.
    pub(super) lost: f64,
    /// Over how many seconds.
    pub(super) seconds: f64,
}

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

fn packet_rate(row: &Row<Voice>) -> Option<f64> {
    row.rate.map(|rate| rate.packets)
}

fn recent(row: &Row<Voice>) -> RecentLoss {
    // Not every row has a history.
    let earlier = row.history.iter().rev().skip(1);
    RecentLoss::of(row.rate.iter().chain(row.rate.and(Some(earlier)).into_iter().flatten()))
}

fn loss_now(row: &Row<Voice>) -> Option<f64> {
    recent(row).ratio()
}

/// Unknown is least.
fn by(value: fn(&Row<Voice>) -> Option<f64>, a: &Row<Voice>, b: &Row<Voice>) -> Ordering {
    value(a).unwrap_or(-1.0).total_cmp(&value(b).unwrap_or(-1.0))
}

type FlowColumn = Column<Row<Voice>>;

impl Subject for Voice {
    type Rate = FlowRate;

    const NOUN: &'static str = "voice flow";

    const COLUMNS: &'static [Column<Row<Self>>] = &[
        FlowColumn::address("source", ADDRESS, |row| row.subject.src.clone().into()),
        FlowColumn::address("→ destination", ARROW_ADDRESS, |row| {
            format!("→ {}", row.subject.dst).into()
        }),
        FlowColumn::names("service", 6, SERVICE, |row| {
            known(row.subject.service.clone(), |name| name).into()
        }),
        FlowColumn::words("↕", 2, |row| voice::arrow(&row.subject).to_owned().into()),
        FlowColumn::words("codec", 5, |row| voice::codec(&row.subject).into()),
        FlowColumn::words("ssrc", 9, |row| voice::ssrc(&row.subject).into()),
        FlowColumn::figures("packets", 7, |row| row.subject.packets.to_string().into()).at_least(8),
        FlowColumn::figures("pkt/s", 1, |row| known(packet_rate(row), decimal).into()),
        FlowColumn::figures("lost", 6, |row| row.subject.lost.to_string().into()).at_least(6),
        FlowColumn::figures("loss %", 0, |row| voice::loss_cell(voice::loss_ratio(&row.subject)))
            .at_least(8),
        FlowColumn::figures("now %", 3, |row| recent(row).cell()).at_least(8),
        FlowColumn::figures("dup", 10, |row| row.subject.duplicates.to_string().into()).at_least(4),
        FlowColumn::figures("reord", 10, |row| row.subject.reordered.to_string().into()),
        FlowColumn::figures("jitter ms", 0, |row| {
            voice::jitter_cell(voice::jitter_ms(&row.subject))
        }),
        FlowColumn::figures("gap ms", 8, |row| known(row.subject.delta_max_ms, decimal).into()),
        FlowColumn::figures("duration", 4, |row| duration(row.subject.duration_ms).into()),
    ];

    const ORDERS: &'static [Order<Self>] = &[
        Order {
            column: "loss %",
            descending: true,
            compare: |a, b| voice::badness(&a.subject, &b.subject),
        },
        Order { column: "now %", descending: true, compare: |a, b| by(loss_now, a, b) },
        Order {
            column: "jitter ms",
            descending: true,
            compare: |a, b| by(|row| voice::jitter_ms(&row.subject), a, b),
        },
        Order { column: "pkt/s", descending: true, compare: |a, b| by(packet_rate, a, b) },
        Order {
            column: "duration",
            descending: true,
            compare: |a, b| a.subject.duration_ms.total_cmp(&b.subject.duration_ms),
        },
        Order {
            column: "source",
            descending: false,
            compare: |a, b| a.subject.src.cmp(&b.subject.src),
        },
    ];

    const FACT_LINES: u16 = 4;

    const SERIES: &'static [Series<Self>] = &[
        Series { name: "packets/s", value: |rate| Some(rate.packets), text: decimal, height: 1.0 },
        Series {
            name: "loss %",
            value: FlowRate::loss_ratio,
            text: percent,
            // One packet of a hundred is the height at which the marks begin.
            height: 0.01,
        },
    ];

    fn key(&self) -> Key<&str> {
        Key(&self.src, &self.dst, self.ssrc, self.direction.as_deref().unwrap_or_default())
    }

    fn rate(&self, before: &Self, seconds: f64) -> Option<FlowRate> {
        (self.packets >= before.packets && self.expected >= before.expected).then(|| FlowRate {
            packets: per_second(self.packets, before.packets, seconds),
            expected: per_second(self.expected, before.expected, seconds),
            // A packet that came late takes back a loss.
            lost: per_second(self.lost, before.lost, seconds),
            seconds,
        })
    }

    fn words(&self) -> String {
        let (ssrc, codec) = (voice::ssrc(self), voice::codec(self));
        let owner = owner(self.service.as_deref(), self.process.as_ref()).unwrap_or_default();
        format!("{} {} {ssrc} {codec} {} {owner}", self.src, self.dst, voice::direction(self))
    }

    fn title(&self) -> String {
        let owner = owner(self.service.as_deref(), self.process.as_ref());
        let owner = owner.map_or_else(String::new, |owner| format!(" · {owner}"));
        format!("{} → {}{owner}", self.src, self.dst)
    }

    fn facts(row: &Row<Self>) -> Vec<Vec<Fact>> {
        let flow = &row.subject;
        let text = |text: String| Cell::from(text);
        vec![
            vec![
                if flow.direction.is_some() {
                    ("", text(voice::direction(flow)))
                } else {
                    ("direction", text(UNKNOWN.to_owned()))
                },
                ("codec", text(voice::codec(flow))),
                ("clock", text(format!("{} Hz", flow.clock_rate))),
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
            ],
            vec![
                ("bursts of loss", text(known(flow.bursts, |count| count.to_string()))),
                ("lost in bursts %", text(known(flow.burst_loss_ratio, percent))),
                ("round trip ms", text(known(flow.rtt_ms, decimal))),
                ("MOS", text(known(flow.mos, |mos| format!("{mos:.2}")))),
            ],
        ]
    }
}
