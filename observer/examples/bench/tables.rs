//! An observer with so many entries in its tables.
//!
//! They are made up and put into its maps from outside. All that reads them is the
//! observer, and the figures are those it tells of itself.

use std::{fs, process, thread::sleep, time::Duration};

use anyhow::{Result, bail, ensure};
use aya::maps::{Array, HashMap, Map, MapData, MapInfo};
use observer_common::{
    abi::{
        FlowEntry, FlowKey, RECEIVE, Taken,
        creator::Creator,
        map::{CREATORS, FLOWS, PLACES, SOCKETS, TAKEN},
        socket::{ROLE_SERVER, Socket},
    },
    rtp::{Header, flow::Flow},
};
use serde::Serialize;
use zerocopy::transmute;

use super::{
    clock::Clock,
    running::{Page, Running},
};

/// Tables with more room than entries, and nothing that ends meanwhile.
const SETTINGS: [&str; 10] = [
    "--interval",
    "1s",
    "--flow-idle-timeout",
    "1h",
    "--connection-idle-timeout",
    "1h",
    "--max-flows",
    "131072",
    "--max-connections",
    "131072",
];

/// How many flows a UDP socket has.
const FLOWS_OF_A_SOCKET: u64 = 10;

/// How long an observer is watched at rest.
const REST: Duration = Duration::from_secs(5);

/// What so many flows and as many connections cost.
#[derive(Serialize)]
pub(crate) struct Row {
    pub(crate) entries: u64,
    pub(crate) reading_ms: f64,
    pub(crate) cpu_percent: f64,
    pub(crate) memory_mib: f64,
}

/// Starts an observer, fills its tables, and watches it.
pub(crate) fn measure(observer: &str, entries: u64) -> Result<Row> {
    let mut running = Running::start(observer, &SETTINGS)?;
    fill(&running, entries)?;
    // The first reading after that takes all of them in.
    let enough = readings(&running.page()?) + 2.0;
    running.await_that(|page| {
        page.sum("observer_map_entries{map=\"flows\"}") >= entries as f64
            && readings(page) >= enough
    })?;
    let before = running.page()?;
    sleep(REST);
    let after = running.page()?;
    let grown = |name| after.sum(name) - before.sum(name);
    let count = readings(&after) - readings(&before);
    ensure!(count >= 1.0, "there was no reading in {REST:?}");
    Ok(Row {
        entries,
        reading_ms: grown("observer_reading_duration_seconds_sum") / count * 1e3,
        cpu_percent: grown("process_cpu_time_seconds_total") / REST.as_secs_f64() * 1e2,
        memory_mib: after.sum("process_memory_usage_bytes") / f64::from(1 << 20),
    })
}

fn readings(page: &Page) -> f64 {
    page.sum("observer_reading_duration_seconds_count")
}

/// Puts as many flows and connections into the maps of an observer.
fn fill(running: &Running, entries: u64) -> Result<()> {
    let now = Clock::MONOTONIC.now().as_nanos() as u64;
    let mut flows = Array::<_, [u8; size_of::<FlowEntry>()]>::try_from(map(running, FLOWS)?)?;
    let mut places = HashMap::<_, [u8; 32], u32>::try_from(map(running, PLACES)?)?;
    let mut taken = Array::<_, [u8; size_of::<Taken>()]>::try_from(map(running, TAKEN)?)?;
    let mut sockets =
        HashMap::<_, u64, [u8; size_of::<Socket>()]>::try_from(map(running, SOCKETS)?)?;
    let mut creators =
        HashMap::<_, u64, [u8; size_of::<Creator>()]>::try_from(map(running, CREATORS)?)?;
    // All of them are this process'.
    let creator: [u8; size_of::<Creator>()] = transmute!(Creator {
        at_ns: now,
        cgroup: 1,
        pid: process::id(),
        reserved: 0,
        comm: *b"bench\0\0\0\0\0\0\0\0\0\0\0",
    });
    for number in 0..entries {
        // No socket of this host has such cookies.
        let [udp, tcp] = [u64::MAX / 2 + number / FLOWS_OF_A_SOCKET, u64::MAX - number];
        creators.insert(udp, creator, 0)?;
        creators.insert(tcp, creator, 0)?;
        let header = Header {
            payload_type: 0,
            marker: false,
            sequence: 1,
            timestamp: 1,
            ssrc: number as u32,
        };
        let key = FlowKey {
            cookie: udp,
            peer: [0, 0, 0xffff_0000, 0x0100_007f],
            ssrc: number as u32,
            peer_port: 5_004,
            direction: RECEIVE,
            reserved: 0,
        };
        let entry = FlowEntry { key, flow: Flow::new(&header, 172, now), ..FlowEntry::NOBODYS };
        let socket = Socket {
            opened_ns: now,
            established_ns: now,
            role: ROLE_SERVER,
            srtt_q3_us: 800,
            min_rtt_us: 50,
            ..Socket::EMPTY
        };
        let entry: [u8; size_of::<FlowEntry>()] = transmute!(entry);
        flows.set(number as u32, entry, 0)?;
        let key: [u8; size_of::<FlowKey>()] = transmute!(key);
        places.insert(key, number as u32, 0)?;
        let socket: [u8; size_of::<Socket>()] = transmute!(socket);
        sockets.insert(tcp, socket, 0)?;
    }
    let entries: [u8; size_of::<Taken>()] = transmute!(Taken { places: entries, ..Taken::NONE });
    Ok(taken.set(0, entries, 0)?)
}

/// A map of an observer, found among what it holds open.
fn map(running: &Running, name: &str) -> Result<Map> {
    for file in fs::read_dir(format!("/proc/{}/fdinfo", running.id()))? {
        let text = fs::read_to_string(file?.path()).unwrap_or_default();
        let id = text.lines().find_map(|line| line.strip_prefix("map_id:"));
        let Some(id) = id.and_then(|id| id.trim().parse().ok()) else { continue };
        if MapInfo::from_id(id)?.name_as_str() == Some(name) {
            return Ok(Map::from_map_data(MapData::from_id(id)?)?);
        }
    }
    bail!("the observer holds no map {name}")
}
