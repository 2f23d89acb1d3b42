//! What is attached at the cgroup root, asked of the kernel itself, and a program of
//! somebody else.

use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use observer::source::ebpf::cgroup::CgroupRoot;

/// `enum bpf_cmd` (`include/uapi/linux/bpf.h`).
const PROG_LOAD: libc::c_long = 5;
const PROG_ATTACH: libc::c_long = 8;
const PROG_DETACH: libc::c_long = 9;
const PROG_QUERY: libc::c_long = 16;

/// `BPF_PROG_TYPE_CGROUP_SKB`.
const CGROUP_SKB: u32 = 8;

/// `BPF_F_ALLOW_MULTI`.
pub(crate) const ALLOW_MULTI: u32 = 2;

/// `BPF_CGROUP_INET_EGRESS`; ingress is 0, sockets being made 2, sockops 3, and sockets
/// being closed 34.
const EGRESS: u32 = 1;

/// The attach types that the observer uses.
const OURS: [u32; 5] = [0, EGRESS, 2, 3, 34];

/// `r0 = 1; exit`: every packet passes.
const PASS: [u64; 2] = [0x0000_0001_0000_00b7, 0x95];

/// The members of `union bpf_attr` for loading a program.
#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    instructions: u32,
    code: u64,
    license: u64,
    log: [u64; 2],
    version_and_flags: u64,
    name: [u64; 2],
    interface: u32,
    attach_type: u32,
}

/// Those for attaching and detaching.
#[repr(C)]
#[derive(Default)]
struct Attach {
    target: u32,
    program: u32,
    attach_type: u32,
    flags: u32,
    replaced: u32,
}

/// Those for asking.
#[repr(C)]
#[derive(Default)]
struct Query {
    target: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    programs: u64,
    count: u32,
    reserved: u32,
}

fn bpf<T>(command: libc::c_long, attributes: &mut T) -> io::Result<i32> {
    // SAFETY: the structure is as large as it is said to be, and the pointers in it are of
    // buffers that outlive the call.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attributes, size_of::<T>()) };
    i32::try_from(result).ok().filter(|result| *result >= 0).ok_or_else(io::Error::last_os_error)
}

/// Ids of the programs attached at the cgroup root, on the hooks that the observer uses.
pub(crate) fn attached() -> Vec<u32> {
    let root = CgroupRoot::find(None).unwrap();
    let mut all = Vec::new();
    for attach_type in OURS {
        let mut programs = [0_u32; 256];
        let mut query = Query {
            target: root.directory().as_raw_fd() as u32,
            attach_type,
            programs: programs.as_mut_ptr() as u64,
            count: programs.len() as u32,
            ..Query::default()
        };
        bpf(PROG_QUERY, &mut query).unwrap();
        all.extend(&programs[..query.count as usize]);
    }
    all
}

/// A program of somebody else, on the packets that leave; it goes with this value.
pub(crate) struct Foreign {
    root: CgroupRoot,
    program: OwnedFd,
}

impl Foreign {
    /// Attaches it in the old way, without a link, and with these flags.
    pub(crate) fn attach(flags: u32) -> io::Result<Self> {
        let mut load = Load {
            kind: CGROUP_SKB,
            instructions: PASS.len() as u32,
            code: PASS.as_ptr() as u64,
            license: c"GPL".as_ptr() as u64,
            attach_type: EGRESS,
            ..Load::default()
        };
        let descriptor = bpf(PROG_LOAD, &mut load)?;
        // SAFETY: the system call returned it just now, so nobody else owns it.
        let program = unsafe { OwnedFd::from_raw_fd(descriptor) };
        let root = CgroupRoot::find(None).unwrap();
        bpf(PROG_ATTACH, &mut Attach { flags, ..egress(&root, &program) })?;
        Ok(Self { root, program })
    }
}

fn egress(root: &CgroupRoot, program: &OwnedFd) -> Attach {
    Attach {
        target: root.directory().as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        attach_type: EGRESS,
        ..Attach::default()
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let gone = bpf(PROG_DETACH, &mut egress(&self.root, &self.program));
        if let Err(error) = gone {
            eprintln!("a test's own program was not attached any more: {error}");
        }
    }
}
