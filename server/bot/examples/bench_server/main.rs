//! Measures what telemetry costs vc-server, and prints the figures as JSON. `cargo xtask
//! bench server` builds it, runs it and makes a table of it.
//!
//! Servers that differ in their telemetry alone run beside each other, each with a database
//! of its own. Only one at a time has something to do, and they take turns in one run.

mod variant;

mod sink;

mod server;

mod connection;

mod requests;

mod deliveries;

mod figures;

use std::{
    env,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use deliveries::{Deliveries, LISTENERS};
use figures::{Report, Sample, Table};
use requests::Requests;
use server::Server;
use variant::Variant;

/// A turn of a server: it has two in each round.
const TURN: Duration = Duration::from_millis(500);

/// A median of fewer rounds says little.
const FEWEST_ROUNDS: usize = 5;

/// Something that keeps one server busy.
trait Load: Sized {
    /// What is done, as the report names it.
    const TRAFFIC: &'static str;
    /// What is counted.
    const UNIT: &'static str;

    /// Makes accounts and connections.
    async fn prepare(server: &Server) -> Result<Self>;

    /// As much as can be done in that time, and how much that was. When this returns,
    /// nothing is on its way any more.
    async fn turn(&mut self, time: Duration) -> Result<u64>;
}

/// A server, and what keeps it busy.
struct Pair<L> {
    server: Server,
    load: L,
}

#[tokio::main]
async fn main() -> Result<()> {
    let (program, seconds) = match env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [program, flag, value] if flag == "--seconds" => {
            (PathBuf::from(program), value.parse().context("--seconds wants a number")?)
        }
        _ => bail!("usage: bench_server VC_SERVER --seconds N"),
    };
    make_room()?;
    let mut report = Report::begin(seconds)?;
    let time = Duration::from_secs(seconds) / 2;
    report.add(measure::<Requests>(&program, time).await?);
    report.add(measure::<Deliveries>(&program, time).await?);
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

/// Each listener is a descriptor here, and one in its server.
fn make_room() -> Result<()> {
    let needed = (LISTENERS * Variant::ALL.len() + 512) as u64;
    let maximum = getrlimit(Resource::Nofile).maximum;
    ensure!(
        maximum.is_none_or(|most| most >= needed),
        "this needs {needed} descriptors: raise the limit (`ulimit -Hn`)"
    );
    setrlimit(Resource::Nofile, Rlimit { current: maximum.or(Some(needed)), maximum })
        .context("cannot raise the limit of descriptors")
}

/// Rounds until the time is up. In each, every server has a turn on the way there and one on
/// the way back, so that none always comes first.
async fn measure<L: Load>(program: &Path, time: Duration) -> Result<Table> {
    let mut pairs = Vec::new();
    for variant in Variant::ALL {
        let server = Server::start(program, variant).await?;
        let load = L::prepare(&server).await?;
        pairs.push(Pair { server, load });
    }
    for pair in &mut pairs {
        pair.load.turn(TURN).await?;
    }
    let mut table = Table::new(L::TRAFFIC, L::UNIT);
    let begun = Instant::now();
    while table.rounds() < FEWEST_ROUNDS || begun.elapsed() < time {
        table.add(round(&mut pairs).await?);
    }
    for Pair { server, load } in pairs {
        drop(load);
        table.told(server.end().await?);
    }
    Ok(table)
}

/// What is exported late is paid in a later turn, or while another server has its own: so
/// CPU time is that of the whole round.
async fn round<L: Load>(pairs: &mut [Pair<L>]) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for pair in &*pairs {
        samples.push(Sample::begin(pair.server.cpu()?));
    }
    let there = 0..pairs.len();
    for at in there.clone().chain(there.rev()) {
        let began = Instant::now();
        let done = pairs[at].load.turn(TURN).await?;
        ensure!(done > 0, "a server did nothing in a whole turn");
        samples[at].add(done, began.elapsed());
    }
    for (pair, sample) in pairs.iter().zip(&mut samples) {
        sample.end(pair.server.cpu()?);
    }
    Ok(samples)
}
