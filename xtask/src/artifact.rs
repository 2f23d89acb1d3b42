//! What a cargo build made, read from its own messages.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::command;

/// The results of one build.
#[derive(Default, Debug)]
pub(crate) struct Build {
    /// Binaries and test binaries.
    pub(crate) executables: Vec<Executable>,
    /// The folder in which each package's build script wrote.
    pub(crate) out_dirs: BTreeMap<String, PathBuf>,
}

/// One binary.
#[derive(Debug, PartialEq)]
pub(crate) struct Executable {
    /// The target's name in its manifest.
    pub(crate) name: String,
    /// `bin`, `test`, `lib`, …
    pub(crate) kind: String,
    /// Where it lies.
    pub(crate) path: PathBuf,
}

impl Build {
    /// The one binary of this name and kind.
    pub(crate) fn executable(&self, name: &str, kind: &str) -> Result<&PathBuf> {
        let found = self.executables.iter().find(|one| one.name == name && one.kind == kind);
        found.map(|one| &one.path).with_context(|| {
            format!("cargo built no {kind} named `{name}`: look for it in observer/Cargo.toml and observer/{kind}s")
        })
    }
}

/// Runs a cargo build with its messages on, and gathers what it made.
pub(crate) fn build(cargo: &mut Command) -> Result<Build> {
    cargo
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .stdin(Stdio::null());
    let output =
        cargo.output().with_context(|| format!("cannot start `{}`", command::line(cargo)))?;
    ensure!(
        output.status.success(),
        "`{}` failed: mend what the compiler says above",
        command::line(cargo)
    );
    read(&String::from_utf8_lossy(&output.stdout))
}

#[derive(Deserialize)]
struct Message {
    reason: String,
    package_id: Option<String>,
    target: Option<Target>,
    executable: Option<PathBuf>,
    out_dir: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

fn read(messages: &str) -> Result<Build> {
    let mut build = Build::default();
    for line in messages.lines().filter(|line| line.starts_with('{')) {
        let message: Message = serde_json::from_str(line).with_context(|| {
            format!("cargo said something unknown, mend xtask/src/artifact.rs: {line}")
        })?;
        match (message.reason.as_str(), message.target, message.executable) {
            ("compiler-artifact", Some(target), Some(path)) => {
                let kind = target.kind.into_iter().next().unwrap_or_default();
                build.executables.push(Executable { name: target.name, kind, path });
            }
            ("build-script-executed", ..) => {
                if let (Some(id), Some(dir)) = (message.package_id, message.out_dir) {
                    build.out_dirs.insert(package(&id).to_owned(), dir);
                }
            }
            _ => {}
        }
    }
    Ok(build)
}

/// The name in a package id: `path+file:///x/observer#0.1.0` or `registry+…#aya@0.14.0`.
fn package(id: &str) -> &str {
    let (place, version) = id.rsplit_once('#').unwrap_or((id, ""));
    match version.split_once('@') {
        Some((name, _)) => name,
        None => place.rsplit('/').next().unwrap_or(place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_of_a_package_id_give_its_name() {
        assert_eq!(package("path+file:///src/observer#0.1.0"), "observer");
        assert_eq!(package("registry+https://example.org/index#aya@0.14.0"), "aya");
        assert_eq!(package("path+file:///src/other#observer@0.1.0"), "observer");
    }

    #[test]
    fn binaries_and_out_dirs_are_found_among_other_messages() {
        let text = r#"
{"reason":"compiler-artifact","package_id":"p#a@1.0.0","target":{"name":"kernel","kind":["test"]},"executable":"/t/kernel-1"}
{"reason":"compiler-artifact","package_id":"p#a@1.0.0","target":{"name":"aya","kind":["lib"]},"executable":null}
{"reason":"build-script-executed","package_id":"path+file:///src/observer#0.1.0","out_dir":"/t/out"}
{"reason":"build-finished","success":true}"#;
        let build = read(text).unwrap();
        assert_eq!(build.executable("kernel", "test").unwrap(), &PathBuf::from("/t/kernel-1"));
        assert_eq!(build.out_dirs["observer"], PathBuf::from("/t/out"));
        assert!(build.executable("observer", "bin").is_err());
    }
}
