//! The screen: totals, tabs, rows, keys.

use std::time::Duration;

use ratatui::{
    Frame,
    layout::{Constraint, Flex, Layout, Rect},
    text::{Line, Span},
};

use crate::view::{
    grade::Grade,
    grid::{self, Cell, Column, GAP, Place},
    number::{decimal, duration, known, percent_down, plural},
};

use super::{
    board::{Board, Tab},
    details, help,
    list::List,
    subject::{Row, Subject},
    theme::Theme,
};

/// The smallest screen with room for some rows, and for the keys on two pages.
const SMALLEST: (u16, u16) = (60, 15);

/// What stands before the selected row.
const POINTER: &str = "▸ ";

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, board: &mut Board, theme: Theme) {
    let area = frame.area();
    board.cramped = area.width < SMALLEST.0 || area.height < SMALLEST.1;
    if board.cramped {
        too_small(frame, area);
        return;
    }
    let [top, totals, losses, tabs, list, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(u16::from(!board.ledger.lost.is_empty())),
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(area);
    top_line(frame, top, board, theme);
    frame.render_widget(totals_line(board, theme, totals.width), totals);
    frame.render_widget(losses_line(board, theme, losses.width), losses);
    tabs_line(frame, tabs, board, theme);
    let look = Look {
        theme,
        details: board.details,
        waiting: board.taken.is_none(),
        filter: board.filter.clone(),
    };
    match board.tab {
        Tab::Voice => list_and_details(frame, list, &mut board.voice, &look),
        Tab::Sockets => list_and_details(frame, list, &mut board.sockets, &look),
    }
    frame.render_widget(keys_line(board, theme, keys.width), keys);
    if let Some(from) = board.help {
        board.more_help = help::draw(frame, area, from, theme);
    }
}

/// What a list needs to know of the board.
struct Look {
    theme: Theme,
    details: bool,
    waiting: bool,
    filter: String,
}

fn too_small(frame: &mut Frame<'_>, area: Rect) {
    let lines = [
        format!("This view needs {} × {} characters.", SMALLEST.0, SMALLEST.1),
        format!("The terminal has {} × {}.", area.width, area.height),
        "Please enlarge it, or press q.".to_owned(),
    ];
    let [middle] = Layout::vertical([Constraint::Length(3)]).flex(Flex::Center).areas(area);
    for (area, line) in middle.rows().zip(lines) {
        frame.render_widget(Line::from(line).centered(), area);
    }
}

fn top_line(frame: &mut Frame<'_>, area: Rect, board: &Board, theme: Theme) {
    let left = vec![
        Span::styled(" observer top", theme.title()),
        Span::raw(format!("  {}", printable(&board.title))),
    ];
    let interval = duration(board.interval.as_secs_f64() * 1e3).replace(".0 s", " s");
    let watching = format!(" every {interval}, for {} ", age(board.now));
    let paused = if board.paused { " PAUSED " } else { "" };
    let right = vec![Span::styled(paused, theme.chosen()), Span::styled(watching, theme.quiet())];
    two_ends(frame, area, left, right);
}

fn totals_line(board: &Board, theme: Theme, room: u16) -> Line<'static> {
    if board.taken.is_none() {
        return Line::styled(" waiting for the first snapshot …", theme.quiet());
    }
    let totals = board.totals();
    let completeness = board.ledger.completeness;
    let grade = if completeness < 1.0 { Grade::Warning } else { Grade::Fine };
    let facts = [
        ("flows", board.flows().to_string().into()),
        ("packets/s", known(totals.packets, decimal).into()),
        ("now %", totals.recent.cell()),
        ("complete %", Cell::graded(&percent_down(completeness), grade)),
        ("sockets", board.sockets.rows().len().to_string().into()),
    ];
    fact_line(facts, theme, room)
}

fn losses_line(board: &Board, theme: Theme, room: u16) -> Line<'static> {
    let lost: Vec<String> = (board.ledger.lost.iter())
        .map(|lost| format!("{}/{} {}", lost.stage, lost.reason, lost.count))
        .collect();
    fact_line([("uncounted", Cell::graded(&lost.join(", "), Grade::Warning))], theme, room)
}

/// Names and figures, one after the other: the first, and as many more as have room.
pub(super) fn fact_line(
    facts: impl IntoIterator<Item = (&'static str, Cell)>,
    theme: Theme,
    room: u16,
) -> Line<'static> {
    let mut line = Line::default();
    for (name, Cell { text, grade }) in facts {
        let style = theme.value().patch(theme.grade(grade));
        let fact = Line::from_iter([
            Span::styled(format!(" {name}"), theme.quiet()),
            Span::raw(if name.is_empty() { "" } else { " " }),
            Span::styled(printable(&text), style),
            Span::raw(" "),
        ]);
        // The space at its end may go.
        if !line.spans.is_empty() && line.width() + fact.width() > usize::from(room) + 1 {
            break;
        }
        line.extend(fact);
    }
    line
}

fn tabs_line(frame: &mut Frame<'_>, area: Rect, board: &Board, theme: Theme) {
    let tab = |tab, key: char, name: &str, rows: usize| {
        let style = if board.tab == tab { theme.chosen() } else { theme.quiet() };
        Span::styled(format!(" {key} {name} {rows} "), style)
    };
    let left = vec![
        Span::raw(" "),
        tab(Tab::Voice, '1', "Voice", board.voice.present()),
        Span::raw(" "),
        tab(Tab::Sockets, '2', "Sockets", board.sockets.rows().len()),
    ];
    let (order, shown) = match board.tab {
        Tab::Voice => (order_text(&board.voice), board.voice.shown()),
        Tab::Sockets => (order_text(&board.sockets), board.sockets.shown()),
    };
    let mut right = vec![Span::styled(format!("{order} "), theme.quiet())];
    if !board.filter.is_empty() {
        let filter = grid::shortened(&printable(&board.filter), 24);
        right.insert(0, Span::raw(format!("{shown} match “{filter}”  ")));
    }
    two_ends(frame, area, left, right);
}

fn order_text<S: Subject>(list: &List<S>) -> String {
    let (order, descending) = list.sorted_by();
    format!("by {} {}", order.column.trim_start_matches("→ "), if descending { "▼" } else { "▲" })
}

fn list_and_details<S: Subject>(
    frame: &mut Frame<'_>,
    area: Rect,
    list: &mut List<S>,
    look: &Look,
) {
    let height = if look.details { details::height::<S>() } else { 0 };
    let [rows, details] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(height)]).areas(area);
    draw_list(frame, rows, list, look);
    if look.details {
        details::draw(frame, details, list.current(), look.theme);
    }
}

fn draw_list<S: Subject>(frame: &mut Frame<'_>, area: Rect, list: &mut List<S>, look: &Look) {
    let [header, body] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let theme = look.theme;
    let sorted = list.sorted_by().0.column;
    let empty = if look.waiting {
        String::new()
    } else if list.rows().is_empty() {
        format!("  No {} seen.", S::NOUN)
    } else {
        format!("  Of {}, none matches “{}”.", plural(list.rows().len(), S::NOUN), look.filter)
    };
    let (rows, cursor) = list.visible(usize::from(body.height));
    if rows.is_empty() {
        frame.render_widget(Line::raw(printable(&empty)), body);
        return;
    }
    let room = usize::from(area.width).saturating_sub(grid::width(POINTER));
    let cells = grid::cells(S::COLUMNS, rows.iter().copied());
    let places = grid::fit(S::COLUMNS, &cells, Some(room));
    frame.render_widget(header_line::<S>(&places, sorted, theme), header);
    for (row, (area, cells)) in body.rows().zip(&cells).enumerate() {
        let mut line = row_line(S::COLUMNS, &places, cells, cursor == Some(row), theme);
        if cursor == Some(row) {
            line = line.style(theme.chosen());
        }
        frame.render_widget(line, area);
    }
}

fn header_line<S: Subject>(places: &[Place], sorted: &str, theme: Theme) -> Line<'static> {
    let mut spans = vec![Span::raw(" ".repeat(grid::width(POINTER)))];
    for Place { column, width } in places {
        let Column { name, numeric, .. } = &S::COLUMNS[*column];
        let style = if *name == sorted { theme.title() } else { theme.header() };
        spans.push(Span::styled(grid::padded(name, *numeric, *width), style));
        spans.push(Span::raw(" ".repeat(GAP)));
    }
    Line::from(spans)
}

fn row_line<S: Subject>(
    columns: &[Column<Row<S>>],
    places: &[Place],
    cells: &[Cell],
    is_selected: bool,
    theme: Theme,
) -> Line<'static> {
    let pointer = if is_selected { POINTER.to_owned() } else { " ".repeat(grid::width(POINTER)) };
    let mut spans = vec![Span::raw(pointer)];
    for Place { column, width } in places {
        let Cell { text, grade } = &cells[*column];
        let text = grid::padded(text, columns[*column].numeric, *width);
        spans.push(Span::styled(text, theme.grade(*grade)));
        spans.push(Span::raw(" ".repeat(GAP)));
    }
    Line::from(spans)
}

fn keys_line(board: &Board, theme: Theme, room: u16) -> Line<'static> {
    if board.typing {
        return Line::from(vec![
            Span::styled(" filter: ", theme.title()),
            Span::raw(format!("{}▏", printable(&board.filter))),
            Span::styled("  Enter keeps it, Esc clears it", theme.quiet()),
        ]);
    }
    if let Some(error) = &board.error {
        let stale = board.taken.map_or_else(String::new, |taken| {
            format!(" Figures are {} old.", age(board.now.saturating_sub(taken)))
        });
        // The first line says already where it should come from.
        let cause = error
            .strip_prefix(&board.title)
            .map_or(error.as_str(), |rest| rest.trim_start_matches(": "));
        let text = format!(" ! Retrying:{stale} {}", printable(cause));
        return Line::styled(text, theme.grade(Grade::Bad));
    }
    let mut keys = vec![
        ("q", "quit"),
        ("Tab", "list"),
        ("s", "sort"),
        ("r", "reverse"),
        ("/", "filter"),
        ("p", if board.paused { "go on" } else { "pause" }),
        ("Enter", "details"),
        ("?", "help"),
    ];
    let width = |(key, does): &(&str, &str)| grid::width(key) + grid::width(does) + 3;
    while keys.len() > 2 && keys.iter().map(width).sum::<usize>() > usize::from(room) + 1 {
        // The last ones go first; help names them all.
        keys.remove(keys.len() - 2);
    }
    let spans = keys.into_iter().flat_map(|(key, does)| {
        [
            Span::styled(format!(" {key}"), theme.value()),
            Span::styled(format!(" {does} "), theme.quiet()),
        ]
    });
    Line::from_iter(spans)
}

/// One text at each end of a line; the right one stays whole.
fn two_ends(
    frame: &mut Frame<'_>,
    area: Rect,
    left: Vec<Span<'static>>,
    right: Vec<Span<'static>>,
) {
    let right = Line::from(right);
    let width = u16::try_from(right.width()).unwrap_or(area.width);
    let [begin, _, end] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Length(1), Constraint::Length(width)])
            .areas(area);
    frame.render_widget(Line::from(left), begin);
    frame.render_widget(right, end);
}

/// Without what a terminal would take for a command.
pub(super) fn printable(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// Time that passed, in whole seconds.
fn age(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds => duration(seconds as f64 * 1e3),
    }
}

#[cfg(test)]
mod tests;
