//! A device whose other end is the test.

use std::{
    fs::{File, OpenOptions},
    io,
    os::fd::AsRawFd as _,
};

use super::{ends::DEVICE, namespace::Namespace};

/// `_IOW('T', 202, int)` (`include/uapi/linux/if_tun.h`).
const TUNSETIFF: libc::c_ulong = 0x4004_54ca;

/// Makes a device with more than the usual flags. It goes with its descriptors.
pub(crate) fn open(namespace: &Namespace, more: libc::c_int) -> File {
    namespace.enter(|| {
        let device = OpenOptions::new().read(true).write(true).open("/dev/net/tun");
        let device = device.expect("there is /dev/net/tun");
        // SAFETY: zeros are a valid value of this structure of numbers.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(DEVICE.bytes()) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI | more) as libc::c_short;
        // SAFETY: the call reads and writes the structure, which outlives it.
        let result = unsafe { libc::ioctl(device.as_raw_fd(), TUNSETIFF, &raw mut request) };
        assert_eq!(result, 0, "TUNSETIFF: {}", io::Error::last_os_error());
        device
    })
}
