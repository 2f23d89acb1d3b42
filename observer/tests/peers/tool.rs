//! What a test needs of the host.

use std::{env, process::Command};

/// Whether everything is there: programs, files by their whole path, elements of
/// GStreamer. If not, says so in the words that the runner counts.
pub(crate) fn all_there(test: &str, programs: &[&str]) -> bool {
    let reason = if is_root() {
        let missing: Vec<_> =
            programs.iter().filter(|program| !is_there(program)).copied().collect();
        if missing.is_empty() {
            return true;
        }
        format!("no {}", missing.join(", no "))
    } else {
        "it needs root".to_owned()
    };
    println!("skipped: {test}: {reason}");
    false
}

/// Whether a GStreamer element is installed.
fn is_element(name: &str) -> bool {
    Command::new("gst-inspect-1.0").args(["--exists", name]).status().is_ok_and(|it| it.success())
}

fn is_there(program: &str) -> bool {
    if let Some(element) = program.strip_prefix("GStreamer element ") {
        return is_element(element);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).exists())
}

fn is_root() -> bool {
    // SAFETY: the call has no preconditions.
    unsafe { libc::geteuid() == 0 }
}
