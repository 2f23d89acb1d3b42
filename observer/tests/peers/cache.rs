//! What the set-up leaves for tests, in the cache.

use std::{env, path::PathBuf};

/// A file by its path in the cache. Where it is not there, says so in the words that the
/// runner counts.
pub(crate) fn found(test: &str, path: &str, part: &str) -> Option<PathBuf> {
    let found = cache().map(|cache| cache.join(path)).filter(|path| path.is_file());
    if found.is_none() {
        println!("skipped: {test}: no {path}: `cargo xtask setup --only {part}` brings it");
    }
    found
}

/// As xtask's `place.rs` has it.
fn cache() -> Option<PathBuf> {
    let absolute =
        |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("OBSERVER_CACHE")
        .or_else(|| absolute("XDG_CACHE_HOME").map(|folder| folder.join("observer-dev")))
        .or_else(|| env::home_dir().map(|home| home.join(".cache/observer-dev")))
}
