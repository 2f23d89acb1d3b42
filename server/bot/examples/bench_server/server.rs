//! A server in a process and a folder of its own.

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use hyper::StatusCode;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::sleep;
use vc_bot::Api;

use super::{
    sink::{Sink, Told},
    variant::Variant,
};

/// Longest wait for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that was started for this, and ends with it.
pub(crate) struct Server {
    child: Child,
    host: String,
    variant: Variant,
    sink: Option<Sink>,
    _folder: TempDir,
}

impl Server {
    /// Starts one, and waits until it is ready.
    pub(crate) async fn start(program: &Path, variant: Variant) -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder for a database")?;
        let host = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let mut command = Command::new(program);
        command
            .arg("run")
            // What the environment says of servers or telemetry is not meant for this one.
            .env_clear()
            .env("VC_LISTEN", &host)
            .env("VC_DATABASE", folder.path().join("vc.db"))
            .env("VC_AUTH_ATTEMPTS_PER_MINUTE", "100000")
            .env("VC_MESSAGES_PER_MINUTE", "1000000")
            // Longer than any measurement.
            .env("VC_ACCESS_TOKEN_LIFETIME", "1day")
            .env("OBSERVABILITY_ENABLED", "false")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let mut sink = None;
        if let Some(ratio) = variant.ratio() {
            let started = Sink::start().await?;
            command
                .env("OBSERVABILITY_ENABLED", "true")
                .env("OTEL_EXPORTER_OTLP_ENDPOINT", started.url())
                .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
                .env("OTEL_TRACES_SAMPLER_ARG", ratio);
            sink = Some(started);
        }
        let child = command.spawn().context("the server does not start")?;
        let mut server = Self { child, host, variant, sink, _folder: folder };
        server.await_readiness().await?;
        Ok(server)
    }

    async fn await_readiness(&mut self) -> Result<()> {
        let api = self.api();
        let begun = Instant::now();
        let is_ready = async || {
            let answer = api.get("/readyz").await;
            answer.is_ok_and(|answer| answer.status == StatusCode::NO_CONTENT)
        };
        while !is_ready().await {
            if let Some(status) = self.child.try_wait()? {
                anyhow::bail!("the server ended ({status}): what it said stands above");
            }
            ensure!(begun.elapsed() < PATIENCE, "the server does not become ready");
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// `host:port`
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn api(&self) -> Api {
        Api::new(&self.host)
    }

    /// Its CPU time so far, in user space and in the kernel, of threads that ended too. It is
    /// that of the clock of the process, in ns: a tick of `/proc/PID/stat` is a tenth of a
    /// short turn.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let pid = self.child.id().cast_signed();
        let (mut clock, mut time) = (0, libc::timespec { tv_sec: 0, tv_nsec: 0 });
        // SAFETY: both calls write to what they are given, which lives as long as they take.
        let is_read = unsafe {
            libc::clock_getcpuclockid(pid, &raw mut clock) == 0
                && libc::clock_gettime(clock, &raw mut time) == 0
        };
        ensure!(is_read, "the server is gone");
        Ok(Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec)?))
    }

    /// Tells it to end, and waits until it has sent what it had to tell.
    pub(crate) async fn end(mut self) -> Result<(Variant, Told)> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let begun = Instant::now();
        while self.child.try_wait()?.is_none() {
            ensure!(begun.elapsed() < PATIENCE, "the server does not end");
            sleep(Duration::from_millis(50)).await;
        }
        let told = self.sink.as_ref().map(Sink::told).transpose()?.unwrap_or_default();
        let tells = self.sink.is_some();
        ensure!(tells == (told.spans > 0), "traces did not arrive: nothing was measured");
        ensure!(tells == (told.records > 0), "logs did not arrive: nothing was measured");
        Ok((self.variant, told))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}
