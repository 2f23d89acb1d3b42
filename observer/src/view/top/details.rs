//! One row in full, with its last minutes.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    text::Line,
    widgets::{Block, RenderDirection, Sparkline},
};

use crate::view::{grid::padded, number::known};

use super::{
    page::{fact_line, printable},
    subject::{Row, Series, Subject},
    theme::Theme,
};

/// Character cells for the name of a series, and for its figures.
const NAME: u16 = 12;
const FIGURES: u16 = 30;

/// A sparkline draws whole numbers: its height in them.
const STEPS: f64 = 1e6;

/// Lines that the details take, frame and all.
pub(super) fn height<S: Subject>() -> u16 {
    S::FACT_LINES + S::SERIES.len() as u16 + 2
}

/// Draws the row that is selected, or says that it is gone.
pub(super) fn draw<S: Subject>(
    frame: &mut Frame<'_>,
    area: Rect,
    row: Option<&Row<S>>,
    theme: Theme,
) {
    let title = row.map_or_else(String::new, |row| printable(&row.subject.title()));
    let block = Block::bordered().border_style(theme.quiet());
    let inner = block.inner(area);
    let title = if title.is_empty() { title } else { format!(" {title} ") };
    frame.render_widget(block.title(Line::styled(title, theme.title())), area);
    let Some(row) = row else {
        let text = format!(" No {} is selected.", S::NOUN);
        frame.render_widget(Line::raw(text), inner);
        return;
    };
    let series = S::SERIES;
    let [above, below] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(series.len() as u16)])
            .areas(inner);
    for (area, facts) in above.rows().zip(S::facts(row)) {
        frame.render_widget(fact_line(facts, theme, area.width), area);
    }
    for (area, series) in below.rows().zip(series) {
        draw_series(frame, area, row, series, theme);
    }
}

fn draw_series<S: Subject>(
    frame: &mut Frame<'_>,
    area: Rect,
    row: &Row<S>,
    series: &Series<S>,
    theme: Theme,
) {
    let [name, spark, figures] = Layout::horizontal([
        Constraint::Length(NAME),
        Constraint::Fill(1),
        Constraint::Length(FIGURES),
    ])
    .areas(area);
    frame.render_widget(Line::styled(format!(" {}", series.name), theme.quiet()), name);
    let shown: Vec<Option<f64>> =
        row.history.iter().rev().take(usize::from(spark.width)).map(series.value).collect();
    let peak = shown.iter().flatten().copied().reduce(f64::max);
    let height = peak.unwrap_or_default().max(series.height);
    let step = |value: f64| (value / height * STEPS).round() as u64;
    let line = Sparkline::default()
        .data(shown.iter().map(|value| value.map(step)))
        .max(STEPS as u64)
        .direction(RenderDirection::RightToLeft)
        .style(theme.spark());
    frame.render_widget(line, spark);
    let last = row.rate.as_ref().and_then(series.value);
    let text = format!(
        "  now {} peak {}",
        padded(&known(last, series.text), false, 9),
        known(peak, series.text)
    );
    frame.render_widget(Line::raw(text), figures);
}
