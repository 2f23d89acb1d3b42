//! Bugsink, which speaks Sentry's protocol: where the server's tests look for the errors it reports.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::Outcome;
use crate::command::{command, logged, output};
use crate::place::{self, Places};

const VERSION: &str = "2.6.2";

pub(super) fn ensure(places: &Places) -> Result<Outcome> {
    let dir = places.cache.join("bugsink");
    let what = || format!("{VERSION} ({})", dir.display());
    if works(&dir).is_ok() {
        return Ok(Outcome::Present(what()));
    }
    place::create(&places.cache)?;
    let log = places.log("sentry");
    let mut venv = command("python3");
    venv.args(["-m", "venv", "--clear"]).arg(&dir);
    logged(&mut venv, &log).context(
        "install the package python3-venv (`cargo xtask setup --only packages` does), then try again",
    )?;
    let mut install = command(dir.join("bin/python"));
    install.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input"]);
    install.arg(format!("bugsink=={VERSION}"));
    logged(&mut install, &log)
        .context("try again when the package index of Python can be reached")?;
    works(&dir).with_context(|| format!("delete {} and try again", dir.display()))?;
    Ok(Outcome::Done(what()))
}

/// Asks its own Python, which is gone when the system's was replaced.
fn works(dir: &Path) -> Result<()> {
    let script = "from importlib.metadata import version; print(version('bugsink'))";
    let found = output(command(dir.join("bin/python")).args(["-c", script]))?;
    is_wanted(&found)?;
    ensure!(dir.join("bin/bugsink-manage").is_file(), "{} has no bugsink-manage", dir.display());
    Ok(())
}

fn is_wanted(found: &str) -> Result<()> {
    ensure!(found.trim() == VERSION, "Bugsink is {}, not {VERSION}", found.trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pinned_version_will_do() {
        assert!(is_wanted(&format!("{VERSION}\n")).is_ok());
        assert!(is_wanted(&format!("{VERSION}.1\n")).is_err());
        assert!(is_wanted("").is_err());
    }

    #[test]
    fn a_folder_without_a_python_is_no_bugsink() {
        assert!(works(Path::new("/nowhere")).is_err());
    }
}
