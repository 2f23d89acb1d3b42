//! Who somebody is: accounts, logins, tokens, and how often one may try.

mod password;

mod token;

mod limit;

mod peer;

mod user;

pub mod handlers;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{events::Hub, observability::metrics::Metrics, store::Store};
use limit::Limiter;
use password::Passwords;

pub use limit::Limit;
pub use peer::Peer;
pub(crate) use token::random;
pub use token::{Claims, TokenError, Tokens};
pub use user::CurrentUser;

/// Accounts and logins.
#[derive(Clone)]
pub struct Auth(Arc<Inner>);

struct Inner {
    store: Store,
    hub: Arc<Hub>,
    metrics: Metrics,
    tokens: Tokens,
    passwords: Passwords,
    by_address: Limiter<limit::Network>,
    by_account: Limiter<[u8; 32]>,
    trusts_forwarded: bool,
    grace: Duration,
}

impl Auth {
    /// With so many attempts a minute for an address; a refresh token is good once more for
    /// `grace`.
    #[must_use]
    pub fn new(
        store: Store,
        hub: Arc<Hub>,
        metrics: Metrics,
        tokens: Tokens,
        attempts: NonZeroU32,
        trusts_forwarded: bool,
        grace: Duration,
    ) -> Self {
        let half = NonZeroU32::new(attempts.get() / 2).unwrap_or(NonZeroU32::MIN);
        Self(Arc::new(Inner {
            store,
            hub,
            metrics,
            tokens,
            passwords: Passwords::default(),
            by_address: Limiter::per_minute(attempts),
            by_account: Limiter::per_minute(half),
            trusts_forwarded,
            grace,
        }))
    }

    /// Forgets who tried long ago.
    pub fn tidy(&self) {
        self.0.by_address.tidy();
        self.0.by_account.tidy();
    }
}

/// Its routes.
#[must_use]
pub fn routes() -> OpenApiRouter<Auth> {
    OpenApiRouter::new()
        .routes(routes!(handlers::register))
        .routes(routes!(handlers::log_in))
        .routes(routes!(handlers::refresh))
        .routes(routes!(handlers::log_out))
        .routes(routes!(handlers::me))
}
