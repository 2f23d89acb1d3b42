//! The server, put together.

mod door;

mod requests;

mod openapi;

mod talk;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    middleware,
    routing::get,
};
use tokio::{
    net::TcpListener,
    time::{MissedTickBehavior, interval, timeout},
};
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    auth::{self, Auth, Tokens},
    chat::{self, Chat},
    config::Config,
    events::Hub,
    observability::{metrics::Metrics, tracing::LOG},
    problem::Problem,
    store::Store,
    voice::{self, Voice},
    ws::{self, Gateway},
};

pub use openapi::description;

/// Bytes of a request's body.
const MOST_BODY: usize = 64 << 10;

/// Connections besides those of the gateway.
const MOST_REQUESTS: u32 = 1_024;

/// How often sessions are looked at whose clients are away.
const LOOK: Duration = Duration::from_millis(500);

/// Of those, after how many everything that is kept for a while is tidied.
const TIDY: u32 = 120;

/// The server before it serves.
pub struct App {
    config: Config,
    store: Store,
    hub: Arc<Hub>,
    auth: Auth,
    chat: Chat,
    voice: Voice,
    gateway: Gateway,
    tokens: Tokens,
    metrics: Metrics,
}

impl App {
    /// Opens the database, and puts everything together.
    ///
    /// # Errors
    /// When the database cannot be had, or the system has no randomness.
    pub async fn new(config: Config, metrics: Metrics) -> anyhow::Result<Self> {
        let store = Store::open(&config.database, metrics.clone()).await?;
        let hub = Arc::new(Hub::new(config.session_buffer, config.resume_window));
        let secret = match &config.jwt_secret {
            Some(secret) => secret.expose().to_owned(),
            None => auth::random().context("the system has no randomness")?,
        };
        let (access, refresh) = (config.access_token_lifetime, config.refresh_token_lifetime);
        let tokens = Tokens::new(secret.as_bytes(), access, refresh);
        let auth = Auth::new(
            store.clone(),
            Arc::clone(&hub),
            metrics.clone(),
            tokens.clone(),
            config.auth_attempts_per_minute,
            config.trust_forwarded_for,
            config.refresh_grace,
        );
        let (s, h, m) = (&store, &hub, &metrics);
        let chat = Chat::new(s.clone(), Arc::clone(h), m.clone(), config.messages_per_minute);
        let (patience, plan) = (config.ring_timeout, &config.voice);
        let voice = Voice::start(s.clone(), Arc::clone(h), m.clone(), patience, plan)?;
        let gateway = Gateway::new(
            store.clone(),
            Arc::clone(&hub),
            (chat.clone(), voice.clone()),
            tokens.clone(),
            metrics.clone(),
            config.heartbeat_interval,
            config.max_connections,
        );
        Ok(Self { config, store, hub, auth, chat, voice, gateway, tokens, metrics })
    }

    /// Serves until `stop` is there, then ends what is in progress.
    ///
    /// # Errors
    /// When the listener has no address, or voice cannot go on.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send,
    ) -> anyhow::Result<()> {
        let port = listener.local_addr().context("the listener has no address")?.port();
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        // Beside gateway connections, requests.
        let most = self.config.max_connections.saturating_add(MOST_REQUESTS).get();
        let mut server = std::pin::pin!(door::serve(listener, self.router(), most, async {
            let _either_way = ended.await;
        }));
        tracing::info!(target: LOG, event = "server.listen", outcome = "success", server.port = port, "connections are accepted");
        let mut is_broken = false;
        tokio::select! {
            () = &mut server => {}
            () = self.look_after() => {}
            () = self.voice.ended() => is_broken = true,
            () = stop => {}
        }
        tracing::info!(target: LOG, event = "server.stop", outcome = "success", "connections are drained");
        let _gone = end.send(());
        self.voice.shut_down().await;
        let drained = async { tokio::join!(server, self.gateway.shut_down()) };
        // What does not end in time is cut off.
        let _either_way = timeout(self.config.shutdown_timeout, drained).await;
        self.store.close().await;
        anyhow::ensure!(!is_broken, "what passes voice on has failed: start the server again");
        Ok(())
    }

    fn router(&self) -> Router {
        let (router, api) = openapi::router()
            .merge(auth::routes().with_state(self.auth.clone()))
            .merge(chat::routes().with_state(self.chat.clone()))
            .merge(voice::routes().with_state(self.voice.clone()))
            .merge(ws::routes().with_state(self.gateway.clone()))
            .split_for_parts();
        let health = Router::new()
            .route("/healthz", get(async || StatusCode::NO_CONTENT))
            .route("/readyz", get(ready))
            .with_state(self.store.clone());
        router
            .merge(health)
            .merge(talk::routes())
            .route("/api/v1/openapi.json", get(async move || axum::Json(api)))
            .fallback(async || Problem::NotFound)
            .method_not_allowed_fallback(async || Problem::Method)
            .layer(DefaultBodyLimit::max(MOST_BODY))
            .layer(Extension(self.tokens.clone()))
            .layer(CatchPanicLayer::custom(requests::panicked))
            .layer(middleware::from_fn_with_state(self.metrics.clone(), requests::observe))
    }

    /// Ends sessions whose clients stay away, and forgets what is not needed any more.
    async fn look_after(&self) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for look in 0_u32.. {
            looks.tick().await;
            for (user, rooms) in self.hub.expire(Instant::now()) {
                self.gateway.gone(user, &rooms);
            }
            if look % TIDY == 0 {
                self.auth.tidy();
                self.chat.tidy();
            }
        }
    }
}

async fn ready(State(store): State<Store>) -> Result<StatusCode, Problem> {
    store.check().await?;
    Ok(StatusCode::NO_CONTENT)
}
