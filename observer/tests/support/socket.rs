//! Options of sockets that the standard library does not know.

use std::{
    io,
    os::fd::{AsRawFd, RawFd},
    time::Duration,
};

use observer::model::SocketCookie;

/// How long to wait for what must come at once, on a slow and busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What the kernel calls the socket.
pub(crate) fn cookie(socket: &impl AsRawFd) -> SocketCookie {
    let mut cookie = 0_u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to the cookie.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    assert_eq!(result, 0, "SO_COOKIE: {}", io::Error::last_os_error());
    SocketCookie(cookie)
}

/// Sets an option.
pub(crate) fn set<T>(socket: RawFd, level: i32, option: i32, value: &T) -> io::Result<()> {
    // SAFETY: the kernel reads no more than the value.
    let result = unsafe {
        libc::setsockopt(
            socket,
            level,
            option,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes close send an RST.
pub(crate) fn abort_on_close(socket: &impl AsRawFd) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    set(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, &linger).unwrap();
}

/// Has datagrams that are handed over in one piece cut into segments of `size` bytes.
pub(crate) fn segment(socket: &impl AsRawFd, size: usize) {
    let size = i32::try_from(size).unwrap();
    set(socket.as_raw_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, &size).unwrap();
}

/// Has segments that came together handed over in one piece.
pub(crate) fn gather(socket: &impl AsRawFd) {
    set(socket.as_raw_fd(), libc::SOL_UDP, libc::UDP_GRO, &1_i32).unwrap();
}
