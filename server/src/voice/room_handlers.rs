//! Voice rooms, over REST.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Participant, Voice};
use crate::{
    auth::CurrentUser,
    problem::{Problem, ProblemBody},
    store::Kind,
};

/// A voice room.
#[derive(Debug, Serialize, ToSchema)]
pub struct RoomView {
    /// Where it is.
    channel_id: i64,
    /// Whose media is connected.
    participants: Vec<Participant>,
}

/// Who talks in a channel. To do so too, ask over the gateway
#[utoipa::path(get, path = "/api/v1/channels/{channel_id}/voice", tag = "voice", params(("channel_id" = i64, Path)), security(("token" = [])),
    responses((status = 200, body = RoomView), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub(super) async fn get(
    State(voice): State<Voice>,
    user: CurrentUser,
    channel: Result<Path<i64>, PathRejection>,
) -> Result<Json<RoomView>, Problem> {
    let Path(channel_id) = channel?;
    let access = voice.0.store.access(user.id, channel_id).await?.ok_or(Problem::NotFound)?;
    if access.kind == Kind::Text {
        return Err(Problem::Conflict("that channel is for writing"));
    }
    Ok(Json(RoomView { channel_id, participants: voice.0.rooms.participants(channel_id) }))
}
