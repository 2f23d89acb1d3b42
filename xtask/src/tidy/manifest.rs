//! Which crates may know each other: the observer works with any server, so it knows none.

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Violation;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
}

/// Dependencies between the observer's crates and the server or client, from `cargo metadata`.
pub(super) fn strangers(metadata: &str) -> Result<Vec<Violation>> {
    let metadata: Metadata = serde_json::from_str(metadata)
        .context("`cargo metadata` said something unknown: mend xtask/src/tidy/manifest.rs")?;
    let mut violations = Vec::new();
    for package in &metadata.packages {
        for dependency in &package.dependencies {
            let pair = (side(&package.name), side(&dependency.name));
            if matches!(pair, (Side::Observer, Side::Observed) | (Side::Observed, Side::Observer)) {
                let remedy = format!(
                    "{} may not depend on {}: their contract is OTLP and the wire",
                    package.name, dependency.name
                );
                violations.push(Violation::new(1, "strangers", remedy));
            }
        }
    }
    Ok(violations)
}

#[derive(PartialEq)]
enum Side {
    Observer,
    Observed,
    Neither,
}

fn side(name: &str) -> Side {
    match name {
        "server" | "client" | "vc-server" | "vc-client" | "vc-bot" => Side::Observed,
        "observer" => Side::Observer,
        _ if name.starts_with("observer-") => Side::Observer,
        _ => Side::Neither,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(package: &str, dependency: &str) -> usize {
        let text = format!(
            r#"{{"packages":[{{"name":"{package}","dependencies":[{{"name":"{dependency}"}}]}}]}}"#
        );
        strangers(&text).unwrap().len()
    }

    #[test]
    fn observer_and_observed_are_strangers_both_ways() {
        assert_eq!(count("observer", "vc-server"), 1);
        assert_eq!(count("vc-client", "observer-common"), 1);
        assert_eq!(count("observer", "observer-common"), 0);
        assert_eq!(count("vc-server", "serde"), 0);
    }
}
