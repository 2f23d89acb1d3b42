//! Cargo subcommands that the checks use.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::Outcome;
use crate::command::{cargo, command, find, logged, output};
use crate::place::{self, Places};

/// A package of crates.io whose program cargo starts as a subcommand.
struct Tool {
    package: &'static str,
    program: &'static str,
    /// Where any version will do, none.
    version: Option<&'static str>,
    features: &'static [&'static str],
}

/// Licences, sources and bans of the dependencies.
const DENY: Tool =
    Tool { package: "cargo-deny", program: "cargo-deny", version: None, features: &[] };

const FUZZ: Tool =
    Tool { package: "cargo-fuzz", program: "cargo-fuzz", version: None, features: &[] };

/// Whether the queries that are kept beside the server are those in its code. It writes them in
/// the form of its own version, so it has to be the version of the server's sqlx.
const SQLX: Tool = Tool {
    package: "sqlx-cli",
    program: "cargo-sqlx",
    version: Some("0.9.0"),
    features: &["sqlite", "rustls"],
};

pub(super) fn ensure(places: &Places) -> Result<Outcome> {
    let mut done = Vec::new();
    for tool in [&DENY, &SQLX] {
        if let Outcome::Done(path) = installed(places, tool)? {
            done.push(path);
        }
    }
    Ok(if done.is_empty() {
        Outcome::Present(format!("{}, {}", DENY.package, SQLX.package))
    } else {
        Outcome::Done(done.join(", "))
    })
}

/// cargo-fuzz, wanted by `verify fuzz` alone.
pub(crate) fn fuzz(places: &Places) -> Result<Outcome> {
    installed(places, &FUZZ)
}

fn installed(places: &Places, tool: &Tool) -> Result<Outcome> {
    if let Some(path) = find(tool.program)
        && tool.is_wanted(&path).is_ok()
    {
        return Ok(Outcome::Present(path.display().to_string()));
    }
    let mut install = cargo();
    install.args(tool.install()).env_remove("CARGO_TARGET_DIR");
    place::create(&places.cache)?;
    install.current_dir(&places.cache);
    logged(&mut install, &places.log(tool.package)).with_context(|| {
        format!("install {} by hand: cargo {}", tool.package, tool.install().join(" "))
    })?;
    let path = find(tool.program).with_context(|| {
        format!("{} was installed, but is not on PATH: add cargo's bin folder to it", tool.program)
    })?;
    tool.is_wanted(&path).with_context(|| {
        format!("{} hides the one that was installed: remove it", path.display())
    })?;
    Ok(Outcome::Done(path.display().to_string()))
}

impl Tool {
    fn install(&self) -> Vec<String> {
        let mut words = vec!["install".to_owned(), "--locked".to_owned(), self.package.to_owned()];
        if let Some(version) = self.version {
            // By force, because cargo leaves alone what another version has put there.
            words.extend(["--force", "--version", version].map(str::to_owned));
        }
        if !self.features.is_empty() {
            words.extend(["--no-default-features", "--features"].map(str::to_owned));
            words.push(self.features.join(","));
        }
        words
    }

    fn is_wanted(&self, program: &Path) -> Result<()> {
        let Some(version) = self.version else { return Ok(()) };
        // Cargo gives a subcommand its own name as the first word.
        let name = self.program.trim_start_matches("cargo-");
        let found = output(command(program).args([name, "--version"]))?;
        ensure!(says(&found, version), "{} is not {version} but {}", self.package, found.trim());
        Ok(())
    }
}

/// Whether this version is the last word of what `--version` prints.
fn says(printed: &str, version: &str) -> bool {
    printed.split_whitespace().next_back() == Some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_tool_is_installed_over_another_version() {
        assert_eq!(DENY.install(), ["install", "--locked", "cargo-deny"]);
        let line = SQLX.install().join(" ");
        assert!(line.starts_with("install --locked sqlx-cli --force --version "), "{line}");
        assert!(line.ends_with(" --no-default-features --features sqlite,rustls"), "{line}");
    }

    #[test]
    fn another_version_will_not_do_where_one_is_pinned() {
        assert!(says("sqlx-cli 0.9.0\n", "0.9.0"));
        assert!(!says("sqlx-cli 0.8.6\n", "0.9.0"));
        assert!(!says("sqlx-cli 0.9.01\n", "0.9.0"));
        let nowhere = Path::new("/nowhere/program");
        assert!(DENY.is_wanted(nowhere).is_ok() && SQLX.is_wanted(nowhere).is_err());
    }
}
