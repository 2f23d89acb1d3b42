//! Communities and who is in them.

use axum::{
    Json,
    extract::{
        Path, State,
        rejection::{JsonRejection, PathRejection},
    },
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Chat, text};
use crate::{
    auth::{self, CurrentUser},
    events::{Event, Room, Status},
    problem::{Problem, ProblemBody},
    store::Community,
};

/// Characters of a name.
pub(super) const MOST_NAME: usize = 100;

/// A community to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCommunity {
    /// 1 to 100 characters.
    #[schema(example = "the band")]
    name: String,
}

/// What lets one in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Invitation {
    /// From somebody who is in.
    invite_code: String,
}

/// Somebody in a community.
#[derive(Serialize, ToSchema)]
pub struct Member {
    /// Of the user.
    id: i64,
    /// As it was registered.
    username: String,
    /// Whether they are there.
    status: Status,
}

/// That somebody came or went.
#[derive(Serialize)]
struct Membership {
    community_id: i64,
    user_id: i64,
}

/// The communities that one is in
#[utoipa::path(get, path = "/api/v1/communities", tag = "chat", security(("token" = [])), responses((status = 200, body = Vec<Community>)))]
pub(super) async fn list(
    State(chat): State<Chat>,
    user: CurrentUser,
) -> Result<Json<Vec<Community>>, Problem> {
    Ok(Json(chat.0.store.communities(user.id).await?))
}

/// Make a community, with a channel `general`
#[utoipa::path(post, path = "/api/v1/communities", tag = "chat", request_body = NewCommunity, security(("token" = [])),
    responses((status = 201, body = Community), (status = 422, body = ProblemBody)))]
pub(super) async fn create(
    State(chat): State<Chat>,
    user: CurrentUser,
    body: Result<Json<NewCommunity>, JsonRejection>,
) -> Result<(StatusCode, Json<Community>), Problem> {
    let Json(NewCommunity { name }) = body?;
    let name = text(&name, MOST_NAME, "`name` is not 1 to 100 characters long")?;
    let code = auth::random().ok_or(Problem::Internal("internal"))?;
    let community = chat.0.store.create_community(user.id, name, &code).await?;
    chat.0.hub.join(user.id, Room::Community(community.id));
    Ok((StatusCode::CREATED, Json(community)))
}

/// One community
#[utoipa::path(get, path = "/api/v1/communities/{community_id}", tag = "chat", params(("community_id" = i64, Path)), security(("token" = [])),
    responses((status = 200, body = Community), (status = 404, body = ProblemBody)))]
pub(super) async fn get(
    State(chat): State<Chat>,
    user: CurrentUser,
    id: Result<Path<i64>, PathRejection>,
) -> Result<Json<Community>, Problem> {
    let Path(id) = id?;
    Ok(Json(chat.community(user.id, id).await?))
}

/// End a community of one's own, with all that was said there
#[utoipa::path(delete, path = "/api/v1/communities/{community_id}", tag = "chat", params(("community_id" = i64, Path)), security(("token" = [])),
    responses((status = 204), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub(super) async fn delete(
    State(chat): State<Chat>,
    user: CurrentUser,
    id: Result<Path<i64>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(id) = id?;
    if chat.community(user.id, id).await?.owner_id != user.id {
        return Err(Problem::Forbidden);
    }
    let _turn = chat.0.doors.turn(id).await?;
    chat.0.store.delete_community(id).await?;
    let room = Room::Community(id);
    let gone = Membership { community_id: id, user_id: user.id };
    chat.0.hub.tell(room, Event::new("community.deleted", &gone));
    chat.0.hub.close(room);
    Ok(StatusCode::NO_CONTENT)
}

/// Who is in a community
#[utoipa::path(get, path = "/api/v1/communities/{community_id}/members", tag = "chat", params(("community_id" = i64, Path)), security(("token" = [])),
    responses((status = 200, body = Vec<Member>), (status = 404, body = ProblemBody)))]
pub(super) async fn members(
    State(chat): State<Chat>,
    user: CurrentUser,
    id: Result<Path<i64>, PathRejection>,
) -> Result<Json<Vec<Member>>, Problem> {
    let Path(id) = id?;
    chat.community(user.id, id).await?;
    let users = chat.0.store.members(id).await?;
    let ids: Vec<_> = users.iter().map(|user| user.id).collect();
    let statuses = chat.0.hub.statuses(&ids);
    let member = |(user, status): (crate::store::User, Status)| Member {
        id: user.id,
        username: user.username,
        status,
    };
    Ok(Json(users.into_iter().zip(statuses).map(member).collect()))
}

/// Join a community
#[utoipa::path(post, path = "/api/v1/communities/join", tag = "chat", request_body = Invitation, security(("token" = [])),
    responses((status = 200, body = Community), (status = 404, body = ProblemBody)))]
pub(super) async fn join(
    State(chat): State<Chat>,
    user: CurrentUser,
    body: Result<Json<Invitation>, JsonRejection>,
) -> Result<Json<Community>, Problem> {
    let Json(Invitation { invite_code }) = body?;
    let community = chat.0.store.invited(&invite_code).await?.ok_or(Problem::NotFound)?;
    let _turn = chat.0.doors.turn(community.id).await?;
    chat.0.store.join(user.id, community.id).await?;
    let room = Room::Community(community.id);
    let came = Membership { community_id: community.id, user_id: user.id };
    chat.0.hub.join(user.id, room);
    chat.0.hub.tell(room, Event::new("member.joined", &came));
    Ok(Json(community))
}

/// Leave a community that is not one's own
#[utoipa::path(post, path = "/api/v1/communities/{community_id}/leave", tag = "chat", params(("community_id" = i64, Path)), security(("token" = [])),
    responses((status = 204), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
pub(super) async fn leave(
    State(chat): State<Chat>,
    user: CurrentUser,
    id: Result<Path<i64>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(id) = id?;
    if chat.community(user.id, id).await?.owner_id == user.id {
        return Err(Problem::Conflict("an owner cannot leave: end the community"));
    }
    let _turn = chat.0.doors.turn(id).await?;
    chat.0.store.leave(user.id, id).await?;
    let room = Room::Community(id);
    chat.0.hub.leave(user.id, room);
    let went = Membership { community_id: id, user_id: user.id };
    chat.0.hub.tell(room, Event::new("member.left", &went));
    Ok(StatusCode::NO_CONTENT)
}

impl Chat {
    pub(super) async fn community(&self, user: i64, id: i64) -> Result<Community, Problem> {
        self.0.store.community(user, id).await?.ok_or(Problem::NotFound)
    }
}
