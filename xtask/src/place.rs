//! Where things lie: the workspace, the target folder, the cache.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The folders that every task works in.
pub(crate) struct Places {
    /// The root of the workspace.
    pub(crate) root: PathBuf,
    /// Cargo's target folder.
    pub(crate) target: PathBuf,
    /// What is worth keeping between clones: kernels, sources, tools, logs. May be deleted at any time.
    pub(crate) cache: PathBuf,
}

impl Places {
    /// Finds the folders from the environment; creates none.
    pub(crate) fn find() -> Result<Self> {
        // At run time first: a clone that was moved still holds a binary with its old place.
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest
            .parent()
            .context("the workspace has no root: start this as `cargo xtask` inside the clone")?
            .to_path_buf();
        let target = env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root.join("target"), |dir| root.join(dir));
        let cache = cache(
            env::var_os("OBSERVER_CACHE").map(PathBuf::from),
            env::var_os("XDG_CACHE_HOME").map(PathBuf::from),
            env::home_dir(),
        )
        .context(
            "no home folder is known: set OBSERVER_CACHE to a folder for kernels and sources",
        )?;
        Ok(Self { root, target, cache })
    }

    /// The log file of one step of the set-up.
    pub(crate) fn log(&self, step: &str) -> PathBuf {
        self.cache.join("log").join(format!("{step}.log"))
    }
}

fn cache(own: Option<PathBuf>, xdg: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |path: &PathBuf| path.is_absolute();
    own.filter(absolute)
        .or_else(|| xdg.filter(absolute).map(|dir| dir.join("observer-dev")))
        .or_else(|| home.map(|dir| dir.join(".cache/observer-dev")))
}

/// Makes a folder and those above it.
pub(crate) fn create(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| {
        format!("cannot create {}: make it writable, or set OBSERVER_CACHE", dir.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_cache_wins_then_xdg_then_home() {
        let path = |text: &str| Some(PathBuf::from(text));
        assert_eq!(cache(path("/own"), path("/xdg"), path("/home")), path("/own"));
        assert_eq!(cache(None, path("/xdg"), path("/home")), path("/xdg/observer-dev"));
        assert_eq!(cache(None, path("not/absolute"), path("/me")), path("/me/.cache/observer-dev"));
        assert_eq!(cache(None, None, None), None);
    }
}
