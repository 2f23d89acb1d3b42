//! A place for the files of one test.

use std::{
    env::temp_dir,
    fs,
    path::{Path, PathBuf},
    process::id,
    sync::atomic::{AtomicU32, Ordering},
};

/// Folders that this process has made.
static MADE: AtomicU32 = AtomicU32::new(0);

/// A folder that is removed when this goes.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Makes one.
    pub(crate) fn new() -> Self {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = temp_dir().join(format!("observer-test-{}-{number}", id()));
        fs::create_dir(&path).expect("the temporary folder can be written to");
        Self(path)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _best_effort = fs::remove_dir_all(&self.0);
    }
}
