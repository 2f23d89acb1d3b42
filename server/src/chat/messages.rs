//! Messages: written, read in pages, changed and removed.
#![expect(unused_qualifications, reason = "utoipa names parameters by their path")]

use std::time::Instant;

use axum::{
    Json,
    extract::{
        Path, Query, State,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use tracing::{Instrument as _, Span};
use utoipa::{IntoParams, ToSchema};

use super::{Chat, text};
use crate::{
    auth::CurrentUser,
    events::{Event, Room},
    observability::tracing as spans,
    problem::{Problem, ProblemBody, outcome},
    store::{Access, Message, NewMessage, Page, Sent},
};

/// Characters of a message.
const MOST_CONTENT: usize = 4_000;
/// Characters of a nonce: a UUID, and then some.
const MOST_NONCE: usize = 64;
/// Messages of a page.
const MOST_PAGE: i64 = 100;
const USUAL_PAGE: i64 = 50;

/// A message to be.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// 1 to 4,000 characters.
    #[schema(example = "hello")]
    pub content: String,
    /// What its author calls it: a draft that is sent twice with one nonce is one message.
    pub nonce: Option<String>,
}

/// What a message says from here on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// 1 to 4,000 characters.
    content: String,
}

/// Which messages.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// Only those before this one.
    before: Option<i64>,
    /// Only those after this one, from the oldest on.
    after: Option<i64>,
    /// How many at most: 1 to 100, and 50 without it.
    limit: Option<i64>,
}

/// Of a message that is gone.
#[derive(Serialize)]
struct Gone {
    id: i64,
    channel_id: i64,
}

/// Read messages, in ascending order
#[utoipa::path(get, path = "/api/v1/channels/{channel_id}/messages", tag = "chat", params(("channel_id" = i64, Path), Which), security(("token" = [])),
    responses((status = 200, body = Vec<Message>), (status = 404, body = ProblemBody)))]
pub(super) async fn list(
    State(chat): State<Chat>,
    user: CurrentUser,
    channel: Result<Path<i64>, PathRejection>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Vec<Message>>, Problem> {
    let (Path(channel), Query(which)) = (channel?, which?);
    if which.before.is_some() && which.after.is_some() {
        return Err(Problem::Invalid("give `before` or `after`, not both"));
    }
    let limit = which.limit.unwrap_or(USUAL_PAGE);
    if !(1..=MOST_PAGE).contains(&limit) {
        return Err(Problem::Invalid("`limit` is not between 1 and 100"));
    }
    chat.access(user.id, channel).await?;
    let page = Page { before: which.before, after: which.after, limit };
    Ok(Json(chat.0.store.messages(channel, page).await?))
}

/// Send a message
///
/// 201 when it is new, 200 when this nonce was sent before.
#[utoipa::path(post, path = "/api/v1/channels/{channel_id}/messages", tag = "chat", params(("channel_id" = i64, Path)), request_body = Draft, security(("token" = [])),
    responses((status = 201, body = Message), (status = 200, body = Message), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody), (status = 429, body = ProblemBody)))]
pub(super) async fn send(
    State(chat): State<Chat>,
    user: CurrentUser,
    channel: Result<Path<i64>, PathRejection>,
    draft: Result<Json<Draft>, JsonRejection>,
) -> Result<(StatusCode, Json<Message>), Problem> {
    let received = Instant::now();
    let Path(channel) = channel?;
    let span = spans::message_send_by_rest();
    let sent = match draft {
        Ok(Json(draft)) => chat.send(&span, user.id, channel, &draft, received).await,
        Err(rejection) => Err(rejection.into()),
    };
    chat.count(&span, "rest", &sent);
    Ok(match sent? {
        Sent::New(message) => (StatusCode::CREATED, Json(message)),
        Sent::Before(message) => (StatusCode::OK, Json(message)),
    })
}

/// Change a message of one's own
#[utoipa::path(patch, path = "/api/v1/channels/{channel_id}/messages/{message_id}", tag = "chat", params(("channel_id" = i64, Path), ("message_id" = i64, Path)), request_body = Change, security(("token" = [])),
    responses((status = 200, body = Message), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub(super) async fn edit(
    State(chat): State<Chat>,
    user: CurrentUser,
    path: Result<Path<(i64, i64)>, PathRejection>,
    change: Result<Json<Change>, JsonRejection>,
) -> Result<Json<Message>, Problem> {
    let (Path((channel, id)), Json(Change { content })) = (path?, change?);
    let access = chat.access(user.id, channel).await?;
    let content = content_of(&content)?;
    chat.0.limit.take(user.id)?;
    let _turn = chat.0.order.turn(channel).await?;
    let mut message = chat.message(channel, id).await?;
    if message.author_id != user.id {
        return Err(Problem::Forbidden);
    }
    message.edited_at_ms = Some(chat.0.store.edit(id, content).await?);
    content.clone_into(&mut message.content);
    chat.0.hub.tell(Room::of(&access), Event::new("message.updated", &message));
    Ok(Json(message))
}

/// Remove a message of one's own, or as the community's owner
#[utoipa::path(delete, path = "/api/v1/channels/{channel_id}/messages/{message_id}", tag = "chat", params(("channel_id" = i64, Path), ("message_id" = i64, Path)), security(("token" = [])),
    responses((status = 204), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub(super) async fn delete(
    State(chat): State<Chat>,
    user: CurrentUser,
    path: Result<Path<(i64, i64)>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path((channel, id)) = path?;
    let access = chat.access(user.id, channel).await?;
    let _turn = chat.0.order.turn(channel).await?;
    let message = chat.message(channel, id).await?;
    if message.author_id != user.id && !access.is_owner {
        return Err(Problem::Forbidden);
    }
    chat.0.store.delete_message(id).await?;
    let gone = Gone { id, channel_id: channel };
    chat.0.hub.tell(Room::of(&access), Event::new("message.deleted", &gone));
    Ok(StatusCode::NO_CONTENT)
}

fn content_of(content: &str) -> Result<&str, Problem> {
    text(content, MOST_CONTENT, "`content` is not 1 to 4000 characters long")
}

impl Chat {
    /// Keeps a message and tells the channel of it.
    ///
    /// # Errors
    /// [`Problem`]; then it is neither kept nor told.
    pub(crate) async fn send(
        &self,
        span: &Span,
        user: i64,
        channel: i64,
        draft: &Draft,
        received: Instant,
    ) -> Result<Sent, Problem> {
        let work = async {
            let access = self.check(user, channel, draft).await?;
            self.keep(user, &access, draft, received, spans::traceparent(span)).await
        };
        work.instrument(span.clone()).await
    }

    /// Counts what came of it.
    pub(crate) fn count(&self, span: &Span, via: &'static str, sent: &Result<Sent, Problem>) {
        let outcome = outcome(sent);
        spans::finish(span, outcome);
        self.0.metrics.message_send(via, outcome);
    }

    async fn check(&self, user: i64, channel: i64, draft: &Draft) -> Result<Access, Problem> {
        self.0.limit.take(user)?;
        content_of(&draft.content)?;
        if draft.nonce.as_ref().is_some_and(|nonce| !(1..=MOST_NONCE).contains(&nonce.len())) {
            return Err(Problem::Invalid("`nonce` is not 1 to 64 bytes long"));
        }
        self.access(user, channel).await
    }

    async fn keep(
        &self,
        user: i64,
        access: &Access,
        draft: &Draft,
        received: Instant,
        traceparent: Option<String>,
    ) -> Result<Sent, Problem> {
        let content = content_of(&draft.content)?;
        let nonce = draft.nonce.as_deref();
        let _turn = self.0.order.turn(access.channel).await?;
        let message = NewMessage { channel: access.channel, author: user, content, nonce };
        let sent = self.0.store.send(message).await?;
        if let Sent::Before(message) = &sent
            && (message.channel_id != access.channel || message.content != content)
            && message.edited_at_ms.is_none()
        {
            return Err(Problem::Conflict("the nonce is of another message"));
        }
        if let Sent::New(message) = &sent {
            let event = Event::new("message.created", message);
            let event = Event { received: Some(received), traceparent, ..event };
            self.0.hub.tell(Room::of(access), event);
        }
        Ok(sent)
    }

    async fn message(&self, channel: i64, id: i64) -> Result<Message, Problem> {
        self.0.store.message(channel, id).await?.ok_or(Problem::NotFound)
    }
}
