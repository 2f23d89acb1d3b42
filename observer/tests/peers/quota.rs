//! A cgroup with a CPU quota, that lasts as long as its test.

use std::{fs, io, path::PathBuf, process::id, time::Duration};

/// The quota: a tenth of one CPU.
const QUOTA_US: u32 = 5_000;
const PERIOD_US: u32 = 50_000;

/// A cgroup below the root of the hierarchy that has the controller `cpu`.
#[derive(Debug)]
pub(crate) struct Quota {
    folder: PathBuf,
    version: u8,
}

impl Quota {
    /// Makes one, or says why this host has none.
    pub(crate) fn new() -> Result<Self, String> {
        let (root, version) = root().ok_or("no hierarchy of cgroups with the controller cpu")?;
        let quota = Self { folder: root.join(format!("observer-{}", id())), version };
        let made = fs::create_dir(&quota.folder).and_then(|()| match version {
            1 => {
                quota.write("cpu.cfs_period_us", PERIOD_US.to_string())?;
                quota.write("cpu.cfs_quota_us", QUOTA_US.to_string())
            }
            _ => {
                fs::write(root.join("cgroup.subtree_control"), "+cpu")?;
                quota.write("cpu.max", format!("{QUOTA_US} {PERIOD_US}"))
            }
        });
        made.map(|()| quota).map_err(|error| format!("no quota at {}: {error}", root.display()))
    }

    /// Puts a process under it.
    pub(crate) fn take_in(&self, process: u32) {
        self.write("cgroup.procs", process.to_string()).expect("a process can be moved");
    }

    /// Periods in which it held its processes back.
    pub(crate) fn periods(&self) -> u64 {
        self.figure("nr_throttled")
    }

    /// For how long it did.
    pub(crate) fn time(&self) -> Duration {
        match self.version {
            1 => Duration::from_nanos(self.figure("throttled_time")),
            _ => Duration::from_micros(self.figure("throttled_usec")),
        }
    }

    fn write(&self, file: &str, text: String) -> io::Result<()> {
        fs::write(self.folder.join(file), text)
    }

    fn figure(&self, name: &str) -> u64 {
        let text = fs::read_to_string(self.folder.join("cpu.stat")).expect("it is there");
        let words: Vec<_> = text.split_whitespace().collect();
        let at = words.iter().position(|word| *word == name).expect("it is told");
        words[at + 1].parse().expect("it is a number")
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        let _best_effort = fs::remove_dir(&self.folder);
    }
}

/// Where the controller is, and of which version of cgroups.
fn root() -> Option<(PathBuf, u8)> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    mounts.lines().find_map(|line| {
        let fields: Vec<_> = line.split(' ').collect();
        let [_, point, kind, options, ..] = fields[..] else { return None };
        let root = PathBuf::from(point);
        match kind {
            "cgroup" if options.split(',').any(|one| one == "cpu") => Some((root, 1)),
            "cgroup2" => {
                let controllers = fs::read_to_string(root.join("cgroup.controllers")).ok()?;
                controllers.split_whitespace().any(|one| one == "cpu").then_some((root, 2))
            }
            _ => None,
        }
    })
}
