//! What came of a call, for people and for programs.

use std::{fmt, time::Duration};

use serde::Serialize;

use super::{Plan, figures::Figures, histogram::Histogram};

/// Bots of whom each has a line; of more, only those with whom something is wrong.
const LINES: usize = 20;

/// How late bots may be without a word about it: one frame.
const LATE: Duration = Duration::from_millis(20);

/// What came of a call.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Voice channels.
    pub rooms: usize,
    /// How long it took.
    pub seconds: f64,
    /// Whether all heard what was sent to them.
    pub is_well: bool,
    /// Of all bots.
    pub total: Figures,
    /// Of each.
    pub bots: Vec<BotReport>,
}

/// What came of one bot.
#[derive(Clone, Debug, Serialize)]
pub struct BotReport {
    /// Of the account.
    pub name: String,
    /// The voice channel.
    pub room: i64,
    /// Whether it talks.
    pub talks: bool,
    /// What came of it.
    #[serde(flatten)]
    pub figures: Figures,
}

/// How a table looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As text alone.
    Plain,
    /// With colours of a terminal.
    Coloured,
}

/// A report as a table.
struct Table<'a> {
    report: &'a Report,
    style: Style,
}

impl Report {
    pub(super) fn new(plan: &Plan, took: Duration, bots: Vec<BotReport>) -> Self {
        let mut total = Figures::default();
        for bot in &bots {
            total.add(&bot.figures);
        }
        let seconds = (took.as_secs_f64() * 1e3).round() / 1e3;
        Self { rooms: plan.rooms, seconds, is_well: total.is_well(), total, bots }
    }

    /// Whether all heard what was sent to them.
    #[must_use]
    pub const fn is_well(&self) -> bool {
        self.is_well
    }

    /// For people.
    #[must_use]
    pub fn table(&self, style: Style) -> impl fmt::Display {
        Table { report: self, style }
    }
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { total, bots, .. } = self.report;
        self.head(to)?;
        let has_few = bots.len() <= LINES;
        for bot in bots.iter().filter(|bot| has_few || !bot.figures.is_well()) {
            self.line(to, &bot.name, &bot.room.to_string(), &bot.figures)?;
        }
        self.line(to, &format!("{} bots", bots.len()), "", total)?;
        writeln!(to)?;
        for (count, what) in [
            (total.sent_dropped, "packets dropped on purpose when sent"),
            (total.received_dropped, "packets dropped on purpose when received"),
            (total.tally.lost_on_purpose, "of those lost were dropped on purpose"),
        ] {
            self.note(to, count, what, "")?;
        }
        for (count, what) in [
            (total.tally.lost - total.tally.lost_on_purpose, "packets lost on the way"),
            (total.unheard, "packets sent to somebody who heard nothing of that stream any more"),
            (total.streams_missed, "streams of which nothing was heard"),
            (total.misdelivered, "packets of oneself, of another room, or of somebody who left"),
            (total.unreadable, "packets that could not be read"),
            (total.tally.stray, "packets with numbers far off"),
        ] {
            self.note(to, count, what, RED)?;
        }
        for (reason, times) in &total.joins.failed {
            self.note(to, *times, &format!("failed to join: {reason}"), RED)?;
        }
        for (reason, times) in &total.joins.ended {
            self.note(to, *times, &format!("could not stay: {reason}"), RED)?;
        }
        if let Some(lag) = total.lags.max().filter(|lag| *lag >= LATE) {
            let ms = lag.as_millis();
            let words = format!(
                "{ms:>9}  ms that a bot was late itself: see jitter and delay with that in mind"
            );
            writeln!(to, "{words}")?;
        }
        let (words, colour) = match self.report.is_well {
            true => ("all heard what was sent to them", GREEN),
            false => ("not all heard what was sent to them", RED),
        };
        write!(to, "{}", self.coloured(words, colour))
    }
}

const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const RESET: &str = "\x1b[0m";

impl Table<'_> {
    fn head(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = format!(
            "{:<18} {:>5} {:>8} {:>9} {:>7} {:>5} {:>5} {:>13} {:>19} {:>7} {:>13} {:>7}",
            "bot",
            "room",
            "sent",
            "received",
            "lost",
            "twice",
            "late",
            "jitter ms",
            "delay ms",
            "joined",
            "join ms",
            "streams"
        );
        writeln!(to, "{}", self.coloured(&names, BOLD))?;
        let parts = format!(
            "{:<18} {:>5} {:>8} {:>9} {:>7} {:>5} {:>5} {:>13} {:>19} {:>7} {:>13} {:>7}",
            "", "", "", "", "", "", "", "mean/max", "p50/p99/max", "", "p50/p99", ""
        );
        writeln!(to, "{}", parts.trim_end())
    }

    fn line(
        &self,
        to: &mut fmt::Formatter<'_>,
        name: &str,
        room: &str,
        of: &Figures,
    ) -> fmt::Result {
        let jitter = of.jitter_mean_ms().map_or_else(
            || "-".to_owned(),
            |mean| format!("{mean:.1}/{:.1}", of.tally.jitter_max_ms),
        );
        let joined = format!("{}/{}", of.joins.joined, of.joins.tried);
        let text = format!(
            "{name:<18} {room:>5} {:>8} {:>9} {:>7} {:>5} {:>5} {jitter:>13} {:>19} {joined:>7} {:>13} {:>7}",
            of.sent,
            of.tally.received,
            of.tally.lost,
            of.tally.duplicates,
            of.tally.reordered,
            spread(&of.delays, &[0.5, 0.99, 1.0], 1),
            spread(&of.joins.durations, &[0.5, 0.99], 0),
            of.streams_heard,
        );
        let colour = if of.is_well() { "" } else { RED };
        writeln!(to, "{}", self.coloured(&text, colour))
    }

    /// A count, where there is something to count.
    fn note(
        &self,
        to: &mut fmt::Formatter<'_>,
        count: u64,
        what: &str,
        colour: &str,
    ) -> fmt::Result {
        if count == 0 {
            return Ok(());
        }
        writeln!(to, "{}", self.coloured(&format!("{count:>9}  {what}"), colour))
    }

    fn coloured(&self, text: &str, colour: &str) -> String {
        match self.style {
            Style::Coloured if !colour.is_empty() => format!("{colour}{text}{RESET}"),
            _ => text.to_owned(),
        }
    }
}

/// Quantiles in ms.
fn spread(histogram: &Histogram, shares: &[f64], decimals: usize) -> String {
    let ms = |share: &f64| Some(histogram.quantile(*share)?.as_secs_f64() * 1e3);
    let told: Option<Vec<String>> =
        shares.iter().map(|share| Some(format!("{:.decimals$}", ms(share)?))).collect();
    told.map_or_else(|| "-".to_owned(), |told| told.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{Loss, Tally};

    fn report(lost: u64) -> Report {
        let plan = Plan {
            host: String::new(),
            bots: 2,
            rooms: 1,
            speakers: None,
            time: Duration::from_secs(1),
            churn: None,
            loss: Loss::default(),
            slots: 1,
            name: String::new(),
        };
        let mut figures = Figures { sent: 10, ..Figures::default() };
        figures.tally = Tally { received: 9, expected: 10, lost, ..Tally::default() };
        figures.delays.add(Duration::from_micros(2_500));
        figures.joins.tried = 1;
        figures.joins.joined = 1;
        let bot = |name: &str| BotReport {
            name: name.to_owned(),
            room: 3,
            talks: true,
            figures: figures.clone(),
        };
        Report::new(&plan, Duration::from_millis(1_234), vec![bot("a"), bot("b")])
    }

    #[test]
    fn programs_get_numbers_and_null_for_what_is_unknown() {
        let json = serde_json::to_value(report(1)).unwrap();
        assert_eq!(json["seconds"], 1.234);
        assert_eq!(json["is_well"], false);
        assert_eq!(json["total"]["sent"], 20);
        assert_eq!(json["total"]["lost"], 2);
        assert_eq!(json["bots"][0]["delay_ms"]["max"], 2.5);
        assert_eq!(json["bots"][1]["name"], "b");
        assert_eq!(json["total"]["joins"]["tried"], 2);
        assert!(json["total"]["jitter_ms"].is_null());
        assert!(json["total"]["joins"]["duration_ms"].is_null());
    }

    #[test]
    fn people_get_a_table_with_colours_only_where_they_are_welcome() {
        let plain = report(0).table(Style::Plain).to_string();
        assert!(plain.ends_with("\nall heard what was sent to them"), "{plain}");
        assert!(!plain.contains('\x1b'));
        assert!(plain.contains("2.5/2.5/2.5"), "{plain}");
        let coloured = report(1).table(Style::Coloured).to_string();
        assert!(
            coloured.contains("\x1b[31m        2  packets lost on the way\x1b[0m"),
            "{coloured}"
        );
    }

    #[test]
    fn of_many_bots_only_those_in_trouble_have_a_line() {
        let mut many = report(0);
        many.bots = (0..30)
            .map(|number| BotReport { name: format!("bot-{number}"), ..many.bots[0].clone() })
            .collect();
        many.bots[17].figures.unheard = 1;
        let table = many.table(Style::Plain).to_string();
        assert!(table.contains("bot-17 ") && !table.contains("bot-16 "), "{table}");
    }
}
