//! `rust-src`: the eBPF target has no prebuilt `core`, so the toolchain builds it from source.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::Outcome;
use super::apt::Suite;
use crate::command::{command, find, logged, output};
use crate::place::{self, Places};

/// The suites that may carry the `rust-src` of a recent toolchain, likeliest first.
const SUITES: [&str; 5] = ["trixie-backports", "sid", "forky", "trixie", "bookworm"];

pub(super) fn ensure(places: &Places) -> Result<Outcome> {
    let sysroot = sysroot()?;
    if core_source(&sysroot).is_file() {
        return Ok(Outcome::Present(source(&sysroot).display().to_string()));
    }
    let by_rustup = by_rustup(places);
    if by_rustup.is_ok() && core_source(&sysroot).is_file() {
        return Ok(Outcome::Done("rustup's component".into()));
    }
    let version = by_package(places, &sysroot).with_context(|| {
        let reason = by_rustup
            .err()
            .map_or_else(|| "it brought no source".into(), |error| format!("{error:#}"));
        format!(
            "rustup could not bring rust-src ({reason}), and neither could Debian's package: \
             run `rustup component add rust-src` where rustup's server can be reached"
        )
    })?;
    Ok(Outcome::Done(format!("Debian's rust-src {version}")))
}

/// The folder of the toolchain in use.
pub(super) fn sysroot() -> Result<PathBuf> {
    let path = output(command("rustc").args(["--print", "sysroot"]))?;
    Ok(PathBuf::from(path.trim()))
}

/// A field of `rustc -vV`, such as `release` or `LLVM version`.
pub(super) fn rustc_field(name: &str) -> Result<String> {
    let text = output(command("rustc").arg("-vV"))?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    value.map(str::to_owned).with_context(|| {
        format!("`rustc -vV` names no {name}: install rustc 1.95 or later by rustup")
    })
}

fn source(sysroot: &Path) -> PathBuf {
    sysroot.join("lib/rustlib/src/rust")
}

fn core_source(sysroot: &Path) -> PathBuf {
    source(sysroot).join("library/core/src/lib.rs")
}

fn by_rustup(places: &Places) -> Result<()> {
    if find("rustup").is_none() {
        bail!("there is no rustup on PATH");
    }
    logged(command("rustup").args(["component", "add", "rust-src"]), &places.log("rust-src"))
}

/// Unpacks Debian's source of exactly this toolchain into the cache and links the sysroot to it.
fn by_package(places: &Places, sysroot: &Path) -> Result<String> {
    let release = rustc_field("release")?;
    let mirror = super::apt::mirror()?;
    let mut refused = None;
    for name in SUITES {
        // A suite that a mirror has dropped is no reason to stop looking in the next.
        let suite = match Suite::open(places, &mirror, name) {
            Ok(suite) => suite,
            Err(error) => {
                refused = Some(error);
                continue;
            }
        };
        let Some(version) =
            suite.versions("rust-src")?.into_iter().find(|version| is_release(version, &release))
        else {
            continue;
        };
        let kept = places.cache.join("rust-src").join(&release);
        place::create(&kept)?;
        let package = suite.fetch("rust-src", &version, &kept)?;
        output(command("dpkg-deb").arg("-x").arg(&package).arg(&kept))?;
        fs::remove_file(&package)?;
        let unpacked = kept.join(format!("usr/src/rustc-{release}"));
        link(&source(sysroot), &unpacked)?;
        if !core_source(sysroot).is_file() {
            bail!(
                "{} holds no library/core: delete {} and try again",
                unpacked.display(),
                kept.display()
            );
        }
        return Ok(version);
    }
    if let Some(error) = refused {
        return Err(error);
    }
    bail!("no Debian suite of {} has rust-src {release}", SUITES.join(", "))
}

/// Whether a Debian version such as `1.95.0+dfsg1-2~bpo13+1` packages this release.
fn is_release(version: &str, release: &str) -> bool {
    version.strip_prefix(release).is_some_and(|rest| rest.starts_with(['+', '-', '~']))
}

fn link(place: &Path, target: &Path) -> Result<()> {
    if let Some(dir) = place.parent() {
        fs::create_dir_all(dir).with_context(|| not_writable(place))?;
    }
    if place.is_symlink() {
        fs::remove_file(place).with_context(|| not_writable(place))?;
    } else if place.is_dir() {
        // Left behind by a component that was removed: without core's source it serves nobody.
        fs::remove_dir_all(place).with_context(|| not_writable(place))?;
    }
    symlink(target, place).with_context(|| not_writable(place))
}

fn not_writable(place: &Path) -> String {
    format!(
        "cannot write {}: make the toolchain's folder writable, or run this step as its owner",
        place.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_release_is_taken() {
        assert!(is_release("1.95.0+dfsg1-2~bpo13+1", "1.95.0"));
        assert!(is_release("1.95.0-1", "1.95.0"));
        assert!(!is_release("1.95.01-1", "1.95.0"));
        assert!(!is_release("1.94.0+dfsg1-1", "1.95.0"));
    }
}
