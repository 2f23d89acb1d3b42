//! Communities, channels, and what is written there.

pub mod messages;

pub mod communities;

pub mod channels;

mod order;

use std::{num::NonZeroU32, sync::Arc};

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    auth::Limit,
    events::Hub,
    observability::metrics::Metrics,
    problem::Problem,
    store::{Access, Store},
};
use order::Order;

/// Communities, channels, and what is written there.
#[derive(Clone)]
pub struct Chat(Arc<Inner>);

struct Inner {
    store: Store,
    hub: Arc<Hub>,
    metrics: Metrics,
    limit: Limit,
    typing: Limit,
    /// Of channels.
    order: Order,
    /// Of communities.
    doors: Order,
}

impl Chat {
    /// With so many messages a minute for a user, and as many notices of writing.
    #[must_use]
    pub fn new(store: Store, hub: Arc<Hub>, metrics: Metrics, messages: NonZeroU32) -> Self {
        let [limit, typing] = [Limit::per_minute(messages), Limit::per_minute(messages)];
        let [order, doors] = [Order::default(), Order::default()];
        Self(Arc::new(Inner { store, hub, metrics, limit, typing, order, doors }))
    }

    /// Forgets who wrote long ago.
    pub fn tidy(&self) {
        self.0.limit.tidy();
        self.0.typing.tidy();
        self.0.order.tidy();
        self.0.doors.tidy();
    }

    /// What a user has to do with a channel.
    ///
    /// # Errors
    /// [`Problem::NotFound`] where that is nothing, so that nobody learns what there is.
    pub async fn access(&self, user: i64, channel: i64) -> Result<Access, Problem> {
        self.0.store.access(user, channel).await?.ok_or(Problem::NotFound)
    }
}

/// Its routes.
#[must_use]
pub fn routes() -> OpenApiRouter<Chat> {
    OpenApiRouter::new()
        .routes(routes!(communities::list, communities::create))
        .routes(routes!(communities::get, communities::delete))
        .routes(routes!(communities::members))
        .routes(routes!(communities::join))
        .routes(routes!(communities::leave))
        .routes(routes!(channels::list, channels::create))
        .routes(routes!(channels::delete))
        .routes(routes!(channels::mark_read))
        .routes(routes!(channels::typing))
        .routes(routes!(channels::dms, channels::open_dm))
        .routes(routes!(messages::list, messages::send))
        .routes(routes!(messages::edit, messages::delete))
}

/// Text that people read, without the white space around it.
fn text<'a>(text: &'a str, most: usize, what: &'static str) -> Result<&'a str, Problem> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > most || text.contains('\0') {
        return Err(Problem::Invalid(what));
    }
    Ok(text)
}
