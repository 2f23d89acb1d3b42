//! What CPU quotas cost cgroups: `cpu.stat` of either version of cgroups.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{CauseError, growth::Growth};
use crate::{
    model::Throttling,
    source::ebpf::{cgroup::unescape, namespace::is_gone},
};

const MOUNTS: &str = "/proc/self/mountinfo";

/// Where hierarchies of cgroups are mounted that can have CPU quotas.
#[derive(Debug, Default)]
pub struct Hierarchies(Vec<Mount>);

#[derive(Debug, PartialEq, Eq)]
struct Mount {
    version: Version,
    /// The cgroup that shows at `point`.
    root: PathBuf,
    point: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    /// The hierarchy of the controller `cpu`.
    V1,
    V2,
}

/// `cpu.stat` of a cgroup.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CpuStat(PathBuf);

/// What quotas have cost the cgroups that are observed.
#[derive(Debug, Default)]
pub struct Throttles {
    observed: BTreeSet<CpuStat>,
    growth: Growth<CpuStat, 2>,
}

impl Throttles {
    /// Observes from here on the cgroups that these are the contents of
    /// `/proc/PID/cgroup` of, and no others. Gives those that cannot be found.
    pub fn observe(&mut self, cgroups: &BTreeSet<String>) -> Vec<CauseError> {
        let hierarchies = match Hierarchies::find() {
            Ok(hierarchies) => hierarchies,
            Err(error) => return vec![error],
        };
        let mut errors = Vec::new();
        self.observed.clear();
        for cgroup in cgroups {
            match hierarchies.cpu_stat(cgroup) {
                Ok(stat) => self.observed.extend(stat),
                Err(error) => errors.push(error),
            }
        }
        errors
    }

    /// Reads what the quotas have cost. Gives what could not be read.
    pub fn update(&mut self) -> Vec<CauseError> {
        let mut errors = Vec::new();
        for stat in &self.observed {
            match stat.read() {
                Ok(Some(throttling)) => {
                    let nanoseconds = u64::try_from(throttling.time.as_nanos()).unwrap_or(u64::MAX);
                    self.growth.see(stat.clone(), [throttling.periods, nanoseconds]);
                }
                Ok(None) => {}
                Err(error) => errors.push(error),
            }
        }
        self.growth.keep(|stat| self.observed.contains(stat));
        errors
    }

    /// What quotas have cost each since it was first observed, in all.
    #[must_use]
    pub const fn sum(&self) -> Throttling {
        let [periods, nanoseconds] = self.growth.sum();
        Throttling { periods, time: Duration::from_nanos(nanoseconds) }
    }
}

impl Hierarchies {
    /// Finds them among this process' mounts.
    ///
    /// # Errors
    /// When those cannot be read.
    pub fn find() -> Result<Self, CauseError> {
        let path = Path::new(MOUNTS);
        let text = fs::read_to_string(path).map_err(|source| CauseError::read(path, source))?;
        Ok(Self::parse(&text))
    }

    fn parse(mountinfo: &str) -> Self {
        Self(mountinfo.lines().filter_map(mount).collect())
    }

    /// Where the cgroup of a process keeps its `cpu.stat`; `cgroup` is the content of its
    /// `/proc/PID/cgroup`. None if neither version of cgroups gives it CPU time.
    ///
    /// # Errors
    /// When the content is not what it should be, or the cgroup is on no mount.
    pub fn cpu_stat(&self, cgroup: &str) -> Result<Option<CpuStat>, CauseError> {
        let Some((version, path)) = hierarchy(cgroup)? else { return Ok(None) };
        // A process beyond the root of this one's cgroup namespace has dots in its path.
        if path.components().any(|part| part.as_os_str() == "..") {
            return Err(CauseError::Unmounted);
        }
        // What is mounted later may cover what was mounted before.
        let mut mounts = self.0.iter().rev().filter(|mount| mount.version == version);
        let folder = mounts.find_map(|mount| {
            path.strip_prefix(&mount.root).ok().map(|below| mount.point.join(below))
        });
        let folder = folder.ok_or(CauseError::Unmounted)?;
        Ok(Some(CpuStat(folder.join("cpu.stat"))))
    }
}

impl CpuStat {
    /// What a quota has cost the cgroup since it was made. None if it is no more, or if
    /// it can have no quota.
    ///
    /// # Errors
    /// When the file cannot be read or is not what it should be.
    pub fn read(&self) -> Result<Option<Throttling>, CauseError> {
        match fs::read_to_string(&self.0) {
            Ok(text) => throttling(&text),
            // Reading a file of a cgroup that was just removed gives ENODEV.
            Err(error) if is_gone(&error) || error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(error) => Err(CauseError::read(&self.0, error)),
        }
    }
}

/// The contents of `/proc/PID/cgroup` of these processes. One that has ended meanwhile is
/// in none.
pub fn of_processes(pids: &BTreeSet<u32>) -> BTreeSet<String> {
    let cgroup = |pid| fs::read_to_string(format!("/proc/{pid}/cgroup")).ok();
    pids.iter().filter_map(cgroup).collect()
}

/// A line of mountinfo (proc(5)), if a hierarchy that can have CPU quotas is mounted there.
fn mount(line: &str) -> Option<Mount> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut fields = mount.split(' ').skip(3);
    let (root, point) = (unescape(fields.next()?), unescape(fields.next()?));
    let mut filesystem = filesystem.split(' ');
    let version = match filesystem.next()? {
        "cgroup2" => Version::V2,
        "cgroup" if filesystem.nth(1)?.split(',').any(|option| option == "cpu") => Version::V1,
        _ => return None,
    };
    Some(Mount { version, root, point })
}

/// Which hierarchy gives a process its CPU time, and its cgroup there (cgroups(7)).
fn hierarchy(cgroup: &str) -> Result<Option<(Version, &Path)>, CauseError> {
    let mut found = None;
    for line in cgroup.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) =
            (fields.next(), fields.next(), fields.next())
        else {
            return Err(CauseError::Malformed {
                file: "/proc/PID/cgroup",
                what: "a line that is not of three fields",
            });
        };
        if controllers.split(',').any(|one| one == "cpu") {
            return Ok(Some((Version::V1, Path::new(path))));
        }
        if line.starts_with("0::") {
            found = Some((Version::V2, Path::new(path)));
        }
    }
    Ok(found)
}

/// Of a `cpu.stat`: of version 2 the time is in µs, of version 1 in ns. None where there
/// are no figures of quotas, as at the root or where the controller `cpu` is not enabled.
///
/// # Errors
/// When one of the figures is missing, or is no number.
pub fn throttling(stat: &str) -> Result<Option<Throttling>, CauseError> {
    const MALFORMED: CauseError = CauseError::Malformed {
        file: "cpu.stat",
        what: "a counter missing, or one that is no number",
    };
    let figure = |name| {
        let line = stat.lines().find_map(|line| match line.split_once(' ') {
            Some((one, figure)) => (one == name).then_some(figure),
            None => (line == name).then_some(""),
        });
        line.map(|figure| figure.trim_end().parse().map_err(|_| MALFORMED)).transpose()
    };
    let microseconds = figure("throttled_usec")?.map(Duration::from_micros);
    let time = microseconds.or(figure("throttled_time")?.map(Duration::from_nanos));
    match (figure("nr_throttled")?, time) {
        (Some(periods), Some(time)) => Ok(Some(Throttling { periods, time })),
        (None, None) => Ok(None),
        _ => Err(MALFORMED),
    }
}

#[cfg(test)]
mod tests;
