//! Packages of another Debian suite, with signatures checked, without touching the system's apt.
//!
//! A suite gets an apt configuration of its own in the cache. Nothing is installed from it: a
//! package is fetched and unpacked.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::command::{command, find, logged, output};
use crate::place::{self, Places};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// One suite (`bookworm`, `sid`, …) of a mirror, its lists fetched.
pub(super) struct Suite {
    dir: PathBuf,
    name: String,
}

impl Suite {
    /// Writes the configuration and fetches the suite's lists.
    pub(super) fn open(places: &Places, mirror: &str, name: &str) -> Result<Self> {
        for program in ["apt-get", "dpkg-deb"] {
            ensure!(
                find(program).is_some(),
                "there is no `{program}`: use a Debian or Ubuntu host or container"
            );
        }
        ensure!(
            Path::new(KEYRING).is_file(),
            "{KEYRING} is missing: `apt-get install debian-archive-keyring` brings the keys that Debian signs with"
        );
        let suite = Self { dir: places.cache.join("apt").join(name), name: name.to_owned() };
        for part in ["lists/partial", "cache/archives/partial"] {
            place::create(&suite.dir.join(part))?;
        }
        fs::write(
            suite.dir.join("sources.list"),
            format!("deb [arch=amd64 signed-by={KEYRING}] {mirror} {name} main\n"),
        )?;
        fs::write(suite.config(), configuration(&suite.dir))?;
        logged(suite.apt("apt-get").args(["-q", "-o", "APT::Update::Error-Mode=any", "update"]), &places.log("apt"))
            .with_context(|| format!("cannot fetch the lists of Debian's {name}: set OBSERVER_DEBIAN_MIRROR to a mirror that has it"))?;
        Ok(suite)
    }

    /// The versions of a package in this suite.
    pub(super) fn versions(&self, package: &str) -> Result<Vec<String>> {
        let text = output(self.apt("apt-cache").args(["madison", package]))?;
        Ok(text
            .lines()
            .filter_map(|line| line.split('|').nth(1))
            .map(|version| version.trim().to_owned())
            .collect())
    }

    /// The package and the version that a meta package stands for: `Depends: real (= 1.2)`.
    pub(super) fn behind(&self, meta: &str, like: &str) -> Result<(String, String)> {
        let text = output(self.apt("apt-cache").args(["show", "--no-all-versions", meta]))?;
        behind(&text, like).with_context(|| {
            format!(
                "{meta} of Debian's {} names no {like}*: mend xtask/src/setup/kernels.rs",
                self.name
            )
        })
    }

    /// Fetches a package into a folder, its hash checked against the signed lists.
    pub(super) fn fetch(&self, package: &str, version: &str, into: &Path) -> Result<PathBuf> {
        output(
            self.apt("apt-get")
                .args(["-q", "download", &format!("{package}={version}")])
                .current_dir(into),
        )
        .with_context(|| {
            format!("cannot fetch {package} {version}: try again when the network is back")
        })?;
        let file = fs::read_dir(into)?.filter_map(|entry| Some(entry.ok()?.path())).find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(&format!("{package}_")) && name.ends_with(".deb")
        });
        file.with_context(|| {
            format!(
                "apt-get fetched no {package} into {}: delete that folder and try again",
                into.display()
            )
        })
    }

    fn config(&self) -> PathBuf {
        self.dir.join("apt.conf")
    }

    fn apt(&self, program: &str) -> std::process::Command {
        let mut apt = command(program);
        apt.env("APT_CONFIG", self.config()).env("LC_ALL", "C");
        apt
    }
}

/// The mirror: the one that is asked for, else the one that the system's own apt uses for Debian.
pub(super) fn mirror() -> Result<String> {
    if let Ok(mirror) = std::env::var("OBSERVER_DEBIAN_MIRROR") {
        return Ok(mirror.trim_end_matches('/').to_owned());
    }
    let targets = |form: &[&str]| {
        output(command("apt-get").arg("indextargets").args(form).arg("Created-By: Packages"))
            .unwrap_or_default()
    };
    // With lists fetched, apt knows the origin; before the first update only the names are known.
    let known = targets(&["--format", "$(ORIGIN) $(RELEASE) $(SITE)"]);
    let named = || targets(&["--no-release-info", "--format", "Debian $(RELEASE) $(SITE)"]);
    debian_site(&known)
        .or_else(|| {
            debian_site(&named()).filter(|site| site.trim_end_matches('/').ends_with("/debian"))
        })
        .context(
            "apt knows no Debian mirror here: set OBSERVER_DEBIAN_MIRROR to the address of one, \
             and install the package debian-archive-keyring",
        )
}

fn debian_site(targets: &str) -> Option<String> {
    const RELEASES: [&str; 8] =
        ["bullseye", "bookworm", "trixie", "forky", "sid", "stable", "testing", "unstable"];
    targets.lines().find_map(|line| {
        let (origin, rest) = line.split_once(' ')?;
        let (release, site) = rest.split_once(' ')?;
        (origin == "Debian" && RELEASES.contains(&release))
            .then(|| site.trim_end_matches('/').to_owned())
    })
}

fn configuration(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "Dir::Etc::sourcelist \"{dir}/sources.list\";\n\
         Dir::Etc::sourceparts \"/dev/null\";\n\
         Dir::Etc::preferences \"/dev/null\";\n\
         Dir::Etc::preferencesparts \"/dev/null\";\n\
         Dir::State::lists \"{dir}/lists\";\n\
         Dir::State::status \"/dev/null\";\n\
         Dir::Cache \"{dir}/cache\";\n\
         APT::Architecture \"amd64\";\n\
         APT::Architectures {{ \"amd64\"; }};\n\
         APT::Sandbox::User \"root\";\n\
         Acquire::Languages \"none\";\n"
    )
}

fn behind(show: &str, like: &str) -> Option<(String, String)> {
    let depends = show.lines().find_map(|line| line.strip_prefix("Depends: "))?;
    depends.split(',').find_map(|one| {
        let (package, version) = one.trim().split_once(" (= ")?;
        package
            .starts_with(like)
            .then(|| (package.to_owned(), version.trim_end_matches(')').to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_debians_main_archive_and_no_other() {
        let targets = "Node nodistro http://n.example/\nDebian bookworm-security http://s.example/debian-security\n\
                       Debian bookworm http://m.example/debian/\n";
        assert_eq!(debian_site(targets).as_deref(), Some("http://m.example/debian"));
        assert_eq!(debian_site("Ubuntu noble http://u.example/ubuntu\n"), None);
    }

    #[test]
    fn a_meta_package_names_what_it_stands_for() {
        let show = "Package: linux-image-cloud-amd64\nDepends: linux-image-6.1.0-1-cloud-amd64 (= 6.1.5-1)\n";
        let pair = ("linux-image-6.1.0-1-cloud-amd64".to_owned(), "6.1.5-1".to_owned());
        assert_eq!(behind(show, "linux-image-"), Some(pair));
        assert_eq!(behind("Package: x\nDepends: base-files\n", "linux-image-"), None);
    }
}
