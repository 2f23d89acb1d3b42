//! One boot: qemu without acceleration, a console, and a limit of time.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::command::command;

/// What came of a boot.
pub(super) struct Boot {
    /// Everything the guest printed.
    pub(super) console: String,
    /// Until the guest's first own line.
    pub(super) boot: Option<Duration>,
    /// Until it was off.
    pub(super) whole: Duration,
    /// Whether it had to be stopped.
    pub(super) timed_out: bool,
}

/// The command that boots a kernel; the emulator is the same on every host, with or without KVM.
pub(super) fn qemu(kernel: &Path, image: &Path) -> Command {
    let mut qemu = command("qemu-system-x86_64");
    qemu.args(["-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "1024"]);
    qemu.args(["-nographic", "-nodefaults", "-serial", "stdio", "-no-reboot", "-net", "none"]);
    qemu.arg("-kernel").arg(kernel).arg("-initrd").arg(image);
    qemu.args(["-append", "console=ttyS0 quiet panic=-1 rdinit=/init"]);
    qemu
}

/// Boots and waits until the guest is off, has panicked, or the time is up.
pub(super) fn boot(mut qemu: Command, limit: Duration) -> Result<Boot> {
    let begun = Instant::now();
    let mut child = qemu
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start qemu-system-x86_64: run `cargo xtask setup --only packages`")?;
    let outcome = listen(&mut child, begun, limit);
    // Off already, unless the time is up; then nobody else would end it.
    child.kill().context("cannot stop qemu: end it by hand")?;
    child.wait()?;
    outcome
}

fn listen(child: &mut Child, begun: Instant, limit: Duration) -> Result<Boot> {
    let (send, lines) = channel::<String>();
    let missing = "a pipe that was asked for is missing: report this";
    let stdout = child.stdout.take().context(missing)?;
    let stderr = child.stderr.take().context(missing)?;
    let complaints = send.clone();
    thread::spawn(move || forward(BufReader::new(stdout), |line| send.send(line).is_ok()));
    thread::spawn(move || forward(BufReader::new(stderr), |line| complaints.send(line).is_ok()));

    let mut result =
        Boot { console: String::new(), boot: None, whole: Duration::ZERO, timed_out: false };
    loop {
        match lines.recv_timeout(limit.saturating_sub(begun.elapsed())) {
            Ok(line) => {
                if result.boot.is_none() && line.starts_with("vm-test: kernel ") {
                    result.boot = Some(begun.elapsed());
                }
                result.console += &line;
                result.console.push('\n');
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                result.timed_out = true;
                break;
            }
        }
    }
    result.whole = begun.elapsed();
    Ok(result)
}

/// Hands on each line, without what is meant for a terminal.
fn forward(mut reader: impl BufRead, mut each: impl FnMut(String) -> bool) {
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
        let line = plain(&String::from_utf8_lossy(&bytes));
        if !each(line) {
            return;
        }
        bytes.clear();
    }
}

/// A line without carriage returns and escape sequences: the firmware clears the screen, and
/// shown on a developer's terminal it would clear that.
fn plain(line: &str) -> String {
    let mut text = String::new();
    let mut characters = line.trim_end().chars();
    while let Some(character) = characters.next() {
        match character {
            '\x1b' => {
                if characters.next() == Some('[') {
                    characters.by_ref().find(char::is_ascii_alphabetic);
                }
            }
            '\r' => {}
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_firmware_does_not_clear_the_readers_screen() {
        assert_eq!(
            plain("\x1bc\x1b[?7l\x1b[2J\x1b[0mvm-test: kernel 6.1\r\n"),
            "vm-test: kernel 6.1"
        );
    }

    #[test]
    fn a_silent_guest_is_stopped_when_its_time_is_up() {
        let mut sleeper = Command::new("sleep");
        sleeper.arg("60");
        let boot = boot(sleeper, Duration::from_millis(100)).unwrap();
        assert!(boot.timed_out && boot.boot.is_none() && boot.whole < Duration::from_secs(10));
    }

    #[test]
    fn the_console_loses_its_carriage_returns() {
        let mut echo = Command::new("printf");
        echo.arg("vm-test: kernel 6.1\\r\\nfigure a=1\\r\\n");
        let boot = boot(echo, Duration::from_secs(10)).unwrap();
        assert_eq!(boot.console, "vm-test: kernel 6.1\nfigure a=1\n");
        assert!(!boot.timed_out && boot.boot.is_some());
    }
}
