//! A program from its start to its end: what it took, and what it printed.

use std::{
    fs,
    io::{self, Read as _},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

/// What a program took.
pub(crate) struct Cost {
    /// CPU time of it, its own and the kernel's for it.
    pub(crate) cpu: Duration,
    /// The most memory that it had, in KiB.
    pub(crate) peak_kib: u64,
    /// What it printed.
    pub(crate) output: String,
}

/// Runs it. What it prints comes last and is more than a pipe holds, so that it waits
/// until its memory has been looked at.
pub(crate) fn run(command: &mut Command) -> Result<Cost> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {:?}", command.get_program()))?;
    let mut pipe = child.stdout.take().context("its output is a pipe")?;
    let mut first = [0];
    pipe.read_exact(&mut first).context("it printed nothing")?;
    let peak_kib = peak_kib(child.id())?;
    let mut output = vec![first[0]];
    pipe.read_to_end(&mut output)?;
    let cpu = wait(&mut child)?;
    Ok(Cost { cpu, peak_kib, output: String::from_utf8_lossy(&output).into_owned() })
}

fn peak_kib(id: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let words = line.context("it ended before it was looked at")?;
    words.trim().trim_end_matches("kB").trim().parse().context("VmHWM is a number of kB")
}

/// Waits for its end, which has to be a good one, and says its CPU time.
fn wait(child: &mut Child) -> Result<Duration> {
    let mut status = 0;
    // SAFETY: all zeros are a structure of numbers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the child is ours and not waited for; both structures live for the call.
    let ended =
        unsafe { libc::wait4(child.id().cast_signed(), &raw mut status, 0, &raw mut usage) };
    ensure!(ended > 0, "it cannot be waited for: {}", io::Error::last_os_error());
    ensure!(status == 0, "it ended with status {status}");
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
    };
    Ok(time(usage.ru_utime) + time(usage.ru_stime))
}
