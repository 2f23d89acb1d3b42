//! The OpenTelemetry Collector, built by its own builder with the components that `infra/collector` lists.
//!
//! Each manifest has a build of its own in the cache, and a link leads to the one that was set up
//! last: a changed manifest builds anew, and going back to the old one does not.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result};

use super::{Outcome, go};
use crate::command::logged;
use crate::place::{self, Places};

const MANIFEST: &str = "infra/collector/builder.yaml";
const BUILDER: &str = "go.opentelemetry.io/collector/cmd/builder";
/// Builder and receiver are released together, under one version.
const RECEIVER: &str = "go.opentelemetry.io/collector/receiver/otlpreceiver";
/// `name` and `output_path` of the manifest.
const NAME: &str = "otelcol";
const OUTPUT: &str = "target/otelcol";

pub(super) fn ensure(places: &Places) -> Result<Outcome> {
    let manifest = places.root.join(MANIFEST);
    let text = fs::read_to_string(&manifest)
        .with_context(|| format!("cannot read {}: take it from git", manifest.display()))?;
    let version = version(&text).with_context(|| {
        format!("{MANIFEST} has no line `- gomod: {RECEIVER} v…`, which says which builder to use: add it")
    })?;
    let collectors = places.cache.join("collector");
    let key = key(&text);
    let binary = collectors.join(&key).join(NAME);
    let found = binary.is_file();
    if !found {
        build(places, &manifest, version, &collectors, &key)?;
    }
    point(&collectors.join(NAME), &Path::new(&key).join(NAME))?;
    let what = format!("{version} ({})", binary.display());
    Ok(if found { Outcome::Present(what) } else { Outcome::Done(what) })
}

fn build(
    places: &Places,
    manifest: &Path,
    version: &str,
    collectors: &Path,
    key: &str,
) -> Result<()> {
    // Into a folder beside it first: a collector is there whole or not at all.
    let fresh = collectors.join(".fresh");
    if fresh.exists() {
        fs::remove_dir_all(&fresh)?;
    }
    place::create(&fresh.join(OUTPUT))?;
    let mut builder = go::go(places)?;
    builder.args(["run", &format!("{BUILDER}@v{version}"), "--skip-strict-versioning=false"]);
    builder.arg("--config").arg(manifest).current_dir(&fresh);
    logged(&mut builder, &places.log("collector")).with_context(|| {
        format!("mend {MANIFEST}, or try again when the Go module proxy can be reached")
    })?;
    let kept = collectors.join(key);
    place::create(&kept)?;
    let built = fresh.join(OUTPUT).join(NAME);
    fs::rename(&built, kept.join(NAME)).with_context(|| {
        format!(
            "the builder wrote no {}: mend `name` and `output_path` of {MANIFEST}",
            built.display()
        )
    })?;
    fs::remove_dir_all(&fresh)?;
    go::forget(places)
}

/// Makes the link lead there, in one step: a test may be starting the collector by it.
fn point(link: &Path, target: &Path) -> Result<()> {
    if fs::read_link(link).is_ok_and(|present| present == target) {
        return Ok(());
    }
    let fresh = link.with_extension(format!("{}", std::process::id()));
    symlink(target, &fresh)
        .and_then(|()| fs::rename(&fresh, link))
        .with_context(|| format!("cannot write {}: make its folder writable", link.display()))
}

fn version(manifest: &str) -> Option<&str> {
    manifest.lines().find_map(|line| {
        let (_, module) = line.split_once("- gomod: ")?;
        Some(module.strip_prefix(RECEIVER)?.trim().trim_start_matches('v'))
    })
}

/// FNV-1a, 64 bits, of the manifest: the same in every toolchain, unlike the standard library's hash.
fn key(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = include_str!("../../../infra/collector/builder.yaml");
    const CONFIGURATION: &str = include_str!("../../../infra/collector/test.yaml");

    /// Module and version of every component.
    fn modules() -> Vec<(&'static str, &'static str)> {
        let lines = MANIFEST.lines().filter_map(|line| line.split_once("- gomod: "));
        lines.map(|(_, module)| module.split_once(" v").unwrap()).collect()
    }

    #[test]
    fn the_builder_writes_where_the_collector_is_looked_for() {
        let says = |key: &str, value: &str| {
            let line = format!("  {key}: {value}");
            assert!(MANIFEST.lines().any(|present| present == line), "no line `{line}`");
        };
        says("name", NAME);
        says("output_path", OUTPUT);
        says("version", version(MANIFEST).unwrap());
    }

    #[test]
    fn components_are_of_one_release() {
        let version = version(MANIFEST).unwrap();
        let minor = version.rsplit_once('.').unwrap().0;
        for (module, pinned) in modules() {
            // The parts that are stable count on their own, from 1.
            assert!(
                module.contains("/confmap/provider/") || pinned.starts_with(&format!("{minor}.")),
                "{module} is {pinned}, the builder {version}"
            );
        }
        let providers = modules().into_iter().filter(|(module, _)| module.contains("/provider/"));
        let mut pins: Vec<_> = providers.map(|(_, version)| version).collect();
        pins.dedup();
        assert_eq!(pins.len(), 1, "{pins:?}");
    }

    #[test]
    fn what_the_tests_configure_is_built_in() {
        let mut kind = "";
        let mut seen = 0;
        for line in CONFIGURATION.lines().filter(|line| line.trim_end().ends_with(':')) {
            let name = line.trim().trim_end_matches(':');
            if !line.starts_with(' ') {
                kind = name.trim_end_matches('s');
            } else if line.starts_with("  ") && !line.starts_with("   ") && kind != "service" {
                // `file/traces` of `exporters` is in the module `…/exporter/fileexporter`.
                let component = name.split('/').next().unwrap_or_default().replace('_', "");
                let ending = format!("/{kind}/{}{kind}", component);
                assert!(modules().iter().any(|(module, _)| module.ends_with(&ending)), "{ending}");
                seen += 1;
            }
        }
        assert_eq!(seen, 8);
    }

    #[test]
    fn a_changed_manifest_is_another_collector() {
        // The vectors of the algorithm's authors.
        assert_eq!(key(""), "cbf29ce484222325");
        assert_eq!(key("foobar"), "85944171f73967e8");
        assert_ne!(key(MANIFEST), key(&MANIFEST.replace("debugexporter", "nopexporter")));
    }

    #[test]
    fn the_link_leads_to_the_collector_that_was_set_up_last() {
        let dir = std::env::temp_dir().join(format!("xtask-collector-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let link = dir.join(NAME);
        for key in ["a", "b", "b"] {
            point(&link, &Path::new(key).join(NAME)).unwrap();
            assert_eq!(fs::read_link(&link).unwrap(), Path::new(key).join(NAME));
        }
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "something was left beside the link");
        fs::remove_dir_all(dir).unwrap();
    }
}
