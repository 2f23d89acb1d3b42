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

mod hop;

mod voice;

mod figures;

use std::{
    env,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use deliveries::{Deliveries, LISTENERS};
use figures::{Report, Sample, Table, Turn};
use requests::Requests;
use server::Server;
use variant::Variant;
use voice::{Fifty, Ten, Two, Voice};

/// Kinds of traffic.
const KINDS: u32 = 5;

/// A median of fewer rounds says little.
const FEWEST_ROUNDS: usize = 5;

/// Something that keeps one server busy.
trait Load: Sized {
    /// What is done, as the report names it.
    const TRAFFIC: &'static str;
    /// What is counted.
    const UNIT: &'static str;
    /// How many hear of each thing that is done; nothing where that is no matter.
    const LISTENERS: Option<usize> = None;
    /// A turn of a server: it has two in each round.
    const TURN: Duration = Duration::from_millis(500);

    /// How often its servers are started anew.
    const GENERATIONS: u32 = 1;

    /// Makes accounts, and connections that may be left alone.
    async fn prepare(server: &Server) -> Result<Self>;

    /// Makes connections that may not, once all servers are prepared.
    async fn connect(&mut self) -> Result<()> {
        Ok(())
    }

    /// As much as can be done in that time, and how much that was. When this returns,
    /// nothing is on its way any more.
    async fn turn(&mut self, time: Duration) -> Result<Turn>;

    /// Does for its connections what has to be done while another server has its turn.
    fn keep(&mut self) -> Result<()> {
        Ok(())
    }
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
    let time = Duration::from_secs(seconds) / KINDS;
    report.add(measure::<Requests>(&program, time).await?);
    report.add(measure::<Deliveries>(&program, time).await?);
    report.add(measure::<Voice<Two>>(&program, time).await?);
    report.add(measure::<Voice<Ten>>(&program, time).await?);
    report.add(measure::<Voice<Fifty>>(&program, time).await?);
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

/// Rounds until the time is up, with servers that are started anew now and then: where a
/// process happens to lie in memory makes it some percent faster or slower for all its life.
async fn measure<L: Load>(program: &Path, time: Duration) -> Result<Table> {
    let mut table = Table::of::<L>();
    for generation in 1..=L::GENERATIONS {
        let mut pairs = prepare::<L>(program).await?;
        let begun = Instant::now();
        let fewest = FEWEST_ROUNDS * generation as usize / L::GENERATIONS as usize;
        while table.rounds() < fewest || begun.elapsed() < time / L::GENERATIONS {
            table.add(round(&mut pairs).await?);
        }
        for (at, Pair { server, load }) in pairs.into_iter().enumerate() {
            drop(load);
            table.told(at, server.end().await?);
        }
    }
    Ok(table)
}

/// Servers that are warm.
async fn prepare<L: Load>(program: &Path) -> Result<Vec<Pair<L>>> {
    let mut pairs = Vec::new();
    for variant in Variant::ALL {
        let server = Server::start(program, variant).await?;
        let load = L::prepare(&server).await?;
        pairs.push(Pair { server, load });
    }
    for at in 0..pairs.len() {
        pairs[at].load.connect().await?;
        keep(&mut pairs)?;
    }
    for at in 0..pairs.len() {
        pairs[at].load.turn(L::TURN).await?;
        keep(&mut pairs)?;
    }
    Ok(pairs)
}

/// In a round every server has a turn on the way there and one on the way back, so that none
/// always comes first.
///
/// What is exported late is paid in a later turn, or while another server has its own: so
/// CPU time is that of the whole round.
async fn round<L: Load>(pairs: &mut [Pair<L>]) -> Result<Vec<Sample>> {
    let mut before = Vec::new();
    for pair in &*pairs {
        before.push(pair.server.cpu()?);
    }
    let mut turns: Vec<Vec<Turn>> = pairs.iter().map(|_| Vec::new()).collect();
    let there = 0..pairs.len();
    for at in there.clone().chain(there.rev()) {
        let turn = pairs[at].load.turn(L::TURN).await?;
        ensure!(turn.done > 0, "a server did nothing in a whole turn");
        turns[at].push(turn);
        keep(pairs)?;
    }
    let mut samples = Vec::new();
    for ((pair, before), turns) in pairs.iter().zip(before).zip(turns) {
        samples.push(Sample::of(turns, pair.server.cpu()?.saturating_sub(before)));
    }
    Ok(samples)
}

fn keep<L: Load>(pairs: &mut [Pair<L>]) -> Result<()> {
    pairs.iter_mut().try_for_each(|pair| pair.load.keep())
}
