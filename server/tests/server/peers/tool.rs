//! What the set-up leaves for tests, in the cache.

use std::{
    env,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
};

/// A program by its path in the cache. Where it is not there, says so in the words that
/// the runner counts.
pub(crate) fn of_cache(test: &str, program: &str, part: &str) -> Option<PathBuf> {
    let found = cache().map(|cache| cache.join(program)).filter(|path| path.is_file());
    if found.is_none() {
        println!("skipped: {test}: no {program}: `cargo xtask setup --only {part}` brings it");
    }
    found
}

/// Addresses on loopback that were free a moment ago: who takes one has to be ready to
/// find it taken.
pub(crate) fn free<const N: usize>() -> [SocketAddr; N] {
    // All are held before one is let go, or two could be the same.
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port is free"));
    held.map(|listener| listener.local_addr().unwrap())
}

/// As xtask's `place.rs` has it.
fn cache() -> Option<PathBuf> {
    let absolute =
        |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("OBSERVER_CACHE")
        .or_else(|| absolute("XDG_CACHE_HOME").map(|folder| folder.join("observer-dev")))
        .or_else(|| env::home_dir().map(|home| home.join(".cache/observer-dev")))
}
