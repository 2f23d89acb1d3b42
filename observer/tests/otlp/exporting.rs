//! The exporter at work on figures of the test's own.

use std::{
    io::{self, Write},
    pin::Pin,
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use observer::export::{
    metrics::Metrics,
    otlp::{Client, Environment, Exporter, Figures, Protocol, Resource, Settings, Signal},
};
use prometheus::proto::MetricFamily;
use tokio::sync::oneshot;
use tracing::Level;

/// The two that are spoken.
pub(crate) const PROTOCOLS: [Protocol; 2] = [Protocol::Grpc, Protocol::HttpProtobuf];

/// Figures that can change, and what was counted as lost.
#[derive(Clone)]
pub(crate) struct Sample {
    families: Arc<Mutex<Vec<MetricFamily>>>,
    losses: Arc<Mutex<[u64; 2]>>,
}

impl Sample {
    pub(crate) fn new(families: Vec<MetricFamily>) -> Self {
        Self { families: Arc::new(Mutex::new(families)), losses: Arc::default() }
    }

    /// Every instrument, at its beginning.
    pub(crate) fn empty() -> Self {
        Self::new(Metrics::new().unwrap().gather())
    }

    pub(crate) fn set(&self, families: Vec<MetricFamily>) {
        *self.families.lock().unwrap() = families;
    }

    /// Exports that failed, and points that were rejected.
    pub(crate) fn losses(&self) -> [u64; 2] {
        *self.losses.lock().unwrap()
    }
}

impl Figures for Sample {
    fn gather(&self) -> Vec<MetricFamily> {
        self.families.lock().unwrap().clone()
    }

    fn add_loss(&self, (stage, reason): (&'static str, &'static str), count: u64) {
        assert_eq!(stage, "otlp");
        let at = ["export_failed", "rejected"].iter().position(|one| *one == reason).unwrap();
        self.losses.lock().unwrap()[at] += count;
    }
}

/// Comes when an exporter is to end.
pub(crate) type Stop = Pin<Box<dyn Future<Output = ()>>>;

/// An exporter on a thread, and its log.
pub(crate) struct Exporting {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
    log: Log,
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn environment(all: &[(&str, &str)]) -> Environment {
    all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

impl Exporting {
    pub(crate) fn start(
        url: &str,
        protocol: Protocol,
        interval: Duration,
        variables: &[(&str, &str)],
        sample: &Sample,
    ) -> Self {
        let environment = environment(variables);
        let signal = Signal::Metrics;
        let settings = Settings::new(signal, &url.parse().unwrap(), protocol, &environment);
        let client = Client::new(settings.unwrap());
        let resource = Resource::new(&environment, Some("node")).unwrap();
        let sample = sample.clone();
        Self::running(async move |stop| {
            let exporter = Exporter::new(client, resource, interval);
            exporter.run(sample, SystemTime::now(), stop).await;
        })
    }

    /// Runs that until it is stopped, on a thread, with a log of its own.
    pub(crate) fn running<W>(work: W) -> Self
    where
        W: AsyncFnOnce(Stop) + Send + 'static,
    {
        let (stop, stopped) = oneshot::channel::<()>();
        let log = Log::default();
        let writer = log.clone();
        let thread = thread::spawn(move || {
            let subscriber = tracing_subscriber::fmt()
                .with_max_level(Level::INFO)
                .with_ansi(false)
                .with_writer(move || writer.clone())
                .finish();
            let _guard = tracing::subscriber::set_default(subscriber);
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(work(Box::pin(async move { drop(stopped.await) })));
        });
        Self { stop, thread, log }
    }

    /// Waits until its log says this.
    #[track_caller]
    pub(crate) fn wait_for(&self, words: &str) {
        let begun = Instant::now();
        while !String::from_utf8_lossy(&self.log.0.lock().unwrap()).contains(words) {
            assert!(begun.elapsed() < Duration::from_secs(20), "it never said {words:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it, and gives the lines of its log.
    pub(crate) fn stop(self) -> Vec<String> {
        drop(self.stop);
        self.thread.join().unwrap();
        let log = String::from_utf8(self.log.0.lock().unwrap().clone()).unwrap();
        log.lines().map(ToOwned::to_owned).collect()
    }
}
