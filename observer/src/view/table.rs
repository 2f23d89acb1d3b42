//! A snapshot as a plain table, for a pipe, a file or one look.

use crate::export::snapshot::{Ledger, Lost, Setup, Snapshot, Tcp, Voice};

use super::{
    grade::{Grade, LEGEND},
    grid::{self, ADDRESS, ARROW_ADDRESS, Cell, Column, GAP, Place},
    number::{bytes, decimal, duration, known, percent, percent_down, plural},
    socket,
    voice::{self, Trouble},
};

/// How a table is to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether ANSI colours are welcome. Nothing is said by colour alone.
    pub colour: bool,
    /// Character cells of a line; columns are left out until they fit. `None`: all of them.
    pub width: Option<u16>,
}

type FlowColumn = Column<Voice>;

const VOICE: &[Column<Voice>] = &[
    FlowColumn::address("source", ADDRESS, |flow| flow.src.clone().into()),
    FlowColumn::address("→ destination", ARROW_ADDRESS, |flow| format!("→ {}", flow.dst).into()),
    FlowColumn::words("ssrc", 7, |flow| voice::ssrc(flow).into()),
    FlowColumn::words("codec/PT", 5, |flow| voice::codec(flow).into()),
    FlowColumn::words("direction", 6, |flow| voice::direction(flow).into()).where_known(),
    FlowColumn::words("why", 1, voice::why_cell),
    FlowColumn::figures("MOS", 2, |flow| voice::mos_cell(flow.mos)).where_known(),
    FlowColumn::figures("packets", 2, |flow| flow.packets.to_string().into()),
    FlowColumn::figures("lost", 3, |flow| flow.lost.to_string().into()),
    FlowColumn::figures("loss %", 0, |flow| voice::loss_cell(voice::loss_ratio(flow))),
    FlowColumn::figures("late %", 5, |flow| voice::loss_cell(flow.late.map(|late| late.adaptive)))
        .where_known(),
    FlowColumn::figures("bursts", 6, |flow| known(flow.bursts, |count| count.to_string()).into())
        .where_known(),
    FlowColumn::figures("in bursts %", 7, |flow| known(flow.burst_loss_ratio, percent).into())
        .where_known(),
    FlowColumn::figures("dup", 9, |flow| flow.duplicates.to_string().into()),
    FlowColumn::figures("reord", 8, |flow| flow.reordered.to_string().into()),
    FlowColumn::figures("jitter ms", 0, |flow| voice::jitter_cell(flow.jitter_mean_ms)),
    FlowColumn::figures("jitter max", 4, |flow| known(flow.jitter_max_ms, decimal).into()),
    FlowColumn::figures("rtt ms", 3, |flow| voice::round_trip_cell(flow.rtt_ms)).where_known(),
    FlowColumn::figures("gap ms", 5, |flow| known(flow.delta_max_ms, decimal).into()),
    FlowColumn::figures("duration", 5, |flow| duration(flow.duration_ms).into()),
];

const SETUP: &[Column<Setup>] = &[
    Column::address("near end", ADDRESS, |setup| setup.local.clone().into()),
    Column::address("↔ far end", ARROW_ADDRESS, |setup| format!("↔ {}", setup.peer).into()),
    Column::words("why", 0, |setup| voice::missing(&setup.phase).to_owned().into()),
    Column::figures("duration", 0, |setup| duration(setup.duration_ms).into()),
];

const TCP: &[Column<Tcp>] = &[
    Column::address("client", ADDRESS, |connection| socket::client(connection).to_owned().into()),
    Column::address("→ server", ARROW_ADDRESS, |connection| {
        format!("→ {}", socket::server(connection)).into()
    }),
    Column::words("role", 4, |connection| connection.role.clone().into()),
    Column::figures("connect ms", 3, |connection| known(connection.connect_ms, decimal).into()),
    Column::figures("srtt ms", 0, |connection| known(connection.srtt_ms, decimal).into()),
    Column::figures("min rtt ms", 2, |connection| known(connection.min_rtt_ms, decimal).into()),
    Column::figures("retrans", 0, |connection| connection.retransmits.to_string().into()),
    Column::figures("in", 1, |connection| bytes(connection.bytes_in).into()),
    Column::figures("out", 1, |connection| bytes(connection.bytes_out).into()),
];

/// The whole snapshot: voice flows and connections, the worst first, and the ledger.
#[must_use]
pub fn render(snapshot: &Snapshot, style: Style) -> String {
    let mut flows: Vec<&Voice> = snapshot.voice.iter().collect();
    flows.sort_by(|a, b| {
        Trouble::compare(voice::trouble(b), voice::trouble(a)).then_with(|| voice::badness(b, a))
    });
    let mut connections: Vec<&Tcp> = snapshot.tcp.iter().collect();
    connections.sort_by(|a, b| socket::badness(b, a));

    let mut page = Page { style, text: String::new() };
    page.section("Voice", "voice flow", VOICE, &flows);
    if !snapshot.setups.is_empty() {
        let mut setups: Vec<&Setup> = snapshot.setups.iter().collect();
        setups.sort_by(|a, b| b.duration_ms.total_cmp(&a.duration_ms));
        page.section("Setting up", "call", SETUP, &setups);
    }
    page.section("TCP", "connection", TCP, &connections);
    page.ledger(&snapshot.ledger);
    page.text
}

struct Page {
    style: Style,
    text: String,
}

impl Page {
    fn section<R>(&mut self, name: &str, noun: &str, columns: &[Column<R>], rows: &[&R]) {
        let cells = grid::cells(columns, rows.iter().copied());
        let places = grid::fit(columns, &cells, self.room());
        if rows.is_empty() {
            self.title(name, &format!("no {noun} seen"));
        } else {
            let order = if rows.len() > 1 { ", worst first" } else { "" };
            self.title(name, &format!("{}{order}", plural(rows.len(), noun)));
            let header: Vec<Cell> =
                columns.iter().map(|column| column.name.to_owned().into()).collect();
            self.row(columns, &places, &header);
            for row in &cells {
                self.row(columns, &places, row);
            }
            if cells.iter().flatten().any(|cell| cell.grade != Grade::Fine) {
                for line in LEGEND {
                    self.line(&grid::shortened(line, self.room().unwrap_or(usize::MAX)));
                }
            }
        }
        self.text.push('\n');
    }

    fn ledger(&mut self, ledger: &Ledger) {
        let complete = format!("{} % complete", percent_down(ledger.completeness));
        if ledger.lost.is_empty() {
            self.title("Ledger", &format!("{complete}, nothing lost"));
            return;
        }
        let lost = |lost: &Lost| format!("{}/{} {}", lost.stage, lost.reason, lost.count);
        let parts: Vec<String> = ledger.lost.iter().map(lost).collect();
        self.title("Ledger", &format!("{complete}, lost by stage and reason:"));
        self.list(&parts);
    }

    /// Parts one after the other, on as many lines as they need.
    fn list(&mut self, parts: &[String]) {
        let room = self.room().unwrap_or(usize::MAX);
        let mut line = String::new();
        for part in parts {
            let part = part.replace(char::is_control, "?");
            if line.is_empty() {
                line = format!("  {part}");
            } else if grid::width(&line) + grid::width(&part) + 3 > room {
                self.line(&format!("{line},"));
                line = format!("  {part}");
            } else {
                line = format!("{line}, {part}");
            }
        }
        self.line(&line);
    }

    fn title(&mut self, name: &str, rest: &str) {
        let line = format!("{name}: {rest}");
        let line = grid::shortened(&line, self.room().unwrap_or(usize::MAX));
        match line.strip_prefix(name) {
            Some(rest) if self.style.colour => {
                self.text.push_str(&format!("\x1b[1m{name}\x1b[0m{rest}\n"));
            }
            _ => self.line(&line),
        }
    }

    fn row<R>(&mut self, columns: &[Column<R>], places: &[Place], cells: &[Cell]) {
        let mut line = String::new();
        for Place { column, width } in places {
            if !line.is_empty() {
                line.push_str(&" ".repeat(GAP));
            }
            let Cell { text, grade } = &cells[*column];
            let text = grid::padded(text, columns[*column].numeric, *width);
            line.push_str(&self.coloured(text, *grade));
        }
        self.line(line.trim_end());
    }

    fn coloured(&self, text: String, grade: Grade) -> String {
        let code = match grade {
            Grade::Fine => return text,
            _ if !self.style.colour => return text,
            Grade::Warning => 33,
            Grade::Bad => 31,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn room(&self) -> Option<usize> {
        self.style.width.map(usize::from)
    }
}

#[cfg(test)]
mod tests;
