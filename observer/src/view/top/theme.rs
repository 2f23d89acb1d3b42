//! Emphasis, with colour and without.

use ratatui::style::{Color, Modifier, Style};

use crate::view::grade::Grade;

/// How things are set off from each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Theme {
    /// Whether colours are welcome; weight and reversal always are.
    pub(super) colour: bool,
}

impl Theme {
    /// A name that leads.
    pub(super) const fn title(self) -> Style {
        self.hued(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    /// What explains, and may be overlooked.
    pub(super) const fn quiet(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// A value.
    pub(super) const fn value(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// The names of columns.
    pub(super) const fn header(self) -> Style {
        self.hued(Color::Cyan)
    }

    /// What is chosen among others.
    pub(super) const fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// A sparkline.
    pub(super) const fn spark(self) -> Style {
        self.hued(Color::Cyan)
    }

    /// A figure with a mark.
    pub(super) const fn grade(self, grade: Grade) -> Style {
        match grade {
            Grade::Fine => Style::new(),
            Grade::Warning => self.hued(Color::Yellow),
            Grade::Bad => self.hued(Color::Red).add_modifier(Modifier::BOLD),
        }
    }

    const fn hued(self, colour: Color) -> Style {
        if self.colour { Style::new().fg(colour) } else { Style::new() }
    }
}
