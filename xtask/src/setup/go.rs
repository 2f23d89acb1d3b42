//! Go, for what is built from Go modules. Its modules and builds stay inside the cache.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::{Context, Result};

use super::apt::{self, Suite};
use super::linker::at_least;
use crate::command::{command, find, output};
use crate::place::{self, Places};

/// The `go` line of the collector's modules.
const NEEDED: &str = "1.26";
/// What is fetched, as a module, where the Go at hand is older.
const TOOLCHAIN: &str = "go1.26.8";
/// The first Go that can fetch another: <https://go.dev/doc/toolchain>.
const FETCHES: &str = "1.21";

/// A Go that can fetch `TOOLCHAIN`, for a host that has none.
const SUITE: &str = "trixie";
const PACKAGES: [&str; 2] = ["golang-1.24-go", "golang-1.24-src"];
const UNPACKED: &str = "usr/lib/go-1.24/bin/go";

/// The command `go`, of a version that is new enough; it is fetched if need be.
pub(super) fn go(places: &Places) -> Result<Command> {
    let by_hand = || format!("or install Go {NEEDED} or later by hand, and put it on PATH");
    let own = find("go").and_then(|go| Some((toolchain(&version(&go)?)?, go)));
    let (toolchain, program) = match own {
        Some(own) => own,
        None => (TOOLCHAIN, by_package(places).with_context(by_hand)?),
    };
    let environment = environment(places, toolchain, &program)?;
    if toolchain == TOOLCHAIN {
        // Fetches it, so that a failure here is not taken for one of the build.
        output(command(&program).arg("version").envs(environment.clone()))
            .with_context(|| format!("{} could not fetch {TOOLCHAIN}", program.display()))
            .with_context(by_hand)?;
    }
    let mut go = command(program);
    go.envs(environment);
    Ok(go)
}

/// Removes modules and builds: 3 GB for a collector of 40 MB, and another manifest is rare.
pub(super) fn forget(places: &Places) -> Result<()> {
    for dir in [modules(places), builds(places)] {
        if dir.exists() {
            fs::remove_dir_all(&dir)
                .with_context(|| format!("delete {} by hand", dir.display()))?;
        }
    }
    Ok(())
}

fn modules(places: &Places) -> PathBuf {
    places.cache.join("go/path")
}

fn builds(places: &Places) -> PathBuf {
    places.cache.join("go/build")
}

fn environment(
    places: &Places,
    toolchain: &str,
    program: &Path,
) -> Result<[(&'static str, OsString); 8]> {
    // Each job is a compiler with memory of its own, and on a large host they add up.
    let jobs = available_parallelism().map_or(2, |cores| cores.get().min(4));
    let old = env::var_os("PATH").unwrap_or_default();
    let path = program.parent().map(Path::to_path_buf).into_iter().chain(env::split_paths(&old));
    Ok([
        ("GOPATH", modules(places).into()),
        // Else one that the user has set would win over the line above.
        ("GOMODCACHE", modules(places).join("pkg/mod").into()),
        ("GOCACHE", builds(places).into()),
        ("GOTOOLCHAIN", toolchain.into()),
        // Modules are write-protected without the first, and then nobody but root can delete them.
        ("GOFLAGS", format!("-modcacherw -buildvcs=false -p={jobs}").into()),
        ("GOWORK", "off".into()),
        ("CGO_ENABLED", "0".into()),
        // What is started here looks for `go` itself.
        ("PATH", env::join_paths(path).context("PATH holds a folder with a colon: mend it")?),
    ])
}

/// `GOTOOLCHAIN` for this Go, or none if it is of no use.
fn toolchain(version: &str) -> Option<&'static str> {
    if at_least(version, NEEDED) {
        Some("auto")
    } else {
        at_least(version, FETCHES).then_some(TOOLCHAIN)
    }
}

fn version(go: &Path) -> Option<String> {
    let text = output(command(go).arg("version").env("GOTOOLCHAIN", "local")).ok()?;
    Some(number(&text)?.to_owned())
}

/// `1.26.8` of `go version go1.26.8 linux/amd64`.
fn number(text: &str) -> Option<&str> {
    text.split_whitespace().find_map(|word| {
        word.strip_prefix("go").filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    })
}

fn by_package(places: &Places) -> Result<PathBuf> {
    let kept = places.cache.join("go/debian");
    let program = kept.join(UNPACKED);
    if version(&program).is_some() {
        return Ok(program);
    }
    let suite = Suite::open(places, &apt::mirror()?, SUITE)?;
    place::create(&kept)?;
    for package in PACKAGES {
        let version = suite.versions(package)?.into_iter().next().with_context(|| {
            format!("Debian's {SUITE} has no {package}: mend xtask/src/setup/go.rs")
        })?;
        let deb = suite.fetch(package, &version, &kept)?;
        output(command("dpkg-deb").arg("-x").arg(&deb).arg(&kept))?;
        fs::remove_file(&deb)?;
    }
    fs::remove_dir_all(places.cache.join("apt"))?;
    version(&program).with_context(|| {
        format!("{} does not start: delete {} and try again", program.display(), kept.display())
    })?;
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_go_is_used_a_middling_one_fetches_and_an_old_one_is_left() {
        assert_eq!(toolchain("1.26.0"), Some("auto"));
        assert_eq!(toolchain("1.100"), Some("auto"));
        assert_eq!(toolchain("1.25.9"), Some(TOOLCHAIN));
        assert_eq!(toolchain("1.21"), Some(TOOLCHAIN));
        assert_eq!(toolchain("1.19.8"), None);
    }

    #[test]
    fn what_is_fetched_is_new_enough() {
        assert_eq!(toolchain(number(TOOLCHAIN).unwrap()), Some("auto"));
    }

    #[test]
    fn the_version_is_found_in_what_go_prints() {
        assert_eq!(number("go version go1.26.8 linux/amd64\n"), Some("1.26.8"));
        assert_eq!(number("go version devel linux/amd64"), None);
    }

    #[test]
    fn nothing_of_the_users_own_go_is_touched() {
        let places = Places { root: "/".into(), target: "/".into(), cache: "/cache".into() };
        let environment = environment(&places, "auto", Path::new("/opt/go/bin/go")).unwrap();
        for wanted in ["GOPATH", "GOMODCACHE", "GOCACHE"] {
            let (_, dir) = environment.iter().find(|(name, _)| *name == wanted).unwrap();
            assert!(Path::new(dir).starts_with("/cache"), "{wanted} is {}", dir.display());
        }
        let (_, path) = environment.iter().find(|(name, _)| *name == "PATH").unwrap();
        assert_eq!(env::split_paths(path).next(), Some("/opt/go/bin".into()));
    }
}
