//! Packages of the distribution: the peers, tools and judges that the tests use.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::Outcome;
use crate::command::{as_root, command, find, logged};
use crate::place::Places;

const PACKAGES: [&str; 22] = [
    "tshark",
    "nftables",
    "iproute2",
    "gstreamer1.0-tools",
    "gstreamer1.0-plugins-base",
    "gstreamer1.0-plugins-good",
    "gstreamer1.0-plugins-bad",
    "gstreamer1.0-libav",
    "sip-tester",
    "baresip-core",
    "chromium",
    "janus",
    "coturn",
    "qemu-system-x86",
    "busybox-static",
    "tmux",
    "tcpdump",
    "gcc",
    "libc6-dev",
    "python3",
    "python3-venv",
    "nodejs",
];

/// In Debian it is a package of its own; others have it in their `nodejs`, and the two do not
/// get on with each other.
const NPM: &str = "npm";

/// Servers that Debian starts when it installs them, and at each boot from then on. The tests
/// start their own.
const SERVERS: [&str; 2] = ["janus", "coturn"];

pub(super) fn ensure(places: &Places) -> Result<Outcome> {
    ensure!(
        find("dpkg-query").is_some() && find("apt-get").is_some(),
        "this is neither Debian nor Ubuntu: install what these packages hold there by hand: {}",
        PACKAGES.join(" ")
    );
    let missing = missing()?;
    if missing.is_empty() {
        return Ok(Outcome::Present(format!("{} packages", PACKAGES.len())));
    }
    keep_silent(places, &missing)?;
    let by_hand = || format!("install them by hand: apt-get install {}", missing.join(" "));
    // An update is slow and not always wanted: only when the lists at hand do not suffice.
    if install(places, &missing).is_err() {
        apt(places, &["update"]).with_context(by_hand)?;
        install(places, &missing).with_context(by_hand)?;
    }
    Ok(Outcome::Done(missing.join(" ")))
}

/// Has systemd, where it runs, start none of the servers that are about to be installed.
fn keep_silent(places: &Places, packages: &[&str]) -> Result<()> {
    let mut servers = SERVERS.iter().filter(|server| packages.contains(server)).peekable();
    if servers.peek().is_none() || !Path::new("/run/systemd/system").is_dir() {
        return Ok(());
    }
    let mut mask = as_root("systemctl")?;
    mask.arg("mask").args(servers.map(|server| format!("{server}.service")));
    logged(&mut mask, &places.log("packages"))
}

fn install(places: &Places, packages: &[&str]) -> Result<()> {
    apt(places, &[&["install", "-y", "--no-install-recommends"], packages].concat())
}

fn apt(places: &Places, arguments: &[&str]) -> Result<()> {
    // By way of `env`, because sudo may be told to drop the variable.
    let mut apt = as_root("env")?;
    apt.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]).args(arguments);
    logged(&mut apt, &places.log("packages"))
}

fn missing() -> Result<Vec<&'static str>> {
    let mut query = command("dpkg-query");
    query.args(["-W", "-f", "${Package} ${db:Status-Status}\n"]).args(PACKAGES).env("LC_ALL", "C");
    // It fails when one of them is unknown, and still prints the others.
    let output = query.output().context("cannot start dpkg-query: install dpkg")?;
    let mut missing = absent(&String::from_utf8_lossy(&output.stdout));
    if find(NPM).is_none() {
        missing.push(NPM);
    }
    Ok(missing)
}

fn absent(listing: &str) -> Vec<&'static str> {
    let installed = |package: &str| {
        listing.lines().any(|line| {
            line.split_once(' ')
                .is_some_and(|(name, status)| name == package && status == "installed")
        })
    };
    PACKAGES.into_iter().filter(|package| !installed(package)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_and_unknown_packages_are_missing() {
        let listing: String = PACKAGES
            .iter()
            .filter(|package| **package != "tmux")
            .map(|package| {
                format!(
                    "{package} {}\n",
                    if *package == "gcc" { "config-files" } else { "installed" }
                )
            })
            .collect();
        assert_eq!(absent(&listing), ["tmux", "gcc"]);
    }
}
