//! Voice: a room whose people talk back to back.

use std::{
    collections::VecDeque,
    marker::PhantomData,
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tokio::{
    task::{AbortHandle, yield_now},
    time::timeout,
};
use vc_bot::{Gateway, Line, Login};

use super::{
    Load,
    figures::Turn,
    hop::Hop,
    requests::{community, user},
    server::Server,
};

pub(crate) const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// How loud everything is, in dBov: speech.
pub(crate) const LOUD: i8 = -20;
/// Bytes of 20 ms of Opus at 32 kbit/s.
const FRAME: usize = 80;
/// How long anything may take that has to happen.
const PATIENCE: Duration = Duration::from_secs(20);
/// Requests before anything is measured: a server that exports a tenth of its traces has some
/// to export, though voice makes none.
const REQUESTS: usize = 100;

/// How many are in a room.
pub(crate) trait Size {
    const TRAFFIC: &'static str;
    const PEOPLE: usize;
    const TALKERS: usize;
}

pub(crate) struct Two;

impl Size for Two {
    const TRAFFIC: &'static str = "Voice, 2 people, both talk";
    const PEOPLE: usize = 2;
    const TALKERS: usize = 2;
}

pub(crate) struct Ten;

impl Size for Ten {
    const TRAFFIC: &'static str = "Voice, 10 people, all talk";
    const PEOPLE: usize = 10;
    const TALKERS: usize = 10;
}

pub(crate) struct Fifty;

impl Size for Fifty {
    const TRAFFIC: &'static str = "Voice, 50 people, 3 talk";
    const PEOPLE: usize = 50;
    const TALKERS: usize = 3;
}

/// A room. Whoever talks comes first.
pub(crate) struct Voice<S> {
    channel: i64,
    /// Until the room is made.
    gateways: Vec<Gateway>,
    readers: Vec<AbortHandle>,
    people: Vec<Person>,
    talkers: Vec<Talker>,
    /// Whose packet everybody has heard, in the order in which they speak again.
    idle: VecDeque<usize>,
    hop: Hop,
    size: PhantomData<S>,
}

struct Person {
    line: Line,
    /// Packets of each talker.
    heard: Vec<u32>,
}

struct Talker {
    said: u32,
    /// When the last of it was said.
    at: Instant,
    /// To so many it is on its way.
    missing: usize,
}

impl<S: Size> Load for Voice<S> {
    const TRAFFIC: &'static str = S::TRAFFIC;
    const UNIT: &'static str = "packet";
    const LISTENERS: Option<usize> = Some(S::PEOPLE - 1);
    const TURN: Duration = Duration::from_millis(100);
    const GENERATIONS: u32 = 5;

    async fn prepare(server: &Server) -> Result<Self> {
        let mut logins = Vec::new();
        for number in 0..S::PEOPLE {
            logins.push(user(server, &format!("user-{number}")).await?);
        }
        let channel = room(&logins).await?;
        for _ in 0..REQUESTS {
            logins[0].api.get("/api/v1/users/me").await?;
        }
        let mut gateways = Vec::new();
        for login in &logins {
            let mut gateway = Gateway::connect(server.host(), &login.access_token, &[]).await?;
            gateway.identify().await?;
            gateways.push(gateway);
        }
        let talker = || Talker { said: 0, at: Instant::now(), missing: 0 };
        Ok(Self {
            channel,
            gateways,
            readers: Vec::new(),
            people: Vec::new(),
            talkers: std::iter::repeat_with(talker).take(S::TALKERS).collect(),
            idle: (0..S::TALKERS).collect(),
            hop: Hop::connect()?,
            size: PhantomData,
        })
    }

    async fn connect(&mut self) -> Result<()> {
        for mut gateway in std::mem::take(&mut self.gateways) {
            // Nobody hears themselves.
            let (line, sdp) = Line::offer(HERE, S::TALKERS.min(S::PEOPLE - 1))?;
            let join = json!({"op": "voice_join", "channel_id": self.channel, "sdp": sdp});
            gateway.say(&join).await?;
            let joined = timeout(PATIENCE, gateway.wait_for("voice_joined")).await;
            let joined = joined.context("nobody is let into a room")??;
            self.people.push(Person { line, heard: vec![0; S::TALKERS] });
            let line = &mut self.people.last_mut().context("there is one")?.line;
            line.answer(joined["sdp"].as_str().context("an answer has its SDP")?)?;
            let until = Instant::now() + PATIENCE;
            while !self.people.last().is_some_and(|person| person.line.is_connected()) {
                ensure!(Instant::now() < until, "media does not connect");
                self.keep()?;
                yield_now().await;
            }
            // A connection that takes nothing is ended, and its user leaves the room.
            let reader = tokio::spawn(async move { while gateway.hear_words().await.is_ok() {} });
            self.readers.push(reader.abort_handle());
        }
        Ok(())
    }

    /// The floor, then half the time with all talkers at once, and half with one at a time.
    async fn turn(&mut self, time: Duration) -> Result<Turn> {
        let floor = self.hop.measure()?;
        let began = Instant::now();
        let done = self.talk(time / 2, S::TALKERS)?.len() as u64;
        let elapsed = began.elapsed();
        let delays = self.talk(time / 2, 1)?;
        Ok(Turn { done, elapsed, besides: delays.len() as u64, delays, floor: Some(floor) })
    }

    fn keep(&mut self) -> Result<()> {
        self.hop.keep()?;
        self.people.iter_mut().try_for_each(|person| Ok(person.line.step()?))
    }
}

impl<S: Size> Voice<S> {
    /// Has talkers say one packet after the other, each the next when everybody has heard the
    /// one before, and no more than so many at once. Has the time that each packet took to
    /// each listener.
    fn talk(&mut self, time: Duration, at_once: usize) -> Result<Vec<Duration>> {
        let began = Instant::now();
        let mut delays = Vec::new();
        loop {
            while self.idle.len() > S::TALKERS - at_once && began.elapsed() < time {
                self.say()?;
            }
            if self.idle.len() == S::TALKERS {
                return Ok(delays);
            }
            for listener in 0..S::PEOPLE {
                self.listen(listener, &mut delays)?;
            }
            ensure!(began.elapsed() < time + PATIENCE, "a packet is not heard by everybody");
        }
    }

    fn say(&mut self) -> Result<()> {
        let who = self.idle.pop_front().context("nobody has anything to say")?;
        let talker = &mut self.talkers[who];
        talker.said += 1;
        talker.missing = S::PEOPLE - 1;
        talker.at = Instant::now();
        Ok(self.people[who].line.speak(&packet(who, talker.said), LOUD)?)
    }

    /// Takes what somebody has heard.
    fn listen(&mut self, listener: usize, delays: &mut Vec<Duration>) -> Result<()> {
        let Person { line, heard } = &mut self.people[listener];
        line.step()?;
        while let Some(packet) = line.heard() {
            let (who, number) = said(&packet.payload).context("a packet is not as it was said")?;
            let talker = self.talkers.get_mut(who).context("a packet is nobody's")?;
            heard[who] += 1;
            ensure!(
                who != listener && number == heard[who] && talker.missing > 0,
                "listener {listener} heard {number} of talker {who}, not {}",
                heard[who]
            );
            delays.push(talker.at.elapsed());
            talker.missing -= 1;
            if talker.missing == 0 {
                self.idle.push_back(who);
            }
        }
        Ok(())
    }
}

impl<S> Drop for Voice<S> {
    fn drop(&mut self) {
        for reader in &self.readers {
            reader.abort();
        }
    }
}

/// What somebody says: a frame of Opus (RFC 6716, 3.1) to look at, which says who, and how
/// often before.
pub(crate) fn packet(who: usize, number: u32) -> [u8; FRAME] {
    let mut bytes = [0x78; FRAME];
    bytes[1] = who as u8;
    bytes[2..6].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn said(payload: &[u8]) -> Option<(usize, u32)> {
    let number = payload.get(2..6)?.try_into().ok()?;
    (payload.len() == FRAME).then_some((payload[1].into(), u32::from_be_bytes(number)))
}

/// A voice channel of a community that all of these are in.
async fn room(logins: &[Login]) -> Result<i64> {
    let first = logins.first().context("there are people")?;
    let (community, _) = community(logins).await?;
    let channel = json!({"name": "talk", "kind": "voice"});
    let path = format!("/api/v1/communities/{community}/channels");
    let made = first.api.post(&path, &channel).await?;
    made.body["id"].as_i64().with_context(|| format!("a channel is refused: {}", made.status))
}
