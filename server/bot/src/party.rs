//! Bots that chat in one channel, lose their connections and come back, and check that each
//! heard every message once and in order.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant as Moment, sleep_until, timeout},
};

use crate::{Api, Gateway, GatewayError, Heard, Login};

/// How long bots wait at the end for what has yet to arrive.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the bots are to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Of the server, such as `127.0.0.1:8080`.
    pub host: String,
    /// How many.
    pub bots: usize,
    /// Time between two messages of a bot.
    pub pause: Duration,
    /// How long they chat.
    pub time: Duration,
    /// Time between two losses of a bot's connection, if it loses any.
    pub drop_every: Option<Duration>,
    /// Part of their names: two parties on one server want two.
    pub name: String,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Messages that the server acknowledged.
    pub sent: usize,
    /// Of those, how often one was not heard by a bot.
    pub lost: usize,
    /// How often one was heard by a bot once more.
    pub doubled: usize,
    /// How often one was heard by a bot after a later one.
    pub late: usize,
    /// How often one was heard.
    pub heard: usize,
    /// Connections that were lost on purpose.
    pub drops: usize,
    /// Sessions that went on.
    pub resumed: usize,
    /// Sessions that could not.
    pub begun_again: usize,
    /// From sending to hearing, of every message heard.
    pub delays: Vec<Duration>,
}

/// A party.
#[derive(Clone, Debug)]
pub struct Party {
    plan: Plan,
    channel: i64,
    logins: Vec<Login>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    acknowledged: Mutex<BTreeSet<i64>>,
    /// Bots that still have something to send.
    sending: AtomicUsize,
    began: Instant,
}

/// One bot.
struct Bot {
    login: Login,
    plan: Plan,
    channel: i64,
    shared: Arc<Shared>,
    report: Report,
    heard: BTreeMap<i64, usize>,
    last: i64,
    /// Number of the last event that was made use of.
    seen: u64,
    session: Option<String>,
    /// Sent and not acknowledged, by nonce.
    open: BTreeMap<String, String>,
    sent: usize,
    has_sent_all: bool,
}

/// Why a connection is left.
enum Left {
    Done,
    OnPurpose,
    Broken,
}

impl Party {
    /// Makes accounts and a community for them.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn gather(plan: Plan) -> anyhow::Result<Self> {
        let api = Api::new(&plan.host);
        let mut logins = Vec::new();
        for number in 0..plan.bots {
            let name = format!("bot-{}-{number}", plan.name);
            api.register(&name, "a password of bots").await?;
            logins.push(api.log_in(&name, "a password of bots").await?);
        }
        let first = &logins.first().context("a party has at least one bot")?.api;
        let community = first.post("/api/v1/communities", &json!({"name": "bots"})).await?.body;
        let invitation = json!({"invite_code": community["invite_code"]});
        for login in &logins[1..] {
            login.api.post("/api/v1/communities/join", &invitation).await?;
        }
        let channels = format!("/api/v1/communities/{}/channels", community["id"]);
        let channels = first.get(&channels).await?.body;
        let channel = channels[0]["id"].as_i64().context("a community has a channel")?;
        let shared = Shared {
            acknowledged: Mutex::default(),
            sending: AtomicUsize::new(plan.bots),
            began: Instant::now(),
        };
        Ok(Self { plan, channel, logins, shared: Arc::new(shared) })
    }

    /// Has them chat, and says what came of it.
    ///
    /// # Errors
    /// When a bot cannot go on.
    pub async fn chat(self) -> anyhow::Result<Report> {
        let mut bots = JoinSet::new();
        for login in self.logins {
            let bot = Bot {
                login,
                plan: self.plan.clone(),
                channel: self.channel,
                shared: Arc::clone(&self.shared),
                report: Report::default(),
                heard: BTreeMap::new(),
                last: 0,
                seen: 0,
                session: None,
                open: BTreeMap::new(),
                sent: 0,
                has_sent_all: false,
            };
            bots.spawn(bot.run());
        }
        let mut all = Report::default();
        while let Some(bot) = bots.join_next().await {
            all.add(bot??);
        }
        all.sent = self.shared.acknowledged().len();
        all.delays.sort_unstable();
        Ok(all)
    }
}

impl Shared {
    fn acknowledged(&self) -> std::sync::MutexGuard<'_, BTreeSet<i64>> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bot {
    async fn run(mut self) -> anyhow::Result<Report> {
        let stop = Moment::now() + self.plan.time;
        let give_up = stop + PATIENCE;
        loop {
            let left = match self.enter().await {
                Ok(mut gateway) => self.stay(&mut gateway, stop, give_up).await?,
                Err(GatewayError::Refused(status)) if status != StatusCode::SERVICE_UNAVAILABLE => {
                    bail!("the gateway answers {status}")
                }
                Err(_) => Left::Broken,
            };
            if matches!(left, Left::Done) {
                return Ok(self.judge());
            }
            if Moment::now() > give_up {
                bail!("the server cannot be reached any more");
            }
            tokio::time::sleep(Duration::from_millis(fastrand::u64(10..200))).await;
        }
    }

    /// Connects, and goes on or begins again.
    async fn enter(&mut self) -> Result<Gateway, GatewayError> {
        let host = self.login.api.host().to_owned();
        let mut gateway = Gateway::connect(&host, &self.login.access_token, &[]).await?;
        if let Some(session) = self.session.clone() {
            if gateway.resume(&session, self.seen).await? {
                self.report.resumed += 1;
                return Ok(gateway);
            }
            self.report.begun_again += 1;
        }
        gateway.identify().await?;
        self.session.clone_from(&gateway.session);
        self.seen = 0;
        if self.last > 0 {
            // What came meanwhile, and was told to nobody.
            self.catch_up().await.map_err(|_| GatewayError::Closed(None))?;
        }
        Ok(gateway)
    }

    async fn catch_up(&mut self) -> anyhow::Result<()> {
        loop {
            let path =
                format!("/api/v1/channels/{}/messages?after={}&limit=100", self.channel, self.last);
            let page = self.login.api.get(&path).await?.body;
            let messages = page.as_array().context("a page is a list")?;
            for message in messages {
                self.hear(message);
            }
            if messages.len() < 100 {
                return Ok(());
            }
        }
    }

    async fn stay(
        &mut self,
        gateway: &mut Gateway,
        stop: Moment,
        give_up: Moment,
    ) -> anyhow::Result<Left> {
        // What was not acknowledged is sent again: the nonce says that it is the same.
        for (nonce, content) in self.open.clone() {
            if self.send(gateway, &nonce, &content).await.is_err() {
                return Ok(Left::Broken);
            }
        }
        let drop_at = match self.plan.drop_every {
            Some(every) => Moment::now() + every.mul_f64(0.5 + fastrand::f64()),
            None => give_up,
        };
        let mut say_at = Moment::now() + self.plan.pause.mul_f64(fastrand::f64());
        let mut beat_at = Moment::now() + Duration::from_secs(1);
        loop {
            let now = Moment::now();
            if now >= stop && self.open.is_empty() && !self.has_sent_all {
                self.has_sent_all = true;
                self.shared.sending.fetch_sub(1, SeqCst);
            }
            if now >= give_up || (self.has_sent_all && self.has_heard_all()) {
                return Ok(Left::Done);
            }
            let is_broken = tokio::select! {
                heard = gateway.hear() => match heard {
                    Ok(Heard::Said(said)) => self.take(&said),
                    Ok(Heard::Closed(_)) | Err(_) => true,
                },
                () = sleep_until(say_at), if now < stop => {
                    say_at += self.plan.pause;
                    let nonce = format!("{}-{}", self.login.user, self.sent);
                    self.sent += 1;
                    let content = self.shared.began.elapsed().as_nanos().to_string();
                    self.open.insert(nonce.clone(), content.clone());
                    self.send(gateway, &nonce, &content).await.is_err()
                }
                () = sleep_until(beat_at) => {
                    beat_at = Moment::now() + Duration::from_secs(1);
                    gateway.say(&json!({"op": "heartbeat", "seq": self.seen})).await.is_err()
                }
                () = sleep_until(drop_at), if now < stop => {
                    self.report.drops += 1;
                    return Ok(Left::OnPurpose);
                }
                // Others may have finished.
                () = tokio::time::sleep(Duration::from_millis(100)) => false,
            };
            if is_broken {
                return Ok(Left::Broken);
            }
        }
    }

    async fn send(
        &self,
        gateway: &mut Gateway,
        nonce: &str,
        content: &str,
    ) -> Result<(), GatewayError> {
        let message =
            json!({"op": "send", "channel_id": self.channel, "content": content, "nonce": nonce});
        let done = timeout(PATIENCE, gateway.say(&message)).await;
        done.unwrap_or(Err(GatewayError::Closed(None)))
    }

    /// Makes use of something that was said; true when that makes no sense.
    fn take(&mut self, said: &Value) -> bool {
        if let Some(number) = said["seq"].as_u64() {
            if number != self.seen + 1 {
                return true;
            }
            self.seen = number;
        }
        match (said["op"].as_str(), said["event"].as_str()) {
            (Some("event"), Some("message.created")) => self.hear(&said["data"]),
            (Some("ack"), _) => {
                if let (Some(nonce), Some(id)) =
                    (said["nonce"].as_str(), said["message"]["id"].as_i64())
                {
                    self.open.remove(nonce);
                    self.shared.acknowledged().insert(id);
                }
            }
            // Too often, or a server in trouble: it is sent again when the connection is.
            _ => {}
        }
        false
    }

    fn hear(&mut self, message: &Value) {
        let (Some(id), Some(content)) = (message["id"].as_i64(), message["content"].as_str())
        else {
            return;
        };
        if message["channel_id"].as_i64() != Some(self.channel) {
            return;
        }
        if id < self.last {
            self.report.late += 1;
        }
        self.last = self.last.max(id);
        *self.heard.entry(id).or_default() += 1;
        if let Ok(sent) = content.parse::<u64>() {
            let now = self.shared.began.elapsed();
            self.report.delays.push(now.saturating_sub(Duration::from_nanos(sent)));
        }
    }

    fn has_heard_all(&self) -> bool {
        let is_quiet = self.shared.sending.load(SeqCst) == 0;
        is_quiet && self.shared.acknowledged().iter().all(|id| self.heard.contains_key(id))
    }

    fn judge(mut self) -> Report {
        let acknowledged = self.shared.acknowledged();
        self.report.lost = acknowledged.iter().filter(|id| !self.heard.contains_key(id)).count();
        self.report.doubled = self.heard.values().map(|times| times - 1).sum();
        self.report.heard = self.heard.values().sum();
        drop(acknowledged);
        self.report
    }
}

impl Report {
    fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.late += other.late;
        self.heard += other.heard;
        self.drops += other.drops;
        self.resumed += other.resumed;
        self.begun_again += other.begun_again;
        self.delays.extend(other.delays);
    }

    /// Whether everybody heard everything once and in order.
    #[must_use]
    pub const fn is_well(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.late == 0
    }

    /// The delay that a share of what was heard does not exceed.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        let last = self.delays.len().saturating_sub(1);
        let at = (last as f64 * share).round() as usize;
        self.delays.get(at).copied().unwrap_or_default()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |share| self.quantile(share).as_secs_f64() * 1_000.0;
        writeln!(to, "sent          {}", self.sent)?;
        writeln!(to, "heard         {}", self.heard)?;
        writeln!(to, "lost          {}", self.lost)?;
        writeln!(to, "doubled       {}", self.doubled)?;
        writeln!(to, "out of order  {}", self.late)?;
        writeln!(to, "drops         {}", self.drops)?;
        writeln!(to, "resumed       {}", self.resumed)?;
        writeln!(to, "begun again   {}", self.begun_again)?;
        write!(to, "delay         p50 {:.1} ms, p99 {:.1} ms", ms(0.5), ms(0.99))
    }
}
