//! Logs, on standard error.

use std::{
    collections::VecDeque,
    io::{self, IsTerminal as _},
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context as _, anyhow};
use tracing_subscriber::{EnvFilter, filter::LevelFilter, fmt, reload};

use super::{Failure, is_colour_welcome};

/// Lines that wait: with one a minute, most of a day.
const HELD_LINES: usize = 1_000;

/// `None` while lines go out at once. There is one, as there is one standard error.
static HELD: Mutex<Option<Held>> = Mutex::new(None);

/// The filter in force, which can be replaced.
pub(super) struct Filter {
    verbose: u8,
    replace: Box<dyn Fn(EnvFilter) -> Result<(), reload::Error>>,
}

impl Filter {
    /// The level of `-v`, unless `filter` says otherwise.
    pub(super) fn parse(&self, filter: Option<&str>) -> anyhow::Result<EnvFilter> {
        parse(self.verbose, filter)
    }

    /// From here on `filter` is in force.
    pub(super) fn set(&self, filter: EnvFilter) -> anyhow::Result<()> {
        (self.replace)(filter).context("cannot replace the log filter")?;
        // The crate `log`, through which the kernel programs speak, has a level of its own.
        if let Ok(level) = LevelFilter::current().to_string().parse() {
            log::set_max_level(level);
        }
        Ok(())
    }
}

/// Starts logging at the level of `-v`, unless `filter` says otherwise.
pub(super) fn start(verbose: u8, filter: Option<&str>) -> Result<Filter, Failure> {
    let builder = fmt()
        .with_env_filter(parse(verbose, filter).map_err(Failure::cannot_run)?)
        .with_writer(|| Writer)
        // It would report a failed write where the write failed, and panic there.
        .log_internal_errors(false)
        .with_ansi(is_colour_welcome(&io::stderr()))
        .with_target(verbose > 0)
        .with_filter_reloading();
    let handle = builder.reload_handle();
    builder
        .try_init()
        .map_err(|error| Failure::cannot_run(anyhow!("cannot start logging: {error}")))?;
    Ok(Filter { verbose, replace: Box::new(move |filter| handle.reload(filter)) })
}

fn parse(verbose: u8, filter: Option<&str>) -> anyhow::Result<EnvFilter> {
    let level = match verbose {
        0 => "observer=info,warn",
        1 => "observer=debug,info",
        _ => "observer=debug,observer_ebpf=debug,info",
    };
    let filter = filter.unwrap_or(level);
    // The error names its own cause: as a source it would be said twice.
    EnvFilter::try_new(filter).map_err(|error| {
        anyhow!("`log: {filter}` is not a filter such as `info` or `observer=debug`: {error}")
    })
}

/// Keeps the log from the terminal that a view is drawn on, until this is dropped. `None`
/// where the log goes elsewhere.
pub(super) fn hold() -> Option<Hold> {
    io::stderr().is_terminal().then(|| {
        held().get_or_insert_default();
        Hold
    })
}

/// See [`hold`].
pub(super) struct Hold;

impl Drop for Hold {
    fn drop(&mut self) {
        let mut held = held();
        if let Some(held) = held.take() {
            // There is no other place to say that standard error cannot be written.
            let _printed = held.print(&mut io::stderr().lock());
        }
    }
}

/// The last lines of the log, and how many before them are left out.
#[derive(Default)]
struct Held {
    lines: VecDeque<Vec<u8>>,
    left_out: u64,
}

impl Held {
    fn push(&mut self, line: &[u8]) {
        if self.lines.len() == HELD_LINES {
            self.lines.pop_front();
            self.left_out += 1;
        }
        self.lines.push_back(line.to_owned());
    }

    fn print(&self, out: &mut impl io::Write) -> io::Result<()> {
        if self.left_out > 0 {
            writeln!(
                out,
                "observer: log lines left out while the view was shown: {}",
                self.left_out
            )?;
        }
        self.lines.iter().try_for_each(|line| out.write_all(line))
    }
}

fn held() -> MutexGuard<'static, Option<Held>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Standard error, except while a view is shown. Each write is a whole line.
struct Writer;

impl io::Write for Writer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match &mut *held() {
            Some(held) => {
                held.push(line);
                Ok(line.len())
            }
            None => io::stderr().write(line),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_bounded_and_the_rest_is_counted() {
        let printed = |lines: usize| {
            let mut held = Held::default();
            (0..lines).for_each(|line| held.push(format!("{line}\n").as_bytes()));
            let mut out = Vec::new();
            held.print(&mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(printed(2), "0\n1\n");
        let text = printed(HELD_LINES + 3);
        assert!(text.starts_with("observer: log lines left out while the view was shown: 3\n3\n"));
        assert_eq!(text.lines().count(), HELD_LINES + 1);
    }
}
