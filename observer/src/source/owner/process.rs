//! A process, as `/proc` shows it (proc(5)).

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::model::{Owner, Place};

/// What is read of an environment at most: more than the kernel's usual limit for the
/// part that programs are given by hand.
const ENVIRONMENT: u64 = 128 << 10;

/// Longest name of a service, in characters.
const NAME: usize = 128;

/// The inode of the namespace of process ids that the kernel starts with
/// (`PROC_PID_INIT_INO`).
const INITIAL_PIDS: u64 = 0xeffffffc;

/// Whether the numbers of processes that the kernel's programs see are those that this
/// process sees in `/proc`.
#[must_use]
pub fn sees_all() -> bool {
    fs::metadata("/proc/self/ns/pid").is_ok_and(|data| data.ino() == INITIAL_PIDS)
}

/// When a process began, in ns of `CLOCK_BOOTTIME`, to a clock tick; `None` when there is
/// no such process.
#[must_use]
pub fn started_ns(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(start_ticks(&stat)? * (1_000_000_000 / ticks_per_second()))
}

/// The 22nd field. The second is the name in parentheses, which may hold anything.
fn start_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(19)?.parse().ok()
}

fn ticks_per_second() -> u64 {
    // SAFETY: the call has no preconditions.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).unwrap_or(100).max(1)
}

/// Reads what there is to know; `None` when there is no such process.
#[must_use]
pub fn read(pid: u32) -> Option<Owner> {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let comm = fs::read_to_string(folder.join("comm")).ok()?;
    Some(Owner {
        pid,
        comm: comm.trim_end_matches('\n').to_owned(),
        executable: fs::read_link(folder.join("exe")).ok(),
        place: fs::read_to_string(folder.join("cgroup"))
            .map(|text| Place::of_process(&text))
            .unwrap_or_default(),
        labels: Arc::default(),
        network_namespace: fs::metadata(folder.join("ns/net")).ok().map(|data| data.ino()),
        service_name: environment(&folder).ok().and_then(|text| service_name(&text)),
    })
}

fn environment(folder: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(folder.join("environ"))?.take(ENVIRONMENT).read_to_end(&mut text)?;
    Ok(text)
}

/// By the variables that every SDK of `OpenTelemetry` reads, the first before the second.
fn service_name(environment: &[u8]) -> Option<String> {
    let value = |name: &str| {
        environment.split(|byte| *byte == 0).find_map(|variable| {
            let value = variable.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            str::from_utf8(value).ok()
        })
    };
    let of_resource = || {
        let attributes = value("OTEL_RESOURCE_ATTRIBUTES")?;
        attributes.split(',').find_map(|attribute| {
            let (key, value) = attribute.split_once('=')?;
            (key.trim() == "service.name").then(|| value.trim())
        })
    };
    let given = |name: &&str| !name.is_empty();
    let name = value("OTEL_SERVICE_NAME").filter(given).or_else(|| of_resource().filter(given))?;
    Some(name.chars().filter(|character| !character.is_control()).take(NAME).collect())
}

#[cfg(test)]
mod tests {
    use std::{
        process::{Command, Stdio},
        time::{Duration, Instant},
    };

    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!(start_ticks(&format!("12 (a) S 1 (b) {rest}")), Some(4711));
        assert_eq!(start_ticks("12 (cut) S 1 2"), None);
        assert_eq!(start_ticks(""), None);
    }

    #[test]
    fn the_name_of_a_service_by_its_environment() {
        for (environment, name) in [
            (&b"A=1\0OTEL_SERVICE_NAME=chat\0B=2\0"[..], Some("chat")),
            (b"OTEL_RESOURCE_ATTRIBUTES=a=b, service.name=sfu ,c=d", Some("sfu")),
            (b"OTEL_RESOURCE_ATTRIBUTES=service.name=x\0OTEL_SERVICE_NAME=y", Some("y")),
            (b"OTEL_SERVICE_NAME=\0OTEL_RESOURCE_ATTRIBUTES=service.name=x", Some("x")),
            (b"NOT_OTEL_SERVICE_NAME=x\0OTEL_SERVICE_NAMES=y", None),
            (b"OTEL_SERVICE_NAME=a\nb\x1b[31m", Some("ab[31m")),
            (b"OTEL_SERVICE_NAME=\xff", None),
            (b"", None),
        ] {
            assert_eq!(service_name(environment).as_deref(), name);
        }
        let long = format!("OTEL_SERVICE_NAME={}", "é".repeat(1_000));
        assert_eq!(service_name(long.as_bytes()).unwrap().chars().count(), NAME);
    }

    #[test]
    fn a_process_is_known_while_it_lives() {
        let mut child = Command::new("sleep")
            .arg("60")
            .env("OTEL_SERVICE_NAME", "sleeper")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        // It is this program until it has become the other, which takes some steps.
        let begun = Instant::now();
        let owner = loop {
            let owner = read(child.id()).unwrap();
            let is_other = owner.comm == "sleep" && owner.service_name.is_some();
            if is_other || begun.elapsed() > Duration::from_secs(10) {
                break owner;
            }
        };
        let began = started_ns(child.id()).unwrap();
        let own = started_ns(std::process::id()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(owner.service_name.as_deref(), Some("sleeper"));
        assert!(owner.executable.unwrap().is_absolute());
        let namespace = fs::metadata("/proc/self/ns/net").unwrap().ino();
        assert_eq!(owner.network_namespace, Some(namespace));
        assert!(owner.place.cgroup.starts_with('/'), "{:?}", owner.place);
        assert!(own <= began && own > 0);
        assert_eq!((read(child.id()), started_ns(child.id())), (None, None));
    }
}
