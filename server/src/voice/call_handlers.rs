//! Calls between two people, over REST.

use std::time::Instant;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use serde::Serialize;
use tracing::Instrument as _;
use utoipa::ToSchema;

use super::{Voice, call::Call};
use crate::{
    auth::CurrentUser,
    observability::tracing as spans,
    problem::{Problem, ProblemBody, outcome},
};

/// A call.
#[derive(Debug, Serialize, ToSchema)]
pub struct CallView {
    /// Where it is.
    channel_id: i64,
    /// Who began it.
    caller_id: i64,
    /// `ringing` or `active`.
    state: &'static str,
    /// Who is in it.
    participants: Vec<i64>,
}

impl CallView {
    pub(super) fn new(channel_id: i64, call: &Call) -> Self {
        Self {
            channel_id,
            caller_id: call.caller(),
            state: if call.is_ringing() { "ringing" } else { "active" },
            participants: call.participants(),
        }
    }
}

/// The call of a channel, if there is one
#[utoipa::path(get, path = "/api/v1/dms/{channel_id}/call", tag = "voice", params(("channel_id" = i64, Path)), security(("token" = [])),
    responses((status = 200, body = CallView), (status = 404, body = ProblemBody)))]
pub(super) async fn get(
    State(voice): State<Voice>,
    user: CurrentUser,
    channel: Result<Path<i64>, PathRejection>,
) -> Result<Json<CallView>, Problem> {
    let Path(channel) = channel?;
    voice.between(user.id, channel).await?;
    Ok(Json(CallView::new(channel, &voice.0.view(channel)?)))
}

/// Start a call, and be in it; the other's clients ring
#[utoipa::path(post, path = "/api/v1/dms/{channel_id}/call", tag = "voice", params(("channel_id" = i64, Path)), security(("token" = [])),
    responses((status = 201, body = CallView), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub(super) async fn start(
    State(voice): State<Voice>,
    user: CurrentUser,
    channel: Result<Path<i64>, PathRejection>,
) -> Result<(StatusCode, Json<CallView>), Problem> {
    let Path(channel) = channel?;
    let call = joining(async {
        let other = voice.between(user.id, channel).await?;
        voice.0.start(channel, user.id, other)
    })
    .await?;
    Ok((StatusCode::CREATED, Json(CallView::new(channel, &call))))
}

/// Answer a call, or come back to it
#[utoipa::path(post, path = "/api/v1/dms/{channel_id}/call/join", tag = "voice", params(("channel_id" = i64, Path)), security(("token" = [])),
    responses((status = 200, body = CallView), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub(super) async fn join(
    State(voice): State<Voice>,
    user: CurrentUser,
    channel: Result<Path<i64>, PathRejection>,
) -> Result<Json<CallView>, Problem> {
    let Path(channel) = channel?;
    let call = joining(async {
        voice.between(user.id, channel).await?;
        voice.0.join(channel, user.id)
    })
    .await?;
    Ok(Json(CallView::new(channel, &call)))
}

/// Refuse a call
#[utoipa::path(post, path = "/api/v1/dms/{channel_id}/call/decline", tag = "voice", params(("channel_id" = i64, Path)), security(("token" = [])),
    responses((status = 204), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub(super) async fn decline(
    State(voice): State<Voice>,
    user: CurrentUser,
    channel: Result<Path<i64>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(channel) = channel?;
    voice.between(user.id, channel).await?;
    voice.0.decline(channel, user.id)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Leave a call; who began it and leaves while it rings ends it
#[utoipa::path(post, path = "/api/v1/dms/{channel_id}/call/leave", tag = "voice", params(("channel_id" = i64, Path)), security(("token" = [])),
    responses((status = 204), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub(super) async fn leave(
    State(voice): State<Voice>,
    user: CurrentUser,
    channel: Result<Path<i64>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(channel) = channel?;
    voice.between(user.id, channel).await?;
    voice.0.leave(channel, user.id, Instant::now())?;
    Ok(StatusCode::NO_CONTENT)
}

/// In a span of its own.
async fn joining(work: impl Future<Output = Result<Call, Problem>>) -> Result<Call, Problem> {
    let span = spans::call_join();
    let result = work.instrument(span.clone()).await;
    spans::finish(&span, outcome(&result));
    result
}
