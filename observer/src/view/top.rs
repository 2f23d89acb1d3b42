//! Stand-in.
use crate::export::snapshot::Snapshot;
/// o
#[derive(Debug)]
pub struct Options {
    /// c
    pub colour: bool,
    /// i
    pub interval: std::time::Duration,
    /// t
    pub title: String,
}
/// r
pub fn run(
    mut next: impl FnMut() -> Result<Snapshot, String>,
    _options: Options,
) -> std::io::Result<()> {
    let _ = next();
    Ok(())
}
