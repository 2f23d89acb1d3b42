//! One bot: it joins, talks and listens, leaves, and perhaps comes again.

use std::{
    collections::HashSet,
    future,
    ops::ControlFlow,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use super::{
    PASSWORD, Seat, Shared,
    figures::Figures,
    hearing::Hearing,
    peer::{Happened, Peer},
    report::BotReport,
    sent::Sent,
    speech::Talk,
};
use crate::{Gateway, GatewayError, Heard, LineError, Login};

/// Time between two frames of speech.
const FRAME: Duration = Duration::from_millis(20);

/// How long media may take to connect. The server gives up after 15 s.
const JOINING: Duration = Duration::from_secs(20);

/// How long bots listen after the last word.
const ECHO: Duration = Duration::from_millis(1_500);

/// So close to the end nobody leaves to come again.
const LAST_CALL: Duration = Duration::from_secs(3);

/// How long a bot that failed waits before it tries again.
const RETRY: Duration = Duration::from_secs(1);

/// How long one waits for the gateway to take what is said.
const PATIENCE: Duration = Duration::from_secs(10);

/// Time between two heartbeats, which tell the server what need not be kept, and two looks at
/// streams that ended.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// A first sequence number is below this, as browsers choose it: a wrap among the first packets
/// would leave a receiver that misses them with another rollover counter (RFC 3711 section 3.3.1).
const FIRST_SEQUENCES: u16 = 1 << 15;

pub(super) struct Bot {
    number: usize,
    seat: Seat,
    shared: Arc<Shared>,
    figures: Figures,
    /// When the last word is said.
    stop: Instant,
    /// When a newer access token is due: at half the life of the one that there is.
    renew_at: Instant,
}

/// One stay in a room.
struct Stay {
    peer: Peer,
    asked: Instant,
    is_answered: bool,
    call: Option<InCall>,
}

/// While media is connected.
struct InCall {
    talk: Talk,
    clock: Interval,
    sent: Arc<Sent>,
    hearing: Hearing,
    leave_at: Instant,
}

/// Why a stay is over.
enum End {
    /// It is what the plan says.
    Planned,
    /// Something went wrong; the gateway is as good as before.
    Failed(String),
    /// There is no gateway any more.
    Cut(String),
}

impl From<LineError> for End {
    fn from(error: LineError) -> Self {
        Self::Failed(format!("media: {error}"))
    }
}

impl From<GatewayError> for End {
    fn from(error: GatewayError) -> Self {
        Self::Cut(match error {
            GatewayError::Closed(Some(code)) => format!("gateway_closed_{code}"),
            GatewayError::Closed(None) => "gateway_closed".to_owned(),
            other => format!("gateway: {other}"),
        })
    }
}

impl Bot {
    pub(super) fn new(number: usize, seat: Seat, shared: Arc<Shared>) -> Self {
        let stop = shared.began + shared.plan.time;
        let renew_at = Instant::now() + seat.login.expires_in / 2;
        Self { number, seat, shared, figures: Figures::default(), stop, renew_at }
    }

    pub(super) async fn run(mut self) -> BotReport {
        let mut gateway = None;
        loop {
            let end = match gateway.take() {
                Some(mut open) => {
                    let end = self.stay(&mut open).await;
                    if !matches!(end, End::Cut(_)) {
                        gateway = Some(open);
                    }
                    end
                }
                None => match self.enter().await {
                    Ok(open) => {
                        gateway = Some(open);
                        continue;
                    }
                    Err(error) => {
                        *self.figures.joins.failed.entry(End::from(error).reason()).or_default() +=
                            1;
                        End::Cut(String::new())
                    }
                },
            };
            if Instant::now() + LAST_CALL > self.stop {
                break;
            }
            let pause = match end {
                End::Planned => Duration::from_millis(fastrand::u64(200..1_000)),
                End::Failed(_) | End::Cut(_) => RETRY,
            };
            if let Some(open) = &mut gateway
                && self.pass(open, pause).await.is_err()
            {
                gateway = None;
            }
            if gateway.is_none() {
                sleep(pause).await;
            }
        }
        if let Some(open) = gateway {
            // Others are still listened to; whether it goes well is no part of the call.
            let _ = timeout(PATIENCE, open.close()).await;
        }
        let Seat { name, room, talks, .. } = self.seat;
        BotReport { name, room, talks, figures: self.figures }
    }

    /// A gateway, with a fresh login where the access token has expired: it does not outlast
    /// long calls.
    async fn enter(&mut self) -> Result<Gateway, GatewayError> {
        let mut opened = self.connect().await;
        if matches!(opened, Err(GatewayError::Refused(StatusCode::UNAUTHORIZED)))
            && let Ok(login) = self.seat.login.api.log_in(&self.seat.name, PASSWORD).await
        {
            self.adopt(login);
            opened = self.connect().await;
        }
        let mut gateway = opened?;
        gateway.identify().await?;
        Ok(gateway)
    }

    fn adopt(&mut self, login: Login) {
        self.renew_at = Instant::now() + login.expires_in / 2;
        self.seat.login = login;
    }

    async fn connect(&self) -> Result<Gateway, GatewayError> {
        let login = &self.seat.login;
        Gateway::connect(login.api.host(), &login.access_token, &[]).await
    }

    /// Lets time pass between two stays.
    async fn pass(&self, gateway: &mut Gateway, pause: Duration) -> Result<(), GatewayError> {
        let hear = async {
            loop {
                if let Heard::Closed(code) = gateway.hear().await? {
                    return Err(GatewayError::Closed(code));
                }
            }
        };
        timeout(pause, hear).await.unwrap_or(Ok(()))
    }

    /// Joins, talks and listens, and leaves.
    async fn stay(&mut self, gateway: &mut Gateway) -> End {
        self.figures.joins.tried += 1;
        let plan = &self.shared.plan;
        let offer = Peer::offer(self.shared.local, plan.slots, plan.loss, self.shared.began).await;
        let (peer, sdp) = match offer {
            Ok(offer) => offer,
            Err(error) => return self.conclude(None, error.into()),
        };
        let mut stay = Stay { peer, asked: Instant::now(), is_answered: false, call: None };
        let join = json!({"op": "voice_join", "channel_id": self.seat.room, "sdp": sdp});
        let end = match say(gateway, &join).await {
            Ok(()) => self.follow(&mut stay, gateway).await,
            Err(error) => error.into(),
        };
        let end = match end {
            End::Cut(_) => end,
            // A server that no longer has this bot answers that with an error.
            _ => match say(gateway, &json!({"op": "voice_leave"})).await {
                Ok(()) => end,
                Err(error) => error.into(),
            },
        };
        self.conclude(stay.call, end)
    }

    async fn follow(&mut self, stay: &mut Stay, gateway: &mut Gateway) -> End {
        let mut heartbeat = interval(HEARTBEAT);
        loop {
            let leave_at = match &stay.call {
                Some(call) => call.leave_at,
                None => stay.asked + JOINING,
            };
            let wake_at = stay.peer.wake_at();
            let is_time_left = Instant::now() < self.stop;
            let done = tokio::select! {
                heard = gateway.hear() => match heard {
                    Ok(Heard::Said(said)) => self.take(stay, &said),
                    Ok(Heard::Closed(code)) => ControlFlow::Break(GatewayError::Closed(code).into()),
                    Err(error) => ControlFlow::Break(error.into()),
                },
                readable = stay.peer.readable() => fallible(
                    readable.map_err(LineError::from).and_then(|()| stay.peer.receive()),
                ),
                () = sleep_until(wake_at.into()) => fallible(stay.peer.wake(Instant::now())),
                lag = tick(&mut stay.call), if self.seat.talks && is_time_left => {
                    self.figures.lags.add(lag);
                    let spoken = stay.call.as_mut().and_then(|call| call.talk.step());
                    fallible(spoken.map_or(Ok(()), |spoken| stay.peer.speak(spoken)))
                }
                _ = heartbeat.tick() => self.beat(stay, gateway).await,
                () = sleep_until(leave_at.into()) => ControlFlow::Break(match &stay.call {
                    Some(_) => End::Planned,
                    None => End::Failed(stay.unconnected().to_owned()),
                }),
            };
            if let ControlFlow::Break(end) = done {
                return end;
            }
            while let Some(happened) = stay.peer.happened() {
                if let ControlFlow::Break(end) = self.make_use_of(stay, happened) {
                    return end;
                }
            }
        }
    }

    /// What is due every now and then.
    async fn beat(&mut self, stay: &mut Stay, gateway: &mut Gateway) -> ControlFlow<End> {
        if let Some(call) = &mut stay.call {
            call.hearing.review(self.shared.began.elapsed());
        }
        let mut words = vec![json!({"op": "heartbeat", "seq": gateway.seen})];
        if Instant::now() >= self.renew_at {
            let Login { api, refresh_token, .. } = &self.seat.login;
            // Without one the gateway ends the connection, and that is counted.
            if let Ok(Ok(login)) = timeout(PATIENCE, api.refresh(refresh_token)).await {
                words.push(json!({"op": "authenticate", "token": login.access_token}));
                self.adopt(login);
            }
        }
        for words in words {
            if let Err(error) = say(gateway, &words).await {
                return ControlFlow::Break(error.into());
            }
        }
        ControlFlow::Continue(())
    }

    /// Makes use of what the gateway says.
    fn take(&self, stay: &mut Stay, said: &Value) -> ControlFlow<End> {
        let data = &said["data"];
        match (said["op"].as_str(), said["event"].as_str()) {
            (Some("voice_joined"), _) => {
                stay.is_answered = true;
                return fallible(stay.peer.answer(said["sdp"].as_str().unwrap_or_default()));
            }
            (Some("error"), _) if said["about"] == "voice_join" => {
                let code = said["code"].as_str().unwrap_or("error");
                return ControlFlow::Break(End::Failed(code.to_owned()));
            }
            (_, Some("voice.slots")) => {
                let users = data["slots"].as_object().into_iter().flat_map(|slots| slots.values());
                let users: HashSet<i64> = users.filter_map(Value::as_i64).collect();
                if let Some(call) = &mut stay.call {
                    call.hearing.assign(&users);
                }
            }
            (_, Some("voice.left"))
                if data["user_id"] == self.seat.login.user
                    && data["channel_id"] == self.seat.room
                    && stay.is_ended_by(&data["reason"]) =>
            {
                let reason = data["reason"].as_str().unwrap_or("left");
                return ControlFlow::Break(End::Failed(reason.to_owned()));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn make_use_of(&mut self, stay: &mut Stay, happened: Happened) -> ControlFlow<End> {
        let now = self.shared.began.elapsed();
        match (happened, &mut stay.call) {
            (Happened::Connected, None) => {
                let joins = &mut self.figures.joins;
                joins.joined += 1;
                joins.durations.add(stay.asked.elapsed());
                stay.call = Some(self.begin(&mut stay.peer, now));
            }
            (Happened::Disconnected, _) => {
                return ControlFlow::Break(End::Failed("ice_disconnected".to_owned()));
            }
            (Happened::Heard(packet), Some(call)) => {
                let header = &packet.header;
                let at = packet.timestamp.saturating_duration_since(self.shared.began);
                call.hearing.hear(*header.ssrc, header.sequence_number, header.timestamp, at);
            }
            (Happened::DroppedInward(ssrc, sequence), Some(call)) => {
                call.hearing.drop_one(ssrc, sequence);
            }
            (Happened::Refused(ssrc, sequence), Some(call)) => {
                call.hearing.refuse(ssrc, sequence);
            }
            (Happened::Sent, _) => self.figures.sent += 1,
            (Happened::DroppedOutward, _) => self.figures.sent_dropped += 1,
            // Media of others before one's own is connected: their streams have not begun.
            (
                Happened::Connected
                | Happened::Heard(_)
                | Happened::DroppedInward(..)
                | Happened::Refused(..),
                _,
            ) => {}
        }
        ControlFlow::Continue(())
    }

    /// Media is connected.
    fn begin(&self, peer: &mut Peer, now: Duration) -> InCall {
        let Shared { plan, roll, speech, progress, .. } = &*self.shared;
        let Seat { login, room, talks, hears_all, .. } = &self.seat;
        let sent = Arc::new(Sent::new(login.user, *room, now));
        if let Some(ssrc) = peer.ssrc() {
            if *talks {
                roll.add(ssrc, Arc::clone(&sent));
            }
            peer.note_in(Arc::clone(&sent));
        }
        progress.connected.fetch_add(1, Relaxed);
        // Spread over the speech, so that not all pause together.
        let at = speech.frames() * self.number / plan.bots + fastrand::usize(0..50);
        let talk =
            Talk::new(Arc::clone(speech), at, fastrand::u16(..FIRST_SEQUENCES), fastrand::u32(..));
        let mut clock = interval(FRAME);
        // On a schedule that does not drift. Frames of a moment in which this process had no CPU
        // follow at once, as from a sound card's buffer: speech does not wait.
        clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let stay = plan.churn.map(|churn| churn.mul_f64(0.5 + fastrand::f64()));
        let end = self.stop + ECHO;
        let churned = stay.map(|stay| Instant::now() + stay);
        let leave_at = churned.filter(|at| *at + LAST_CALL < self.stop).unwrap_or(end);
        let hearing = Hearing::new(Arc::clone(roll), login.user, *room, now, *hears_all);
        InCall { talk, clock, sent, hearing, leave_at }
    }

    /// A stay is over.
    fn conclude(&mut self, call: Option<InCall>, end: End) -> End {
        let joins = &mut self.figures.joins;
        let failures = if call.is_some() { &mut joins.ended } else { &mut joins.failed };
        if let End::Failed(reason) | End::Cut(reason) = &end {
            *failures.entry(reason.clone()).or_default() += 1;
        }
        if let Some(InCall { sent, hearing, .. }) = call {
            let now = self.shared.began.elapsed();
            sent.end(now);
            self.figures.add(&hearing.finish(now));
            self.shared.progress.connected.fetch_sub(1, Relaxed);
        }
        end
    }
}

impl Stay {
    /// Whether one's own end of this reason is that of this stay. What is said before the
    /// answer is of the one before, and that is what a stay without media has replaced.
    fn is_ended_by(&self, reason: &Value) -> bool {
        self.is_answered && (self.call.is_some() || reason != "replaced")
    }

    const fn unconnected(&self) -> &'static str {
        if self.is_answered { "not_connected" } else { "no_answer" }
    }
}

impl End {
    fn reason(self) -> String {
        match self {
            Self::Planned => String::new(),
            Self::Failed(reason) | Self::Cut(reason) => reason,
        }
    }
}

fn fallible(outcome: Result<(), LineError>) -> ControlFlow<End> {
    outcome.map_or_else(|error| ControlFlow::Break(error.into()), ControlFlow::Continue)
}

/// Waits for the next 20 ms, and says how long they have been over; never without a call.
async fn tick(call: &mut Option<InCall>) -> Duration {
    match call {
        Some(call) => call.clock.tick().await.elapsed(),
        None => future::pending().await,
    }
}

async fn say(gateway: &mut Gateway, words: &Value) -> Result<(), GatewayError> {
    timeout(PATIENCE, gateway.say(words)).await.unwrap_or(Err(GatewayError::Closed(None)))
}
