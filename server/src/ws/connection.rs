//! One connection, from its first message to its last.

use std::{
    num::NonZeroU32,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use futures_util::SinkExt as _;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use opentelemetry::Context;
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::{Instant as Moment, MissedTickBehavior, interval_at, sleep, sleep_until, timeout},
};
use tokio_tungstenite::tungstenite;
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{
    Inner, MOST_SESSIONS,
    close::{Closed, Reason},
    protocol::{Said, Says, TraceContext, draft, told},
};
use crate::{
    auth::Claims,
    events::{Attached, Backlog, Entered, Resumed, Room, Status},
    observability::{
        Outcome, crash,
        tracing::{self as spans, LOG},
    },
    problem::Problem,
    store::{Sent, Store, StoreError},
    voice::Welcome,
};

/// How long a client may take to say which session it wants.
const GREETING: Duration = Duration::from_secs(10);
/// How long a socket may take for what is told.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the other end may take to agree that this is the end.
const FAREWELL: Duration = Duration::from_secs(1);
/// Events that are told at once.
const BATCH: usize = 64;
/// Messages of a client: so many a second, and so many at once.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(20).expect("it is not 0");
const AT_ONCE: NonZeroU32 = NonZeroU32::new(100).expect("it is not 0");

/// A connection of somebody.
pub(super) struct Connection {
    gateway: Arc<Inner>,
    claims: Claims,
    cookie: Option<u64>,
    /// Of the request that was upgraded. Not its span, which would not end before this.
    request: Context,
    limit: DefaultDirectRateLimiter,
    _permit: OwnedSemaphorePermit,
}

/// How a session was had.
struct Opened {
    attached: Attached,
    kind: &'static str,
}

impl Connection {
    pub(super) fn new(
        gateway: Arc<Inner>,
        claims: Claims,
        cookie: Option<u64>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let limit = RateLimiter::direct(Quota::per_second(PER_SECOND).allow_burst(AT_ONCE));
        let request = Span::current().context();
        Self { gateway, claims, cookie, request, limit, _permit: permit }
    }

    /// To its end.
    pub(super) async fn run(mut self, mut socket: WebSocket) {
        let began = Instant::now();
        let metrics = self.gateway.metrics.clone();
        let _present = metrics.connection();
        let opening = spans::connection_open(&self.request, self.cookie);
        let opened = self.open(&mut socket).instrument(opening.clone()).await;
        let (session, closed) = match opened {
            Ok(Opened { attached, kind }) => {
                opening.record("vc.connect.kind", kind);
                spans::finish(&opening, Outcome::Success);
                drop(opening);
                let session = spans::session(&self.request, self.cookie);
                let closed = self.attend(&mut socket, &attached, &session, kind).await;
                self.part(attached, closed);
                (Some(session), closed)
            }
            Err(closed) => {
                spans::finish(&opening, closed.outcome());
                drop(opening);
                (None, closed)
            }
        };
        if let Closed::ByServer(reason) = closed {
            farewell(&mut socket, reason).await;
        }
        metrics.close(closed.code(), closed.initiator(), began.elapsed());
        let span = session.clone().unwrap_or_else(Span::none);
        span.record("websocket.close.code", closed.code());
        span.record("websocket.initiator", closed.initiator());
        span.in_scope(|| {
            tracing::info!(
                target: LOG,
                event = "gateway.close",
                outcome = closed.outcome().name(),
                websocket.close.code = closed.code(),
                websocket.initiator = closed.initiator(),
                socket.cookie = self.cookie,
                duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
                "a gateway connection ended"
            );
        });
        if let Some(session) = &session {
            spans::finish(session, closed.outcome());
        }
    }

    /// Waits until the client says which session it wants, and gives it that.
    async fn open(&mut self, socket: &mut WebSocket) -> Result<Opened, Closed> {
        let heartbeat_interval_ms =
            u64::try_from(self.gateway.heartbeat.as_millis()).unwrap_or(u64::MAX);
        say(socket, &Says::Hello { heartbeat_interval_ms }).await?;
        let mut kind = "first";
        let until = Moment::now() + GREETING;
        let mut ends = pin!(true_of(self.gateway.ends.subscribe()));
        loop {
            let heard = tokio::select! {
                heard = hear(socket) => heard,
                () = sleep_until(until) => Err(Closed::ByServer(Reason::Silent)),
                () = &mut ends => Err(Closed::ByServer(Reason::GoingAway)),
            };
            match heard? {
                Some(Said::Identify {}) => {
                    self.gateway.metrics.connect(kind);
                    let (attached, rooms) = self.identify().await?;
                    let session_id = attached.session().id();
                    let calls = self.gateway.voice.calls(&rooms);
                    say(socket, &Says::Ready { session_id, user_id: self.claims.sub, calls })
                        .await?;
                    return Ok(Opened { attached, kind });
                }
                Some(Said::Resume { session_id, seq }) => {
                    kind = "reconnect";
                    match self.resume(&session_id, seq) {
                        Ok((attached, missed)) => {
                            self.gateway.metrics.connect(kind);
                            say(socket, &Says::Resumed { missed }).await?;
                            return Ok(Opened { attached, kind });
                        }
                        Err(reason) => say(socket, &Says::InvalidSession { reason }).await?,
                    }
                }
                Some(_) => return Err(Closed::ByServer(Reason::OutOfTurn)),
                None => {}
            }
        }
    }

    /// A new session, which hears all rooms that its user is in.
    async fn identify(&self) -> Result<(Attached, Vec<Room>), Closed> {
        let id = crate::auth::random().ok_or(Closed::ByServer(Reason::Internal))?;
        let Inner { hub, store, .. } = &*self.gateway;
        let user = self.claims.sub;
        let begun = hub.begin(id, user, self.claims.sid.clone(), MOST_SESSIONS);
        let (attached, mut departures) = begun.ok_or(Closed::ByServer(Reason::TooMany))?;
        loop {
            let rooms = match self.rooms(store).await {
                Ok(rooms) => rooms,
                Err(error) => {
                    crash::report(error.error_type().unwrap_or("internal"), []);
                    hub.end(&attached);
                    return Err(Closed::ByServer(Reason::Internal));
                }
            };
            match hub.enter(&attached, &rooms, departures) {
                Entered::First => self.gateway.announce(user, Status::Online, &rooms),
                Entered::Again => {}
                Entered::NotYet => {
                    departures = hub.departures(user);
                    continue;
                }
            }
            return Ok((attached, rooms));
        }
    }

    async fn rooms(&self, store: &Store) -> Result<Vec<Room>, StoreError> {
        let communities = store.communities(self.claims.sub).await?;
        let dms = store.dms(self.claims.sub).await?;
        let communities = communities.iter().map(|one| Room::Community(one.id));
        Ok(communities.chain(dms.iter().map(|one| Room::Dm(one.id))).collect())
    }

    fn resume(&self, id: &str, seen: u64) -> Result<(Attached, u64), &'static str> {
        let resumed = self
            .gateway
            .hub
            .session(id, &self.claims.sid)
            .map_or(Resumed::Unknown, |session| session.resume(seen));
        let (outcome, result) = match resumed {
            Resumed::Done(attached, missed) => (Outcome::Success, Ok((attached, missed))),
            Resumed::Gap => (Outcome::Gap, Err("gap")),
            Resumed::Unknown => (Outcome::Unknown, Err("unknown")),
        };
        self.gateway.metrics.resume(outcome);
        result
    }

    /// Tells and listens until the end.
    ///
    /// What a client says is answered within its session's span. What it is told is not: it
    /// asks for no span, and to enter one would be a tenth of the work.
    async fn attend(
        &mut self,
        socket: &mut WebSocket,
        attached: &Attached,
        session: &Span,
        kind: &'static str,
    ) -> Closed {
        session.in_scope(|| {
            tracing::info!(target: LOG, event = "gateway.open", outcome = "success", vc.connect.kind = kind, socket.cookie = self.cookie, "a gateway session is open");
        });
        let beat = self.gateway.heartbeat;
        let mut beats = interval_at(Moment::now() + beat, beat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard_at = Instant::now();
        let mut ends = pin!(true_of(self.gateway.ends.subscribe()));
        let mut expiry = pin!(sleep(left(&self.claims)));
        loop {
            let step = tokio::select! {
                backlog = attached.backlog(BATCH) => match backlog {
                    Ok(backlog) => self.tell(socket, backlog).await,
                    Err(ended) => Err(Closed::ByServer(ended.into())),
                },
                heard = hear(socket) => {
                    heard_at = Instant::now();
                    match heard {
                        Ok(Some(said)) => {
                            let answer = self.answer(socket, attached, session, said);
                            let done = answer.instrument(session.clone()).await;
                            expiry.as_mut().reset(Moment::now() + left(&self.claims));
                            done
                        }
                        Ok(None) => Ok(()),
                        Err(closed) => Err(closed),
                    }
                }
                _ = beats.tick() => {
                    if heard_at.elapsed() > 2 * beat {
                        Err(Closed::ByServer(Reason::Silent))
                    } else {
                        // A client that only listens answers by itself.
                        put(socket, Message::Ping(Bytes::new())).await
                    }
                }
                () = &mut expiry => Err(Closed::ByServer(Reason::Expired)),
                () = &mut ends => Err(Closed::ByServer(Reason::GoingAway)),
            };
            if let Err(closed) = step {
                return closed;
            }
        }
    }

    /// Tells what there is, and counts how old messages are when they are handed over.
    async fn tell(&self, socket: &mut WebSocket, backlog: Backlog) -> Result<(), Closed> {
        let write = async {
            for (number, event) in &backlog {
                socket.feed(Message::Text(told(*number, event).into())).await?;
            }
            socket.flush().await
        };
        match timeout(PATIENCE, write).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(Closed::ByClient(None)),
            Err(_) => return Err(Closed::ByServer(Reason::Slow)),
        }
        for received in backlog.iter().filter_map(|(_, event)| event.received) {
            self.gateway.metrics.delivery(received);
        }
        Ok(())
    }

    async fn answer(
        &mut self,
        socket: &mut WebSocket,
        attached: &Attached,
        session: &Span,
        said: Said,
    ) -> Result<(), Closed> {
        if self.limit.check().is_err() {
            return Err(Closed::ByServer(Reason::TooOften));
        }
        let user = self.claims.sub;
        let chat = &self.gateway.chat;
        let mut about = None;
        let done = match said {
            Said::Identify {} | Said::Resume { .. } => {
                return Err(Closed::ByServer(Reason::OutOfTurn));
            }
            Said::Heartbeat { seq } => {
                attached.acknowledge(seq);
                return say(socket, &Says::HeartbeatAck {}).await;
            }
            Said::Authenticate { token } => match self.gateway.tokens.verify(&token) {
                Ok(claims) if claims.sub == user && claims.sid == self.claims.sid => {
                    self.claims = claims;
                    return say(socket, &Says::Authenticated {}).await;
                }
                _ => Err(Problem::Unauthenticated),
            },
            Said::Send { channel_id, content, nonce, context } => {
                return self.send(socket, session, channel_id, (content, nonce), &context).await;
            }
            Said::Typing { channel_id } => chat.types(user, channel_id).await,
            Said::Read { channel_id, message_id } => chat.read(user, channel_id, message_id).await,
            Said::Presence { status } => {
                if let Some(rooms) = self.gateway.hub.set_status(user, status) {
                    self.gateway.announce(user, status, &rooms);
                }
                Ok(())
            }
            Said::VoiceJoin { channel_id, sdp, muted, context } => {
                let span = spans::voice_join(session, &context);
                let entered = self.gateway.voice.enter(user, channel_id, &sdp, muted, &span).await;
                return match entered {
                    Ok(Welcome { sdp, participants }) => {
                        let (sdp, participants) = (&*sdp, &*participants);
                        say(socket, &Says::VoiceJoined { channel_id, sdp, participants }).await
                    }
                    Err(problem) => refuse(socket, "voice_join", &problem).await,
                };
            }
            Said::VoiceOffer { sdp } => {
                return match self.gateway.voice.renegotiate(user, sdp).await {
                    Ok(sdp) => say(socket, &Says::VoiceAnswer { sdp: &sdp }).await,
                    Err(problem) => refuse(socket, "voice_offer", &problem).await,
                };
            }
            Said::VoiceCandidate { candidate } => {
                about = Some("voice_candidate");
                self.gateway.voice.candidate(user, candidate)
            }
            Said::VoiceMute { muted } => {
                about = Some("voice_mute");
                self.gateway.voice.mute(user, muted)
            }
            Said::VoiceLeave {} => {
                about = Some("voice_leave");
                self.gateway.voice.exit(user)
            }
        };
        match done {
            Ok(()) => Ok(()),
            Err(problem) => say(socket, &Says::error(&problem, about, None)).await,
        }
    }

    async fn send(
        &self,
        socket: &mut WebSocket,
        session: &Span,
        channel: i64,
        (content, nonce): (String, Option<String>),
        context: &TraceContext,
    ) -> Result<(), Closed> {
        let received = Instant::now();
        let draft = draft(content, nonce);
        let span = spans::message_send_by_gateway(session, self.cookie, context);
        let chat = &self.gateway.chat;
        let sent = chat.send(&span, self.claims.sub, channel, &draft, received).await;
        chat.count(&span, "gateway", &sent);
        if let Some(kind) = sent.as_ref().err().and_then(Problem::error_type) {
            span.in_scope(|| crash::report(kind, []));
        }
        drop(span);
        let nonce = draft.nonce.as_deref();
        match &sent {
            Ok(Sent::New(message) | Sent::Before(message)) => {
                say(socket, &Says::Ack { nonce, message }).await
            }
            Err(problem) => say(socket, &Says::error(problem, None, nonce)).await,
        }
    }

    /// Leaves the session to another connection, or ends it.
    fn part(&self, attached: Attached, closed: Closed) {
        if closed.is_for_good()
            && let Some(rooms) = self.gateway.hub.end(&attached)
        {
            self.gateway.gone(self.claims.sub, &rooms);
        }
    }
}

/// When it is true.
async fn true_of(mut ends: watch::Receiver<bool>) {
    // Without a sender there is no gateway either.
    let _either_way = ends.wait_for(|ends| *ends).await.is_ok();
}

/// How long a token is good for.
fn left(claims: &Claims) -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Duration::from_secs(claims.exp).saturating_sub(now)
}

/// The next thing that a client says; nothing when it is a sign of life only.
async fn hear(socket: &mut WebSocket) -> Result<Option<Said>, Closed> {
    match socket.recv().await {
        Some(Ok(Message::Text(text))) => match Said::parse(&text) {
            Some(said) => Ok(Some(said)),
            None => Err(Closed::ByServer(Reason::Malformed)),
        },
        Some(Ok(Message::Binary(_))) => Err(Closed::ByServer(Reason::Unsupported)),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        Some(Ok(Message::Close(frame))) => Err(Closed::ByClient(frame.map(|frame| frame.code))),
        Some(Err(error)) => Err(broken(error)),
        None => Err(Closed::ByClient(None)),
    }
}

/// What a WebSocket that is none ends with.
fn broken(error: axum::Error) -> Closed {
    let Ok(error) = error.into_inner().downcast::<tungstenite::Error>() else {
        return Closed::ByClient(None);
    };
    match *error {
        tungstenite::Error::Capacity(_) => Closed::ByServer(Reason::TooBig),
        tungstenite::Error::Utf8(_) => Closed::ByServer(Reason::Encoding),
        tungstenite::Error::Protocol(
            tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
        ) => Closed::ByClient(None),
        tungstenite::Error::Protocol(_) => Closed::ByServer(Reason::Protocol),
        _ => Closed::ByClient(None),
    }
}

async fn say(socket: &mut WebSocket, says: &Says<'_>) -> Result<(), Closed> {
    send(socket, says.text()).await
}

async fn send(socket: &mut WebSocket, text: String) -> Result<(), Closed> {
    put(socket, Message::Text(text.into())).await
}

async fn put(socket: &mut WebSocket, message: Message) -> Result<(), Closed> {
    match timeout(PATIENCE, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Closed::ByClient(None)),
        Err(_) => Err(Closed::ByServer(Reason::Slow)),
    }
}

/// Says that something was not done.
async fn refuse(
    socket: &mut WebSocket,
    what: &'static str,
    problem: &Problem,
) -> Result<(), Closed> {
    say(socket, &Says::error(problem, Some(what), None)).await
}

/// Says why, and waits a moment for the other end to hear it.
async fn farewell(socket: &mut WebSocket, reason: Reason) {
    let goodbye = async {
        if socket.send(Message::Close(Some(reason.frame()))).await.is_ok() {
            while let Some(Ok(_)) = socket.recv().await {}
        }
    };
    let _in_vain = timeout(FAREWELL, goodbye).await;
}
