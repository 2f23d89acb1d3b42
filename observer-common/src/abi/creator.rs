//! Who made a socket.

use super::abi;

abi! {
    /// The task that made a socket, or, of a socket that came by accept, the one that
    /// let go of it.
    pub struct Creator {
        /// When that was.
        pub at_ns: u64,
        /// Its cgroup in the v2 hierarchy: the inode of the directory.
        pub cgroup: u64,
        /// Its process (`tgid`), in the initial namespace of process ids.
        pub pid: u32,
        /// Zero.
        pub reserved: u32,
        /// Its name (`comm`), ended by zeros.
        pub comm: [u8; 16],
    }
}

const _: () = assert!(size_of::<Creator>() == 40);

impl Creator {
    /// The name, as far as it is text.
    #[must_use]
    pub fn comm(&self) -> &str {
        let text = self.comm.split(|byte| *byte == 0).next().unwrap_or_default();
        let valid = core::str::from_utf8(text).map_or_else(|error| error.valid_up_to(), str::len);
        core::str::from_utf8(&text[..valid]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::Creator;
    use zerocopy::FromBytes as _;

    #[test]
    fn a_name_ends_where_it_ends() {
        for (bytes, name) in [
            (&b"nginx\0\0\0\0\0\0\0\0\0\0\0"[..], "nginx"),
            (b"sixteen-letters-", "sixteen-letters-"),
            (b"half\xc3\0\0\0\0\0\0\0\0\0\0\0", "half"),
            (&[0; 16], ""),
        ] {
            let mut creator = [0; 40];
            creator[24..].copy_from_slice(bytes);
            assert_eq!(Creator::read_from_bytes(&creator).unwrap().comm(), name);
        }
    }
}
