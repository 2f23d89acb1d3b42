//! `bpf-linker`, on rustc's own LLVM: half a minute, and no LLVM packages.
//!
//! It has to read the bitcode that this very rustc writes, so a toolchain update can break it in
//! two ways: its library is gone, or its LLVM is older than the bitcode. Both are found by
//! linking a one-line program.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::Outcome;
use super::rust::{rustc_field, sysroot};
use crate::command::{cargo, command, find, logged, output};
use crate::place::{self, Places};

const VERSION: &str = "0.13.0";

/// The smallest program that exercises the bitcode reader; `core` is not needed for it.
const PROBE: &str = r#"#![feature(no_core, lang_items)]
#![no_core]
#![allow(internal_features)]
#[lang = "pointee_sized"]
pub trait PointeeSized {}
#[lang = "meta_sized"]
pub trait MetaSized: PointeeSized {}
#[lang = "sized"]
pub trait Sized: MetaSized {}
#[lang = "copy"]
pub trait Copy: Sized {}
impl Copy for i32 {}
#[unsafe(no_mangle)]
#[unsafe(link_section = "cgroup_skb/ingress")]
pub extern "C" fn probe() -> i32 {
    1
}
"#;

pub(super) fn ensure(places: &Places) -> Result<Outcome> {
    let broken = match find("bpf-linker") {
        Some(path) => match works(places, &path) {
            Ok(version) => return Ok(Outcome::Present(format!("{version} ({})", path.display()))),
            Err(error) => Some(error),
        },
        None => None,
    };
    if let Some(error) = broken {
        println!("anew, because the one on PATH does not work: {error:#}");
    }
    install(places)?;
    let path = find("bpf-linker").with_context(|| {
        format!("bpf-linker was installed, but is not on PATH: add {} to PATH", bin_dir().display())
    })?;
    let version = works(places, &path).with_context(|| {
        format!(
            "{} still does not work: remove it if it is not the one in {}",
            path.display(),
            bin_dir().display()
        )
    })?;
    Ok(Outcome::Done(format!("{version} ({})", path.display())))
}

/// Starts it, and links what this rustc emits.
fn works(places: &Places, linker: &Path) -> Result<String> {
    let text = output(command(linker).arg("--version"))?;
    let version = text.trim().trim_start_matches("bpf-linker ").to_owned();
    ensure!(at_least(&version, VERSION), "bpf-linker {version} is older than {VERSION}");
    let dir = places.cache.join("linker-probe");
    place::create(&dir)?;
    fs::write(dir.join("probe.rs"), PROBE)?;
    let mut rustc = command("rustc");
    rustc.args([
        "--edition=2024",
        "--crate-type=lib",
        "--target=bpfel-unknown-none",
        "--emit=llvm-bc",
    ]);
    rustc
        .args(["-Copt-level=2", "-o", "probe.bc", "probe.rs"])
        .env("RUSTC_BOOTSTRAP", "1")
        .current_dir(&dir);
    // The probe leans on rustc's internals: a toolchain that refuses it proves nothing about the linker.
    if output(&mut rustc).is_ok() {
        output(
            command(linker)
                .args(["--target", "bpfel-unknown-none", "probe.bc", "-o", "probe.o"])
                .current_dir(&dir),
        )
        .context("it cannot link what this rustc emits")?;
    }
    Ok(version)
}

fn install(places: &Places) -> Result<()> {
    let llvm = rustc_field("LLVM version")?;
    let major = llvm.split('.').next().unwrap_or_default();
    let libraries = sysroot()?.join("lib");
    let library = own_llvm(&libraries)?;
    // llvm-sys wants a prefix with a lib/libLLVM.so.
    let prefix = places.cache.join("llvm");
    place::create(&prefix.join("lib"))?;
    let link = prefix.join("lib/libLLVM.so");
    if link.is_symlink() {
        fs::remove_file(&link)?;
    }
    symlink(&library, &link).with_context(|| {
        format!("cannot write {}: delete the folder {}", link.display(), prefix.display())
    })?;

    let mut install = cargo();
    install.args(["install", "bpf-linker", "--locked", "--force", "--version", VERSION]);
    install.args(["--no-default-features", "--features", &format!("llvm-{major}")]);
    install.env("LLVM_PREFIX", &prefix);
    install.env("RUSTFLAGS", format!("-Clink-arg=-Wl,-rpath,{}", libraries.display()));
    // Both would win over the flags above, and the workspace's target folder is not the place to build tools in.
    install.env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("CARGO_TARGET_DIR");
    install.current_dir(&places.cache);
    logged(&mut install, &places.log("bpf-linker")).with_context(|| {
        format!("a bpf-linker {VERSION} of your own on PATH, built for LLVM {major} or later, is taken as it is")
    })
}

/// The LLVM that rustc itself is linked with: `libLLVM.so.22.1-rust-1.95.0-stable`.
fn own_llvm(libraries: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(libraries)
        .with_context(|| format!("cannot read {}: install Rust by rustup", libraries.display()))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libLLVM.so."))
        })
        .collect();
    found.sort();
    found.pop().with_context(|| {
        format!("{} holds no libLLVM.so: install Rust by rustup, or bring a bpf-linker {VERSION} of your own", libraries.display())
    })
}

fn bin_dir() -> PathBuf {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    home.or_else(|| Some(env::home_dir()?.join(".cargo"))).unwrap_or_default().join("bin")
}

/// Whether a version is this one or a later one, number by number.
pub(super) fn at_least(version: &str, least: &str) -> bool {
    let numbers = |text: &str| {
        text.split(['.', '-']).map_while(|part| part.parse::<u32>().ok()).collect::<Vec<_>>()
    };
    numbers(version) >= numbers(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number_not_by_letter() {
        assert!(at_least("0.13.0", "0.13.0"));
        assert!(at_least("0.100.1", "0.13.0"));
        assert!(!at_least("0.9.15", "0.13.0"));
        assert!(!at_least("nonsense", "0.13.0"));
    }
}
