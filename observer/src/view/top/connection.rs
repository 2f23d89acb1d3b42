//! TCP connections in the live view.

use std::cmp::Ordering;

use crate::{
    export::snapshot::Tcp,
    view::{
        grid::{ADDRESS, ARROW_ADDRESS, Cell, Column, SERVICE},
        number::{bytes, decimal, known},
        owner::owner,
        socket,
    },
};

use super::subject::{Fact, Key, Order, Row, Series, Subject, per_second};

/// How a connection changes in a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ConnectionRate {
    /// Bytes that came.
    pub(super) received: f64,
    /// Bytes that were sent, and acknowledged.
    pub(super) sent: f64,
}

fn received(row: &Row<Tcp>) -> Option<f64> {
    row.rate.map(|rate| rate.received)
}

fn sent(row: &Row<Tcp>) -> Option<f64> {
    row.rate.map(|rate| rate.sent)
}

fn speed(value: f64) -> String {
    bytes(value.round() as u64)
}

/// Unknown is least.
fn by(value: fn(&Row<Tcp>) -> Option<f64>, a: &Row<Tcp>, b: &Row<Tcp>) -> Ordering {
    value(a).unwrap_or(-1.0).total_cmp(&value(b).unwrap_or(-1.0))
}

type ConnectionColumn = Column<Row<Tcp>>;

impl Subject for Tcp {
    type Rate = ConnectionRate;

    const NOUN: &'static str = "connection";

    const COLUMNS: &'static [Column<Row<Self>>] = &[
        ConnectionColumn::address("client", ADDRESS, |row| {
            socket::client(&row.subject).to_owned().into()
        }),
        ConnectionColumn::address("→ server", ARROW_ADDRESS, |row| {
            format!("→ {}", socket::server(&row.subject)).into()
        }),
        ConnectionColumn::names("service", 4, SERVICE, |row| {
            known(row.subject.service.clone(), |name| name).into()
        }),
        ConnectionColumn::words("↔", 0, |row| {
            socket::role_letter(&row.subject).to_owned().into()
        }),
        ConnectionColumn::figures("connect ms", 5, |row| {
            known(row.subject.connect_ms, decimal).into()
        }),
        ConnectionColumn::figures("srtt ms", 0, |row| known(row.subject.srtt_ms, decimal).into()),
        ConnectionColumn::figures("min rtt", 3, |row| {
            known(row.subject.min_rtt_ms, decimal).into()
        }),
        ConnectionColumn::figures("retrans", 0, |row| row.subject.retransmits.to_string().into()),
        ConnectionColumn::figures("in/s", 1, |row| known(received(row), speed).into()).at_least(8),
        ConnectionColumn::figures("out/s", 1, |row| known(sent(row), speed).into()).at_least(8),
        ConnectionColumn::figures("in", 6, |row| bytes(row.subject.bytes_in).into()).at_least(8),
        ConnectionColumn::figures("out", 6, |row| bytes(row.subject.bytes_out).into()).at_least(8),
    ];

    const ORDERS: &'static [Order<Self>] = &[
        Order {
            column: "retrans",
            descending: true,
            compare: |a, b| socket::badness(&a.subject, &b.subject),
        },
        Order {
            column: "srtt ms",
            descending: true,
            compare: |a, b| by(|row| row.subject.srtt_ms, a, b),
        },
        Order { column: "in/s", descending: true, compare: |a, b| by(received, a, b) },
        Order { column: "out/s", descending: true, compare: |a, b| by(sent, a, b) },
        Order {
            column: "client",
            descending: false,
            compare: |a, b| a.subject.client.cmp(&b.subject.client),
        },
        Order {
            column: "→ server",
            descending: false,
            compare: |a, b| a.subject.server.cmp(&b.subject.server),
        },
    ];

    const LINGERS: f64 = 0.0;

    const FACT_LINES: u16 = 2;

    const SERIES: &'static [Series<Self>] = &[
        Series { name: "in/s", value: |rate| Some(rate.received), text: speed, height: 1024.0 },
        Series { name: "out/s", value: |rate| Some(rate.sent), text: speed, height: 1024.0 },
    ];

    fn key(&self) -> Key<&str> {
        // Both ends of a connection inside the host are seen, each with its role.
        Key(
            self.client.as_deref().unwrap_or_default(),
            self.server.as_deref().unwrap_or_default(),
            0,
            &self.role,
        )
    }

    fn rate(&self, before: &Self, seconds: f64) -> Option<ConnectionRate> {
        let grew = self.bytes_in >= before.bytes_in && self.bytes_out >= before.bytes_out;
        grew.then(|| ConnectionRate {
            received: per_second(self.bytes_in, before.bytes_in, seconds),
            sent: per_second(self.bytes_out, before.bytes_out, seconds),
        })
    }

    fn words(&self) -> String {
        let owner = owner(self.service.as_deref(), self.process.as_ref()).unwrap_or_default();
        format!("{} {} {} {owner}", socket::client(self), socket::server(self), self.role)
    }

    fn title(&self) -> String {
        let owner = owner(self.service.as_deref(), self.process.as_ref());
        let owner = owner.map_or_else(String::new, |owner| format!(" · {owner}"));
        format!("{} → {}{owner}", socket::client(self), socket::server(self))
    }

    fn facts(row: &Row<Self>) -> Vec<Vec<Fact>> {
        let tcp = &row.subject;
        let text = |text: String| Cell::from(text);
        vec![
            vec![
                ("observed end", text(tcp.role.clone())),
                ("connect ms", text(known(tcp.connect_ms, decimal))),
                ("srtt ms", text(known(tcp.srtt_ms, decimal))),
                ("min rtt ms", text(known(tcp.min_rtt_ms, decimal))),
            ],
            vec![
                ("retransmits", text(tcp.retransmits.to_string())),
                ("received", text(bytes(tcp.bytes_in))),
                ("sent and acknowledged", text(bytes(tcp.bytes_out))),
            ],
        ]
    }
}
