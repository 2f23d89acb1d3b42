//! Builds the eBPF object with the crate, so that it cannot be stale.
//!
//! `OBSERVER_EBPF=stub` builds without it, for machines that only replay captures
//! or check the code.

use std::env;

use anyhow::{Context as _, Result, bail};
use aya_build::{Package, Toolchain, build_ebpf};

fn main() -> Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../observer-common");
    println!("cargo::rerun-if-changed=../Cargo.lock");
    println!("cargo::rerun-if-env-changed=OBSERVER_EBPF");
    println!("cargo::rustc-check-cfg=cfg(ebpf_stub)");
    match env::var("OBSERVER_EBPF").as_deref() {
        Ok("stub") => {
            println!("cargo::rustc-cfg=ebpf_stub");
            return Ok(());
        }
        Ok(other) if !other.is_empty() => {
            bail!("OBSERVER_EBPF={other} means nothing. Set it to `stub`, or unset it.")
        }
        _ => {}
    }
    // SAFETY: a build script has one thread when it starts. The nightly features
    // that `core` for the BPF target needs are opened for this one build, and cargo
    // is kept from reporting progress as warnings.
    unsafe {
        env::set_var("RUSTC_BOOTSTRAP", "1");
        env::set_var("CARGO_TERM_QUIET", "true");
    }
    let toolchain = env::var("RUSTUP_TOOLCHAIN").unwrap_or_else(|_| "stable".to_owned());
    build_ebpf(
        [Package { name: "observer-ebpf", root_dir: "../observer-ebpf", ..Package::default() }],
        Toolchain::Custom(&toolchain),
    )
    .context(
        "the eBPF programs did not build. `cargo xtask setup` installs what they need; \
         OBSERVER_EBPF=stub builds without them",
    )
}
