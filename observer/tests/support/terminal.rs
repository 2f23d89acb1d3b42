//! A command at a terminal of its own.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::process::CommandExt as _,
    },
    process::{Child, Command, ExitStatus},
    ptr,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

/// The command, and the end of the terminal where a person sits. Ended with this.
pub(crate) struct Terminal {
    child: Child,
    person: File,
    screen: Arc<Mutex<String>>,
    line: OwnedFd,
}

impl Terminal {
    /// Starts `command` at a terminal of so many columns and rows.
    pub(crate) fn start(command: &mut Command, columns: u16, rows: u16) -> Self {
        let (mut person, mut line) = (0, 0);
        let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: what is pointed to lives for the call.
        let opened = unsafe {
            libc::openpty(
                &raw mut person,
                &raw mut line,
                ptr::null_mut(),
                ptr::null(),
                &raw const size,
            )
        };
        assert_eq!(opened, 0);
        // SAFETY: the call returned both just now, so nobody else owns them.
        let (person, line) = unsafe { (File::from_raw_fd(person), OwnedFd::from_raw_fd(line)) };
        let at_terminal = || {
            // SAFETY: neither call touches memory, and standard input is the terminal.
            match unsafe { libc::setsid() | libc::ioctl(0, libc::TIOCSCTTY, 0) } {
                -1 => Err(io::Error::last_os_error()),
                _ => Ok(()),
            }
        };
        command
            .stdin(line.try_clone().unwrap())
            .stdout(line.try_clone().unwrap())
            .stderr(line.try_clone().unwrap());
        // SAFETY: only system calls are made between fork and exec.
        let child = unsafe { command.pre_exec(at_terminal) }.spawn().unwrap();
        let screen = Arc::new(Mutex::new(String::new()));
        let (mut output, seen) = (person.try_clone().unwrap(), Arc::clone(&screen));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                seen.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
        });
        Self { child, person, screen, line }
    }

    /// Everything it wrote.
    pub(crate) fn screen(&self) -> String {
        self.screen.lock().unwrap().clone()
    }

    #[track_caller]
    pub(crate) fn wait_for(&self, word: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.screen().contains(word) {
            assert!(Instant::now() < deadline, "no {word:?} in {:?}", self.screen());
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.person.write_all(keys.as_bytes()).unwrap();
    }

    pub(crate) fn signal(&self, signal: i32) {
        // SAFETY: the process is our child, and not waited for yet.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
    }

    /// Takes the terminal away, as when a connection breaks. As root.
    pub(crate) fn hang_up(&self) {
        /// `include/uapi/asm-generic/ioctls.h`.
        const TIOCVHANGUP: libc::c_ulong = 0x5437;
        // SAFETY: the call takes no pointer.
        assert_eq!(unsafe { libc::ioctl(self.line.as_raw_fd(), TIOCVHANGUP) }, 0);
    }

    /// Whether keys come as they are pressed, without echo.
    pub(crate) fn is_raw(&self) -> bool {
        // SAFETY: zeros are a value of it, and it lives for the call.
        let mode = unsafe {
            let mut mode: libc::termios = std::mem::zeroed();
            assert_eq!(libc::tcgetattr(self.line.as_raw_fd(), &raw mut mode), 0);
            mode
        };
        mode.c_lflag & (libc::ICANON | libc::ECHO) == 0
    }

    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // What it wrote last is on its way.
                thread::sleep(Duration::from_millis(100));
                return status;
            }
            assert!(Instant::now() < deadline, "it goes on: {:?}", self.screen());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}
