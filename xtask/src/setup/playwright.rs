//! Playwright, by which the server's tests use Chromium as people do. Its own browsers are
//! not fetched: the tests take the system's.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::Outcome;
use crate::command::{command, find, logged, output};
use crate::place::{self, Places};

const PACKAGE: &str = "playwright-core";
/// The newest that Debian bookworm's Node can run.
const VERSION: &str = "1.60.0";

pub(super) fn ensure(places: &Places) -> Result<Outcome> {
    let dir = places.cache.join("playwright");
    let what = || format!("{VERSION} ({})", dir.display());
    if works(&dir).is_ok() {
        return Ok(Outcome::Present(what()));
    }
    ensure!(
        find("npm").is_some(),
        "install the packages nodejs and npm (`cargo xtask setup --only packages` does), then try again"
    );
    place::create(&dir)?;
    let mut install = command("npm");
    install.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save"]);
    install.arg("--prefix").arg(&dir).arg(format!("{PACKAGE}@{VERSION}"));
    logged(&mut install, &places.log("playwright"))
        .context("try again when the package registry of npm can be reached")?;
    works(&dir).with_context(|| format!("delete {} and try again", dir.display()))?;
    Ok(Outcome::Done(what()))
}

/// Has Node load it, and say which one it is.
fn works(dir: &Path) -> Result<()> {
    let package = dir.join("node_modules").join(PACKAGE);
    let script = "require(process.argv[1]); \
        console.log(require(process.argv[1] + '/package.json').version)";
    let found = output(command("node").args(["-e", script]).arg(package))?;
    is_wanted(&found)
}

fn is_wanted(found: &str) -> Result<()> {
    ensure!(found.trim() == VERSION, "Playwright is {}, not {VERSION}", found.trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pinned_version_will_do() {
        assert!(is_wanted(&format!("{VERSION}\n")).is_ok());
        assert!(is_wanted(&format!("{VERSION}1\n")).is_err());
        assert!(is_wanted("").is_err());
    }

    #[test]
    fn a_folder_without_it_is_no_playwright() {
        assert!(works(Path::new("/nowhere")).is_err());
    }
}
