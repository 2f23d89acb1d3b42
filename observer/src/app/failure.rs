//! How a command ends when it does not end well.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use crate::source::ebpf::load::LoadError;

/// An error and the exit code it stands for.
#[derive(Debug)]
pub(super) enum Failure {
    /// It ran, and something is missing or went wrong: 1. Without an error, it has been
    /// said already.
    Degraded(Option<anyhow::Error>),
    /// It could not run: 2. Without an error, it has been said already.
    CannotRun(Option<anyhow::Error>),
}

impl Failure {
    /// It could not run, for this reason.
    pub(super) fn cannot_run(error: impl Into<anyhow::Error>) -> Self {
        Self::CannotRun(Some(error.into()))
    }

    /// Says it on standard error, in one sentence, and gives the exit code.
    pub(super) fn report(self) -> ExitCode {
        let (code, error) = match self {
            Self::Degraded(error) => (1, error),
            Self::CannotRun(error) => (2, error),
        };
        if let Some(error) = error {
            let is_pipe = |cause: &(dyn std::error::Error + 'static)| {
                cause
                    .downcast_ref::<io::Error>()
                    .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
            };
            if error.chain().any(is_pipe) {
                return ExitCode::SUCCESS; // the reader has seen enough
            }
            let text = sentence(error.chain());
            // Nothing is left to say it to when the terminal is gone.
            let _printed = writeln!(io::stderr(), "observer: {text}");
        }
        ExitCode::from(code)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Degraded(Some(error))
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        Self::cannot_run(error)
    }
}

/// An error and its causes; some errors repeat their cause, which is said once.
pub(super) fn sentence<'a>(
    causes: impl Iterator<Item = &'a (dyn std::error::Error + 'static)>,
) -> String {
    causes.map(ToString::to_string).fold(String::new(), |text, cause| {
        if text.is_empty() {
            cause
        } else if text.contains(&cause) {
            text
        } else {
            format!("{text}: {cause}")
        }
    })
}

/// Prints to standard output.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}
