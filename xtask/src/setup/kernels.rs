//! Kernels for the matrix: Debian's cloud kernels, out of the suites that carry them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use super::Outcome;
use super::apt::{self, Suite};
use crate::command::command;
use crate::place::{self, Places};

/// A kernel of the matrix, by the name that `vm-test --kernel` takes, and the suites that carry it.
pub(crate) const KERNELS: [(&str, &[&str]); 4] = [
    ("5.10", &["bullseye"]),
    ("6.1", &["bookworm"]),
    ("6.12", &["trixie"]),
    // Whichever is higher on the day it is fetched.
    ("newest", &["trixie-backports", "sid"]),
];

const META: &str = "linux-image-cloud-amd64";

/// Where the image of a kernel lies once it is set up.
pub(crate) fn vmlinuz(places: &Places, kernel: &str) -> PathBuf {
    dir(places, kernel).join("vmlinuz")
}

pub(super) fn ensure(places: &Places, refresh: bool) -> Result<Outcome> {
    let wanted: Vec<_> = KERNELS
        .into_iter()
        .filter(|(name, _)| refresh || !vmlinuz(places, name).is_file())
        .collect();
    if !wanted.is_empty() {
        let mirror = apt::mirror()?;
        for (name, suites) in &wanted {
            fetch(places, &mirror, name, suites).with_context(|| {
                format!(
                    "kernel {name} is missing: mend that, then `cargo xtask setup --only kernels`"
                )
            })?;
        }
        // The lists are large and stale tomorrow; the kernels are what is kept.
        fs::remove_dir_all(places.cache.join("apt"))?;
    }
    let have: Vec<String> = KERNELS.iter().map(|(name, _)| release(places, name)).collect();
    let have = have.join(", ");
    Ok(if wanted.is_empty() { Outcome::Present(have) } else { Outcome::Done(have) })
}

fn fetch(places: &Places, mirror: &str, name: &str, suites: &[&str]) -> Result<()> {
    let mut best: Option<(Suite, String, String)> = None;
    let mut refused = None;
    for suite in suites {
        match Suite::open(places, mirror, suite) {
            Ok(suite) => {
                let image = suite.behind(META, "linux-image-")?;
                // From 7.x on, that is a shell around the package that holds the kernel.
                let (package, version) = suite.behind(&image.0, "linux-binary-").unwrap_or(image);
                if best.as_ref().map_or(Ok(true), |(_, _, least)| newer(&version, least))? {
                    best = Some((suite, package, version));
                }
            }
            Err(error) => refused = Some(error),
        }
    }
    let (suite, package, version) = match (best, refused) {
        (Some(best), _) => best,
        (None, Some(error)) => return Err(error),
        (None, None) => {
            anyhow::bail!("no suite is listed for kernel {name}: mend xtask/src/setup/kernels.rs")
        }
    };
    let text = format!("{} {version}", release_of(&package));
    if text == release(places, name) {
        return Ok(());
    }
    // Into a folder beside it first: a kernel is there whole or not at all.
    let fresh = places.cache.join("kernels").join(format!(".{name}"));
    if fresh.exists() {
        fs::remove_dir_all(&fresh)?;
    }
    place::create(&fresh)?;
    let deb = suite.fetch(&package, &version, &fresh)?;
    unpack(&deb, &fresh.join("vmlinuz"))?;
    fs::remove_file(&deb)?;
    fs::write(fresh.join("release"), text)?;
    let dir = dir(places, name);
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    fs::rename(&fresh, &dir)?;
    Ok(())
}

/// Takes the kernel's image alone out of a package that is mostly modules.
fn unpack(deb: &Path, image: &Path) -> Result<()> {
    let mut archive =
        command("dpkg-deb").arg("--fsys-tarfile").arg(deb).stdout(Stdio::piped()).spawn()?;
    let tar = archive.stdout.take().context("a pipe that was asked for is missing: report this")?;
    let mut extract = command("tar");
    extract
        .args([
            "-xO",
            "--wildcards",
            "--no-wildcards-match-slash",
            "./boot/vmlinuz-*",
            "./usr/lib/modules/*/vmlinuz",
        ])
        .stdin(tar)
        .stderr(Stdio::null())
        .stdout(File::create(image)?);
    // tar complains of the place that is empty: the image lies in one of the two, the newer in the second.
    extract.status()?;
    ensure!(
        archive.wait()?.success() && fs::metadata(image)?.len() > 0,
        "{} holds no kernel image where one is looked for: mend xtask/src/setup/kernels.rs",
        deb.display()
    );
    Ok(())
}

/// `6.1.0-50-cloud-amd64` of `linux-image-6.1.0-50-cloud-amd64`.
fn release_of(package: &str) -> &str {
    package.trim_start_matches("linux-image-").trim_start_matches("linux-binary-")
}

fn newer(version: &str, than: &str) -> Result<bool> {
    let status = command("dpkg").args(["--compare-versions", version, "gt", than]).status();
    Ok(status.context("cannot start dpkg: install it")?.success())
}

/// What is cached of a kernel: its release and package version.
pub(crate) fn release(places: &Places, kernel: &str) -> String {
    fs::read_to_string(dir(places, kernel).join("release")).unwrap_or_default()
}

fn dir(places: &Places, kernel: &str) -> PathBuf {
    places.cache.join("kernels").join(kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_an_image_is_not_there() {
        let places = Places { root: "/".into(), target: "/".into(), cache: "/nowhere".into() };
        assert_eq!(vmlinuz(&places, "6.1"), PathBuf::from("/nowhere/kernels/6.1/vmlinuz"));
        assert_eq!(release(&places, "6.1"), "");
        assert_eq!(release_of("linux-binary-7.3.4+deb13-cloud-amd64"), "7.3.4+deb13-cloud-amd64");
    }

    #[test]
    fn debian_versions_order_as_dpkg_says() {
        assert!(
            crate::command::find("dpkg").is_none() || newer("7.0.10-1", "7.0.9-1~bpo13+1").unwrap()
        );
    }
}
