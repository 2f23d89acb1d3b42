//! How other programs are started: without cargo's own environment, with an error that says what ran.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, IsTerminal, Write, stdin};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::place;

/// A command that starts with the environment that the developer's shell has.
///
/// `cargo run` adds the sysroot's libraries to `LD_LIBRARY_PATH`. With it, a `bpf-linker` whose
/// own search path is stale would seem to run here and fail everywhere else.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_remove("LD_LIBRARY_PATH");
    for (key, _) in env::vars_os() {
        let name = key.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&key);
        }
    }
    command
}

/// The cargo that started this task, for the toolchain that the developer chose.
pub(crate) fn cargo() -> Command {
    command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The command for root: as it is when this is root, else by way of sudo.
pub(crate) fn as_root(program: impl AsRef<OsStr>) -> Result<Command> {
    if is_root()? {
        return Ok(command(program));
    }
    ensure!(
        find("sudo").is_some(),
        "this needs root, and there is no sudo: start the same command as root"
    );
    let mut sudo = command("sudo");
    sudo.arg("-E").arg("--").arg(program);
    Ok(sudo)
}

/// Whether root can be had: at once, or by a password that someone can type.
pub(crate) fn root_is_to_be_had() -> bool {
    if is_root().unwrap_or(false) {
        return true;
    }
    if find("sudo").is_none() {
        return false;
    }
    let ask = |flag: &str| {
        command("sudo").args([flag, "true"]).status().is_ok_and(|status| status.success())
    };
    let mut quiet = command("sudo");
    quiet.args(["-n", "true"]).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success()) || (stdin().is_terminal() && ask("--"))
}

/// Whether this process is root.
pub(crate) fn is_root() -> Result<bool> {
    let own = fs::metadata("/proc/self").context("cannot read /proc: mount it")?;
    Ok(own.uid() == 0)
}

/// Where a program lies on PATH.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join(program)).find(|path| path.is_file())
}

/// What a command prints; an error carries what it complained of.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| cannot_start(command))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "`{}` failed ({}): {}",
        line(command),
        output.status,
        complaint.trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command into a log file; an error shows the log's last lines.
pub(crate) fn logged(command: &mut Command, log: &Path) -> Result<()> {
    if let Some(dir) = log.parent() {
        place::create(dir)?;
    }
    let mut file = File::options()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("cannot write {}: make it writable", log.display()))?;
    writeln!(file, "$ {}", line(command))?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let status = command.status().with_context(|| cannot_start(command))?;
    if !status.success() {
        let text = fs::read(log).unwrap_or_default();
        bail!(
            "`{}` failed ({status})\n{}\nall of it: {}",
            line(command),
            last_lines(&String::from_utf8_lossy(&text), 20),
            log.display()
        );
    }
    Ok(())
}

/// Runs a command, shows its standard output as it comes, and hands each line on.
pub(crate) fn tee(command: &mut Command, mut each: impl FnMut(&str)) -> Result<ExitStatus> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| cannot_start(command))?;
    let pipe = child.stdout.take().context("a pipe that was asked for is missing: report this")?;
    let mut reader = BufReader::new(pipe);
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes)? > 0 {
        let text = String::from_utf8_lossy(&bytes);
        // By the macro, so that a test of this program does not print results of its own.
        print!("{text}");
        each(text.trim_end());
        bytes.clear();
    }
    Ok(child.wait()?)
}

/// The end of a long text.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// The command as one would type it.
pub(crate) fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// What to say of a command that does not start.
pub(crate) fn cannot_start(command: &Command) -> String {
    let program = command.get_program().to_string_lossy().into_owned();
    format!(
        "cannot start `{program}`: install it (`cargo xtask setup` installs what this workspace needs)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_its_complaint() {
        let error =
            output(Command::new("sh").args(["-c", "echo no such luck >&2; exit 3"])).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("sh -c") && text.contains("no such luck"), "{text}");
    }

    #[test]
    fn tee_hands_on_every_line_even_the_last_without_an_end() {
        let mut lines = Vec::new();
        let status =
            tee(Command::new("printf").arg("a\nb"), |line| lines.push(line.to_owned())).unwrap();
        assert!(status.success());
        assert_eq!(lines, ["a", "b"]);
    }

    #[test]
    fn last_lines_of_a_short_text_are_all_of_it() {
        assert_eq!(last_lines("a\nb\nc", 2), "b\nc");
        assert_eq!(last_lines("a", 5), "a");
    }
}
