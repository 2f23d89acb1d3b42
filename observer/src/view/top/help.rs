//! What the keys do, and what the marks mean.

use ratatui::{
    Frame,
    layout::{Constraint, Flex, Layout, Rect},
    text::{Line, Span},
    widgets::{Block, Clear},
};

use crate::view::grade::LEGEND;

use super::theme::Theme;

const KEYS: &[(&str, &str)] = &[
    ("1  2", "voice flows, sockets"),
    ("Tab Shift-Tab", "the other list"),
    ("↑ ↓  k j", "select a row; the cursor stays with it"),
    ("PgUp PgDn", "a screen up, a screen down"),
    ("Home End  g G", "the first row, whichever that becomes; the last row"),
    ("Enter", "details of the row; Esc closes them"),
    ("s  r", "next order, the order turned round"),
    ("/", "filter: address, SSRC, codec, role"),
    ("Esc", "clear the filter"),
    ("p  Space", "stand still, go on"),
    ("?  h", "this page"),
    ("q  Ctrl-C", "quit"),
];

const NOTES: &[&str] = &[
    LEGEND[0],
    LEGEND[1],
    "↕: ↓ received, ↑ transmitted; ↔: C the observed end connected, S it accepted",
    "why: what is farthest over its threshold; silent: no packet for 2 s",
    "one-way: there is audio in the other direction, and none in this one",
    "loss %: since the flow began; now %: of the last 100 packets, or 10 s",
    "trends: the newest at the right; full at 5 % of loss, at 30 ms of jitter",
    "uncounted: what could not be counted, by stage and reason",
];

/// Draws it over everything else, beginning with line `from`. Returns the first line that
/// found no room.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, from: usize, theme: Theme) -> Option<usize> {
    let keys = KEYS.iter().map(|(key, does)| {
        Line::from(vec![Span::styled(format!(" {key:<15}"), theme.value()), Span::raw(*does)])
    });
    let notes = NOTES.iter().map(|note| Line::styled(format!(" {note}"), theme.quiet()));
    let lines: Vec<_> = keys.chain([Line::default()]).chain(notes).collect();
    let height = (lines.len() + 2) as u16;
    let [row] = Layout::vertical([Constraint::Length(height)]).flex(Flex::Center).areas(area);
    let [area] = Layout::horizontal([Constraint::Length(80)]).flex(Flex::Center).areas(row);
    let end = from + usize::from(area.height.saturating_sub(2));
    let more = (end < lines.len()).then_some(end);
    let next = if more.is_some() { " any key: more " } else { " any key closes this page " };
    let block = Block::bordered()
        .border_style(theme.quiet())
        .title(Line::styled(" Keys ", theme.title()))
        .title_bottom(Line::styled(next, theme.quiet()).right_aligned());
    let inner = block.inner(area);
    frame.render_widget(Clear, area);
    frame.render_widget(block, area);
    for (area, line) in inner.rows().zip(lines.into_iter().skip(from)) {
        frame.render_widget(line, area);
    }
    more
}
