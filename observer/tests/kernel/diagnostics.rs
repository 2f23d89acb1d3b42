//! What the programs say of themselves, by aya-log.

use std::{
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use aya_log::EbpfLogger;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{
    observation::{LIMITS, Observation, figure},
    path::Path,
    rtp::Stream,
};

/// Everything that was logged in this process.
static LOGGED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Logged;

impl io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        logged().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Logged {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

fn logged() -> MutexGuard<'static, Vec<u8>> {
    LOGGED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lines about a stream that are logged while 1,000 packets of it pass.
fn lines(diagnostics: bool, ssrc: u32) -> usize {
    // The second test finds it done.
    let _done = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(Logged)
        .try_init();
    let mut observation = Observation::with(LIMITS, diagnostics);
    let mut logger = EbpfLogger::init(&mut observation.kernel.loaded_mut().ebpf).unwrap();
    let (path, stream) = (Path::v4(), Stream::pcmu(ssrc));
    (0..1_000).for_each(|number| path.carry(&stream.packet(number)));
    logger.flush();
    let text = String::from_utf8_lossy(&logged()).into_owned();
    text.lines().filter(|line| line.contains(&format!("ssrc {ssrc}"))).count()
}

#[test]
fn each_flow_is_told_of_once_when_diagnostics_are_on() {
    // One stream has two ends, each a flow.
    let lines = lines(true, 3_141_592_653);
    assert_eq!(lines, 2);
    figure("diagnostics_of_a_flow", lines / 2);
}

#[test]
fn nothing_is_told_when_diagnostics_are_off() {
    assert_eq!(lines(false, 2_718_281_828), 0);
}
