//! An observer in a process of its own, and what it tells of itself.

use std::{
    net::TcpListener,
    process::{Child, Command, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use observer::export::snapshot::Snapshot;

/// Longest wait for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// An observer that was started for this, and ends with it.
pub(crate) struct Running {
    child: Child,
    url: String,
}

impl Running {
    /// Starts it with these settings, and waits for its first reading.
    pub(crate) fn start(observer: &str, settings: &[&str]) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = Command::new(observer)
            .args(["--log", "error", "run", "--listen", &address.to_string()])
            .args(settings)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("the observer does not start")?;
        let mut running = Self { child, url: format!("http://{address}/metrics") };
        running.await_that(|page| page.sum("observer_reading_duration_seconds_count") >= 1.0)?;
        Ok(running)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its metrics, as they are.
    pub(crate) fn page(&self) -> Result<Page> {
        Ok(Page(ureq::get(&self.url).call()?.body_mut().read_to_string()?))
    }

    /// Its snapshot.
    pub(crate) fn snapshot(&self) -> Result<Snapshot> {
        let url = self.url.replace("/metrics", "/api/v1/snapshot");
        Ok(serde_json::from_str(&ureq::get(&url).call()?.body_mut().read_to_string()?)?)
    }

    /// Looks until it is so.
    pub(crate) fn await_that(&mut self, is_so: impl Fn(&Page) -> bool) -> Result<()> {
        let begun = Instant::now();
        while !self.page().is_ok_and(|page| is_so(&page)) {
            if let Some(status) = self.child.try_wait()? {
                anyhow::bail!("the observer ended ({status}): what it said stands above");
            }
            ensure!(begun.elapsed() < PATIENCE, "the observer did not come so far");
            sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// Tells it to end, and waits for it; nothing where it does not.
    pub(crate) fn stop(mut self) -> Result<Option<ExitStatus>> {
        // SAFETY: no memory is involved, and the child has not been waited for.
        let error = unsafe { libc::kill(self.child.id().cast_signed(), libc::SIGTERM) };
        ensure!(error == 0, "the observer has ended by itself");
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            sleep(Duration::from_millis(50));
        }
        Ok(None)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// A page of metrics.
pub(crate) struct Page(String);

impl Page {
    /// The sum of all series whose name and labels begin so.
    pub(crate) fn sum(&self, start: &str) -> f64 {
        let lines = self.0.lines().filter(|line| line.starts_with(start));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// All series whose name and labels begin so and whose value is not 0.
    pub(crate) fn not_zero(&self, start: &str) -> Vec<String> {
        let lines = self.0.lines().filter(|line| line.starts_with(start));
        lines.filter(|line| !line.ends_with(" 0")).map(str::to_owned).collect()
    }
}
