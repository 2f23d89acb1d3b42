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
    ("1  2  Tab", "voice flows, sockets, the other list"),
    ("↑ ↓  k j", "select a row; the cursor stays with it"),
    ("PgUp PgDn End", "a screen up, a screen down, the last row"),
    ("Home", "the first row, whichever that becomes"),
    ("Enter", "details of the selected row; Esc closes them"),
    ("s  r", "next order, the order turned round"),
    ("/", "filter by words of address, SSRC, codec, direction, role"),
    ("Esc", "clear the filter"),
    ("p  Space", "stand still, go on"),
    ("q  Ctrl-C", "quit"),
];

const NOTES: &[&str] = &[
    LEGEND,
    "↓ the observed process receives, ↑ it transmits",
    "loss %: since the flow began; now %: in the last interval",
    "uncounted: what the observer could not count, by stage and reason",
];

/// Draws it over everything else.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, theme: Theme) {
    let height = (KEYS.len() + NOTES.len() + 3) as u16;
    let [row] = Layout::vertical([Constraint::Length(height)]).flex(Flex::Center).areas(area);
    let [area] = Layout::horizontal([Constraint::Length(80)]).flex(Flex::Center).areas(row);
    let block = Block::bordered()
        .border_style(theme.quiet())
        .title(Line::styled(" Keys ", theme.title()))
        .title_bottom(Line::styled(" any key closes this page ", theme.quiet()).right_aligned());
    let inner = block.inner(area);
    frame.render_widget(Clear, area);
    frame.render_widget(block, area);
    let keys = KEYS.iter().map(|(key, does)| {
        Line::from(vec![Span::styled(format!(" {key:<15}"), theme.value()), Span::raw(*does)])
    });
    let notes = NOTES.iter().map(|note| Line::styled(format!(" {note}"), theme.quiet()));
    for (area, line) in inner.rows().zip(keys.chain([Line::default()]).chain(notes)) {
        frame.render_widget(line, area);
    }
}
