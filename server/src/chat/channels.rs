//! Channels, and what goes on in them besides messages.

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

use super::{Chat, communities::MOST_NAME, text};
use crate::{
    auth::CurrentUser,
    events::{Event, Room},
    problem::{Problem, ProblemBody},
    store::{Access, Channel, Kind},
};

/// A channel to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewChannel {
    /// 1 to 100 characters.
    #[schema(example = "plans")]
    name: String,
    /// `text` or `voice`.
    kind: Kind,
}

/// Who to write to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipient {
    /// The other's name.
    #[schema(example = "grace")]
    username: String,
}

/// How far one has read.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// The last message that was read.
    message_id: i64,
}

/// A user and a channel.
#[derive(Serialize)]
struct Doing {
    channel_id: i64,
    user_id: i64,
}

#[derive(Serialize)]
struct Read {
    channel_id: i64,
    message_id: i64,
}

#[derive(Serialize)]
struct Gone {
    id: i64,
    community_id: Option<i64>,
}

/// The channels of a community
#[utoipa::path(get, path = "/api/v1/communities/{community_id}/channels", tag = "chat", params(("community_id" = i64, Path)), security(("token" = [])),
    responses((status = 200, body = Vec<Channel>), (status = 404, body = ProblemBody)))]
pub(super) async fn list(
    State(chat): State<Chat>,
    user: CurrentUser,
    community: Result<Path<i64>, PathRejection>,
) -> Result<Json<Vec<Channel>>, Problem> {
    let Path(community) = community?;
    chat.community(user.id, community).await?;
    Ok(Json(chat.0.store.channels(user.id, community).await?))
}

/// Make a channel, as the community's owner
#[utoipa::path(post, path = "/api/v1/communities/{community_id}/channels", tag = "chat", params(("community_id" = i64, Path)), request_body = NewChannel, security(("token" = [])),
    responses((status = 201, body = Channel), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub(super) async fn create(
    State(chat): State<Chat>,
    user: CurrentUser,
    community: Result<Path<i64>, PathRejection>,
    body: Result<Json<NewChannel>, JsonRejection>,
) -> Result<(StatusCode, Json<Channel>), Problem> {
    let (Path(community), Json(NewChannel { name, kind })) = (community?, body?);
    if chat.community(user.id, community).await?.owner_id != user.id {
        return Err(Problem::Forbidden);
    }
    if kind == Kind::Dm {
        return Err(Problem::Invalid("`kind` is not `text` or `voice`"));
    }
    let name = text(&name, MOST_NAME, "`name` is not 1 to 100 characters long")?;
    let id = chat.0.store.create_channel(community, name, kind).await?;
    let channel = Channel {
        id,
        community_id: Some(community),
        name: name.to_owned(),
        kind,
        recipient_id: None,
        last_read_id: None,
        last_message_id: None,
    };
    chat.0.hub.tell(Room::Community(community), Event::new("channel.created", &channel));
    Ok((StatusCode::CREATED, Json(channel)))
}

/// End a channel, as the community's owner
#[utoipa::path(delete, path = "/api/v1/channels/{channel_id}", tag = "chat", params(("channel_id" = i64, Path)), security(("token" = [])),
    responses((status = 204), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub(super) async fn delete(
    State(chat): State<Chat>,
    user: CurrentUser,
    channel: Result<Path<i64>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(id) = channel?;
    let access = chat.access(user.id, id).await?;
    if !access.is_owner {
        return Err(Problem::Forbidden);
    }
    let _turn = chat.0.order.turn(id).await?;
    chat.0.store.delete_channel(id).await?;
    let gone = Gone { id, community_id: access.community };
    chat.0.hub.channel_gone(id);
    chat.0.hub.tell(Room::of(&access), Event::new("channel.deleted", &gone));
    Ok(StatusCode::NO_CONTENT)
}

/// Note how far one has read
#[utoipa::path(put, path = "/api/v1/channels/{channel_id}/read", tag = "chat", params(("channel_id" = i64, Path)), request_body = Mark, security(("token" = [])),
    responses((status = 204), (status = 404, body = ProblemBody)))]
pub(super) async fn mark_read(
    State(chat): State<Chat>,
    user: CurrentUser,
    channel: Result<Path<i64>, PathRejection>,
    body: Result<Json<Mark>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let (Path(channel), Json(Mark { message_id })) = (channel?, body?);
    chat.read(user.id, channel, message_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Say that one is writing; others hear of it, and nobody keeps it
#[utoipa::path(post, path = "/api/v1/channels/{channel_id}/typing", tag = "chat", params(("channel_id" = i64, Path)), security(("token" = [])),
    responses((status = 204), (status = 404, body = ProblemBody), (status = 429, body = ProblemBody)))]
pub(super) async fn typing(
    State(chat): State<Chat>,
    user: CurrentUser,
    channel: Result<Path<i64>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(channel) = channel?;
    chat.types(user.id, channel).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The channels between oneself and one other
#[utoipa::path(get, path = "/api/v1/dms", tag = "chat", security(("token" = [])), responses((status = 200, body = Vec<Channel>)))]
pub(super) async fn dms(
    State(chat): State<Chat>,
    user: CurrentUser,
) -> Result<Json<Vec<Channel>>, Problem> {
    Ok(Json(chat.0.store.dms(user.id).await?))
}

/// The channel between oneself and one other, made if it is not there
#[utoipa::path(post, path = "/api/v1/dms", tag = "chat", request_body = Recipient, security(("token" = [])),
    responses((status = 200, body = Channel), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(super) async fn open_dm(
    State(chat): State<Chat>,
    user: CurrentUser,
    body: Result<Json<Recipient>, JsonRejection>,
) -> Result<Json<Channel>, Problem> {
    let Json(Recipient { username }) = body?;
    let other = chat.0.store.user_named(&username).await?.ok_or(Problem::NotFound)?.id;
    if other == user.id {
        return Err(Problem::Invalid("a channel is between two"));
    }
    let (id, is_new) = chat.0.store.open_dm(user.id, other).await?;
    let mut channel = chat.0.store.dms(user.id).await?.into_iter().find(|one| one.id == id);
    let channel = channel.take().ok_or(Problem::NotFound)?;
    for (one, of) in [(user.id, other), (other, user.id)] {
        chat.0.hub.join(one, Room::Dm(id));
        if is_new {
            let as_seen = Channel { recipient_id: Some(of), last_read_id: None, ..channel.clone() };
            chat.0.hub.tell_user(one, Event::new("dm.opened", &as_seen));
        }
    }
    Ok(Json(channel))
}

impl Chat {
    /// Notes how far a user has read, and tells their other clients.
    ///
    /// # Errors
    /// [`Problem`].
    pub(crate) async fn read(&self, user: i64, channel: i64, id: i64) -> Result<(), Problem> {
        self.access(user, channel).await?;
        self.0.store.message(channel, id).await?.ok_or(Problem::NotFound)?;
        if self.0.store.mark_read(user, channel, id).await? {
            let read = Read { channel_id: channel, message_id: id };
            self.0.hub.tell_user(user, Event::new("channel.read", &read));
        }
        Ok(())
    }

    /// Tells a channel that a user is writing.
    ///
    /// # Errors
    /// [`Problem`].
    pub(crate) async fn types(&self, user: i64, channel: i64) -> Result<(), Problem> {
        self.0.typing.take(user)?;
        let access: Access = self.access(user, channel).await?;
        let doing = Doing { channel_id: channel, user_id: user };
        self.0.hub.tell(Room::of(&access), Event::new("typing", &doing));
        Ok(())
    }
}
