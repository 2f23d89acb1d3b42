//! Measures an observer with full tables, and prints the figures as JSON. `cargo xtask
//! bench flows` builds it and runs it as root.
//!
//! The entries are made up and put into the maps of the observer from outside; all that
//! reads them is the observer itself, and the figures are those it tells of itself.

#[expect(dead_code, reason = "other measurements want other clocks")]
#[path = "bench/clock.rs"]
mod clock;

#[path = "bench/machine.rs"]
mod machine;

use std::{
    env, fs,
    net::TcpListener,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use aya::maps::{HashMap, Map, MapData, MapInfo};
use clock::Clock;
use machine::Machine;
use observer_common::{
    abi::{
        Candidate, FlowKey, RECEIVE,
        map::{FLOWS, SOCKETS},
        socket::{ROLE_SERVER, Socket},
    },
    rtp::{Header, flow::Flow},
};
use serde::Serialize;

/// Entries in each of both tables.
const SIZES: [u64; 4] = [0, 1_000, 10_000, 100_000];
/// What the tables have room for, whatever is in them.
const ROOM: &str = "131072";
/// How long an observer is watched at rest.
const REST: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    machine: Machine,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    entries: u64,
    reading_ms: f64,
    cpu_percent: f64,
    memory_mib: f64,
}

fn main() -> Result<()> {
    let observer = env::args().nth(1).context("usage: bench_flows OBSERVER")?;
    let rows = SIZES.iter().map(|&size| measure(&observer, size)).collect::<Result<_>>()?;
    println!("{}", serde_json::to_string(&Report { machine: Machine::this()?, rows })?);
    Ok(())
}

fn measure(observer: &str, entries: u64) -> Result<Row> {
    let running = Running::start(observer)?;
    running.fill(entries)?;
    // The first reading after that takes all of them in.
    running.await_that(|figures| figures.entries >= entries as f64 && figures.readings >= 3.0)?;
    let before = running.figures()?;
    sleep(REST);
    let after = running.figures()?;
    let readings = after.readings - before.readings;
    ensure!(readings >= 1.0, "there was no reading in {REST:?}");
    Ok(Row {
        entries,
        reading_ms: (after.reading_seconds - before.reading_seconds) / readings * 1e3,
        cpu_percent: (after.cpu_seconds - before.cpu_seconds) / REST.as_secs_f64() * 1e2,
        memory_mib: after.memory_bytes / f64::from(1 << 20),
    })
}

/// An observer that was started for this, and ends with it.
struct Running {
    child: Child,
    url: String,
}

/// What it tells of itself.
struct Figures {
    entries: f64,
    readings: f64,
    reading_seconds: f64,
    cpu_seconds: f64,
    memory_bytes: f64,
}

impl Running {
    fn start(observer: &str) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = Command::new(observer)
            .args(["--log", "error", "run", "--listen", &address.to_string()])
            .args(["--interval", "1s", "--flow-idle-timeout", "1h"])
            .args(["--connection-idle-timeout", "1h"])
            .args(["--max-flows", ROOM, "--max-connections", ROOM])
            .stdout(Stdio::null())
            .spawn()
            .context("the observer does not start")?;
        let running = Self { child, url: format!("http://{address}/metrics") };
        running.await_that(|figures| figures.readings >= 1.0)?;
        Ok(running)
    }

    /// Puts as many flows and connections into its maps.
    fn fill(&self, entries: u64) -> Result<()> {
        let now = Clock::MONOTONIC.now().as_nanos() as u64;
        let mut flows: HashMap<_, [u8; 32], [u8; size_of::<Candidate>()]> = self.map(FLOWS)?;
        let mut sockets: HashMap<_, u64, [u8; size_of::<Socket>()]> = self.map(SOCKETS)?;
        for number in 0..entries {
            let header = Header {
                payload_type: 0,
                marker: false,
                sequence: 1,
                timestamp: 1,
                ssrc: number as u32,
            };
            let key = FlowKey {
                // No socket of this host has such a cookie.
                cookie: u64::MAX - number,
                peer: [0, 0, 0xffff_0000, 0x0100_007f],
                ssrc: number as u32,
                peer_port: 5_004,
                direction: RECEIVE,
                reserved: 0,
            };
            let entry = Candidate { flow: Flow::new(&header, 172, now), ..Candidate::EMPTY };
            let socket = Socket {
                opened_ns: now,
                established_ns: now,
                role: ROLE_SERVER,
                srtt_q3_us: 800,
                min_rtt_us: 50,
                ..Socket::EMPTY
            };
            flows.insert(bytes(&key), bytes(&entry), 0)?;
            sockets.insert(key.cookie, bytes::<_, { size_of::<Socket>() }>(&socket), 0)?;
        }
        Ok(())
    }

    /// A map of this observer, found among what it holds open.
    fn map<K: aya::Pod, V: aya::Pod>(&self, name: &str) -> Result<HashMap<MapData, K, V>> {
        for file in fs::read_dir(format!("/proc/{}/fdinfo", self.child.id()))? {
            let text = fs::read_to_string(file?.path()).unwrap_or_default();
            let id = text.lines().find_map(|line| line.strip_prefix("map_id:"));
            let Some(id) = id.and_then(|id| id.trim().parse().ok()) else { continue };
            if MapInfo::from_id(id)?.name_as_str() == Some(name) {
                return Ok(HashMap::try_from(Map::HashMap(MapData::from_id(id)?))?);
            }
        }
        anyhow::bail!("the observer holds no map {name}")
    }

    fn figures(&self) -> Result<Figures> {
        let text = ureq::get(&self.url).call()?.body_mut().read_to_string()?;
        let sum = |start: &str| -> f64 {
            let lines = text.lines().filter(|line| line.starts_with(start));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
        };
        Ok(Figures {
            entries: sum("observer_map_entries{map=\"flows\"}"),
            readings: sum("observer_reading_duration_seconds_count"),
            reading_seconds: sum("observer_reading_duration_seconds_sum"),
            cpu_seconds: sum("process_cpu_time_seconds_total"),
            memory_bytes: sum("process_memory_usage_bytes"),
        })
    }

    fn await_that(&self, is_so: impl Fn(&Figures) -> bool) -> Result<()> {
        let begun = Instant::now();
        while !self.figures().is_ok_and(|figures| is_so(&figures)) {
            ensure!(begun.elapsed() < PATIENCE, "the observer did not come so far");
            sleep(Duration::from_millis(200));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

fn bytes<T: zerocopy::IntoBytes + zerocopy::Immutable, const N: usize>(value: &T) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(value.as_bytes());
    bytes
}
