//! The initial file system of a guest: busybox, the binaries under test, and an `init`.
//!
//! Written in the kernel's own archive format (`newc`, see the kernel's
//! `Documentation/driver-api/early-userspace/buffer-format.rst`), without root and without cpio.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// What the guest runs. The host reads the lines that begin with `vm-test:`.
///
/// Errors of the kernel's log stay off the console: they would break into these lines. A panic
/// is shown whatever the level.
const INIT: &str = r#"#!/bin/busybox sh
export PATH=/bin HOME=/tmp TERM=dumb NO_COLOR=1 RUST_BACKTRACE=1
/bin/busybox --install -s /bin
mount -t devtmpfs devtmpfs /dev
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
mount -t tracefs tracefs /sys/kernel/tracing || mount -t debugfs debugfs /sys/kernel/debug
dmesg -n 1
ip link set lo up
echo
echo "vm-test: kernel $(uname -r)"
/kernel --test-threads=1 --nocapture --color never 2>&1
code=$?
echo
echo "vm-test: kernel tests exit $code"
/observer check --format json >/tmp/check 2>/tmp/complaint
code=$?
cat /tmp/complaint
echo "vm-test: check begin"
cat /tmp/check
echo
echo "vm-test: check end $code"
poweroff -f
"#;

/// Packs the archive.
pub(super) fn pack(test: &Path, observer: &Path) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for dir in ["bin", "dev", "proc", "sys", "tmp", "run", "etc"] {
        archive.entry(dir, 0o040_755, &[]);
    }
    archive.entry("init", 0o100_755, INIT.as_bytes());
    let busybox = Path::new("/bin/busybox");
    for (name, file) in [("bin/busybox", busybox), ("kernel", test), ("observer", observer)] {
        let bytes = fs::read(file).with_context(|| {
            format!("cannot read {}: run `cargo xtask setup --only packages`", file.display())
        })?;
        archive.entry(name, 0o100_755, &bytes);
    }
    Ok(archive.finish())
}

#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let size = u32::try_from(content.len()).unwrap_or(u32::MAX);
        let name_size = u32::try_from(name.len() + 1).unwrap_or(u32::MAX);
        // inode, mode, uid, gid, links, mtime, size, device, device of the file, name, checksum
        let fields = [self.entries, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_header_of_110_bytes_a_padded_name_and_padded_content() {
        let mut archive = Archive::default();
        archive.entry("init", 0o100_755, b"hello");
        assert_eq!(&archive.bytes[..14], b"07070100000001");
        assert_eq!(&archive.bytes[14..22], b"000081ed");
        assert_eq!(&archive.bytes[54..62], b"00000005");
        assert_eq!(&archive.bytes[94..102], b"00000005");
        assert_eq!(&archive.bytes[110..116], b"init\0\0");
        assert_eq!(&archive.bytes[116..], b"hello\0\0\0");
        assert!(archive.finish().len().is_multiple_of(4));
    }
}
