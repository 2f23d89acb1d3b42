//! Bots that talk in voice channels, and check what they hear: real Opus over ICE, DTLS and
//! SRTP, held against what was sent.

mod histogram;

mod speech;

mod stream;

mod sent;

mod figures;

mod hearing;

mod peer;

mod bot;

mod report;

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use self::{bot::Bot, sent::Roll, speech::Speech};
pub use self::{
    figures::{Figures, Joins},
    histogram::Histogram,
    peer::Loss,
    report::{BotReport, Report, Style},
    stream::{Arrival, Stream, Tally},
};
use crate::{Answer, Api, Login};

/// What the bots are to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Of the server, such as `127.0.0.1:8080`.
    pub host: String,
    /// How many.
    pub bots: usize,
    /// Over how many voice channels they are spread.
    pub rooms: usize,
    /// How many of each room talk; all by default.
    pub speakers: Option<usize>,
    /// How long they talk.
    pub time: Duration,
    /// About how long a bot stays before it leaves and joins again, if it does.
    pub churn: Option<Duration>,
    /// What is dropped on purpose.
    pub loss: Loss,
    /// How many others each can hear at once.
    pub slots: usize,
    /// Part of their names: two calls on one server want two.
    pub name: String,
}

/// How far it is: may be looked at from anywhere.
#[derive(Debug, Default)]
pub struct Progress {
    accounts: AtomicUsize,
    connected: AtomicUsize,
}

/// Bots that are about to talk.
#[derive(Debug)]
pub struct Call {
    plan: Plan,
    seats: Vec<Seat>,
    invitation: String,
    progress: Arc<Progress>,
}

/// Where a bot sits.
#[derive(Clone, Debug)]
struct Seat {
    name: String,
    login: Login,
    /// The voice channel.
    room: i64,
    talks: bool,
    hears_all: bool,
}

/// What the bots have in common.
#[derive(Debug)]
struct Shared {
    plan: Plan,
    /// From where the server is reached.
    local: IpAddr,
    /// Zero of all times.
    began: Instant,
    speech: Arc<Speech>,
    roll: Arc<Roll>,
    progress: Arc<Progress>,
}

/// Of more who talk in a room, the server chooses whom to pass on: its `voice_speakers`, by
/// default.
const SEATS: usize = 10;

const PASSWORD: &str = "a password of bots";

impl Progress {
    /// Accounts that are made.
    #[must_use]
    pub fn accounts(&self) -> usize {
        self.accounts.load(Relaxed)
    }

    /// Bots whose media is connected.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.connected.load(Relaxed)
    }
}

impl Call {
    /// Makes accounts, a community and its voice channels.
    ///
    /// # Errors
    /// When the server cannot be reached, or refuses.
    pub async fn gather(plan: Plan, progress: Arc<Progress>) -> anyhow::Result<Self> {
        ensure!(plan.bots > 0 && plan.rooms > 0, "a call has a bot and a room");
        let api = Api::new(&plan.host);
        let mut logins = Vec::new();
        for number in 0..plan.bots {
            let name = format!("bot-{}-{number}", plan.name);
            api.register(&name, PASSWORD).await?;
            logins.push((api.log_in(&name, PASSWORD).await?, name));
            progress.accounts.fetch_add(1, Relaxed);
        }
        let first = logins[0].0.api.clone();
        let community = made(first.post("/api/v1/communities", &json!({"name": "bots"})).await?)?;
        let code = community["invite_code"].as_str().context("a community has a code")?;
        let invitation = json!({"invite_code": code});
        for (login, _) in &logins[1..] {
            made(login.api.post("/api/v1/communities/join", &invitation).await?)?;
        }
        let channels = format!("/api/v1/communities/{}/channels", community["id"]);
        let mut rooms = Vec::new();
        for number in 0..plan.rooms {
            let channel = json!({"name": format!("room-{number}"), "kind": "voice"});
            let channel = made(first.post(&channels, &channel).await?)?;
            rooms.push(channel["id"].as_i64().context("a channel has an id")?);
        }
        let seats = logins.into_iter().enumerate();
        let seats = seats.map(|(number, (login, name))| {
            let (talks, others) = plan.place(number);
            let room = rooms[number % plan.rooms];
            Seat { name, login, room, talks, hears_all: others <= plan.slots.min(SEATS - 1) }
        });
        Ok(Self { seats: seats.collect(), plan, invitation: code.to_owned(), progress })
    }

    /// The code by which others come into the community of the bots.
    #[must_use]
    pub fn invitation(&self) -> &str {
        &self.invitation
    }

    /// Has them talk, and says what came of it.
    ///
    /// # Errors
    /// When a bot cannot go on.
    pub async fn run(self) -> anyhow::Result<Report> {
        let shared = Arc::new(Shared {
            local: local_towards(&self.plan.host).await?,
            began: Instant::now(),
            speech: Arc::new(Speech::built_in()?),
            roll: Arc::default(),
            progress: self.progress,
            plan: self.plan,
        });
        let mut bots = JoinSet::new();
        for (number, seat) in self.seats.into_iter().enumerate() {
            let shared = Arc::clone(&shared);
            bots.spawn(async move { (number, Bot::new(number, seat, shared).run().await) });
        }
        let mut reports = Vec::new();
        while let Some(bot) = bots.join_next().await {
            reports.push(bot?);
        }
        reports.sort_unstable_by_key(|(number, _)| *number);
        let reports = reports.into_iter().map(|(_, report)| report).collect();
        Ok(Report::new(&shared.plan, shared.began.elapsed(), reports))
    }
}

impl Plan {
    /// Whether bot `number` talks, and how many others in its room do.
    fn place(&self, number: usize) -> (bool, usize) {
        let room = number % self.rooms;
        let people = (room..self.bots).step_by(self.rooms).len();
        let speakers = self.speakers.unwrap_or(people).min(people);
        let talks = number / self.rooms < speakers;
        (talks, speakers - usize::from(talks))
    }
}

fn made(answer: Answer) -> anyhow::Result<Value> {
    ensure!(answer.status.is_success(), "the server answers {} {}", answer.status, answer.body);
    Ok(answer.body)
}

/// The address from which packets to the server leave.
async fn local_towards(host: &str) -> anyhow::Result<IpAddr> {
    let server = tokio::net::lookup_host(host).await?.next().context("no such host")?;
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => ([0; 4], 0).into(),
        SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
    };
    let socket = tokio::net::UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(bots: usize, rooms: usize, speakers: Option<usize>) -> Plan {
        Plan {
            host: String::new(),
            bots,
            rooms,
            speakers,
            time: Duration::ZERO,
            churn: None,
            loss: Loss::default(),
            slots: 9,
            name: String::new(),
        }
    }

    #[test]
    fn bots_are_spread_over_rooms_and_the_first_of_each_talk() {
        let all = plan(5, 2, None);
        let placed: Vec<_> = (0..5).map(|number| all.place(number)).collect();
        // Three in the first room, two in the second.
        assert_eq!(placed, [(true, 2), (true, 1), (true, 2), (true, 1), (true, 2)]);
        let some = plan(5, 2, Some(1));
        let placed: Vec<_> = (0..5).map(|number| some.place(number)).collect();
        assert_eq!(placed, [(true, 0), (true, 0), (false, 1), (false, 1), (false, 1)]);
        assert_eq!(plan(2, 3, None).place(1), (true, 0));
    }

    #[tokio::test]
    async fn the_way_to_this_machine_begins_at_this_machine() {
        assert!(local_towards("127.0.0.1:8080").await.unwrap().is_loopback());
        assert!(local_towards("[::1]:8080").await.unwrap().is_loopback());
    }
}
