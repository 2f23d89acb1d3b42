//! Cargo subcommands that the checks use.

use anyhow::{Context, Result};

use super::Outcome;
use crate::command::{cargo, find, logged};
use crate::place::Places;

/// cargo-deny: licences, sources and bans of the dependencies.
pub(super) fn deny(places: &Places) -> Result<Outcome> {
    installed(places, "cargo-deny")
}

/// cargo-fuzz, wanted by `verify fuzz` alone.
pub(crate) fn fuzz(places: &Places) -> Result<Outcome> {
    installed(places, "cargo-fuzz")
}

fn installed(places: &Places, tool: &str) -> Result<Outcome> {
    if let Some(path) = find(tool) {
        return Ok(Outcome::Present(path.display().to_string()));
    }
    let mut install = cargo();
    install.args(["install", "--locked", tool]).env_remove("CARGO_TARGET_DIR");
    crate::place::create(&places.cache)?;
    install.current_dir(&places.cache);
    logged(&mut install, &places.log(tool))
        .with_context(|| format!("install {tool} by hand: cargo install --locked {tool}"))?;
    let path = find(tool).with_context(|| {
        format!("{tool} was installed, but is not on PATH: add cargo's bin folder to it")
    })?;
    Ok(Outcome::Done(path.display().to_string()))
}
