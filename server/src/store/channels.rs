//! Channels, of communities and between two people, and how far they were read.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Store, StoreError, batch, delete, insert, now_ms, select};

/// What a channel is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(rename_all = "lowercase")]
pub enum Kind {
    /// Writing.
    Text,
    /// Talking.
    Voice,
    /// Two people, to write and to call.
    Dm,
}

/// Where messages are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Channel {
    /// Of the channel.
    pub id: i64,
    /// Whose it is; `null` between two people.
    pub community_id: Option<i64>,
    /// As its owner calls it; empty between two people.
    pub name: String,
    /// What it is for.
    pub kind: Kind,
    /// Between two people, the other one.
    pub recipient_id: Option<i64>,
    /// The last message that the user has read.
    pub last_read_id: Option<i64>,
    /// The last message that there is.
    pub last_message_id: Option<i64>,
}

/// What a user has to do with a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The channel.
    pub channel: i64,
    /// Whose it is.
    pub community: Option<i64>,
    /// What it is for.
    pub kind: Kind,
    /// Whether the community is the user's.
    pub is_owner: bool,
    /// Between two people, the other one.
    pub recipient: Option<i64>,
}

impl Store {
    /// What a user has to do with a channel; nothing if it is not for them.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn access(&self, user: i64, channel: i64) -> Result<Option<Access>, StoreError> {
        self.timed(select("channels"), async {
            sqlx::query!(
                r#"SELECT h.id AS "id!", h.community_id, h.kind AS "kind: Kind", h.first_id, h.second_id,
                          c.owner_id AS "owner_id?"
                   FROM channels h
                   LEFT JOIN communities c ON c.id = h.community_id
                   LEFT JOIN members m ON m.community_id = h.community_id AND m.user_id = ?1
                   WHERE h.id = ?2 AND (m.user_id = ?1 OR h.first_id = ?1 OR h.second_id = ?1)"#,
                user,
                channel
            )
            .fetch_optional(&self.read)
            .await
        })
        .await
        .map(|row| {
            row.map(|row| Access {
                channel: row.id,
                community: row.community_id,
                kind: row.kind,
                is_owner: row.owner_id == Some(user),
                recipient: row.first_id.filter(|id| *id != user).or(row.second_id),
            })
        })
    }

    /// The channels of a community.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn channels(&self, user: i64, community: i64) -> Result<Vec<Channel>, StoreError> {
        self.timed(select("channels"), async {
            sqlx::query_as!(
                Channel,
                r#"SELECT h.id AS "id!", h.community_id, h.name, h.kind AS "kind: Kind",
                          NULL AS "recipient_id: i64", r.message_id AS "last_read_id?",
                          (SELECT max(id) FROM messages WHERE channel_id = h.id)
                              AS "last_message_id: i64"
                   FROM channels h
                   LEFT JOIN read_states r ON r.channel_id = h.id AND r.user_id = ?
                   WHERE h.community_id = ? ORDER BY h.id"#,
                user,
                community
            )
            .fetch_all(&self.read)
            .await
        })
        .await
    }

    /// The channels between a user and one other.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn dms(&self, user: i64) -> Result<Vec<Channel>, StoreError> {
        self.timed(select("channels"), async {
            sqlx::query_as!(
                Channel,
                r#"SELECT h.id AS "id!", h.community_id, h.name, h.kind AS "kind: Kind",
                          iif(h.first_id = ?1, h.second_id, h.first_id) AS "recipient_id: i64",
                          r.message_id AS "last_read_id?",
                          (SELECT max(id) FROM messages WHERE channel_id = h.id)
                              AS "last_message_id: i64"
                   FROM channels h
                   LEFT JOIN read_states r ON r.channel_id = h.id AND r.user_id = ?1
                   WHERE h.first_id = ?1 OR h.second_id = ?1 ORDER BY h.id"#,
                user
            )
            .fetch_all(&self.read)
            .await
        })
        .await
    }

    /// Makes a channel in a community.
    ///
    /// # Errors
    /// When the database does not take it.
    pub async fn create_channel(
        &self,
        community: i64,
        name: &str,
        kind: Kind,
    ) -> Result<i64, StoreError> {
        let now = now_ms();
        self.timed(insert("channels"), async {
            sqlx::query_scalar!(
                "INSERT INTO channels (community_id, name, kind, created_at_ms)
                 VALUES (?, ?, ?, ?) RETURNING id",
                community,
                name,
                kind,
                now
            )
            .fetch_one(&self.write)
            .await
        })
        .await
    }

    /// The channel between two users, made if it is not there, and whether it was made.
    ///
    /// # Errors
    /// When the database does not take it.
    pub async fn open_dm(&self, user: i64, other: i64) -> Result<(i64, bool), StoreError> {
        let (first, second) = (user.min(other), user.max(other));
        let now = now_ms();
        self.timed(batch("channels"), async {
            let mut transaction = self.begin().await?;
            let made = sqlx::query!(
                "INSERT INTO channels (first_id, second_id, name, kind, created_at_ms)
                 VALUES (?, ?, '', 'dm', ?) ON CONFLICT DO NOTHING",
                first,
                second,
                now
            )
            .execute(&mut *transaction)
            .await?;
            let id = sqlx::query_scalar!(
                r#"SELECT id AS "id!" FROM channels WHERE first_id = ? AND second_id = ?"#,
                first,
                second
            )
            .fetch_one(&mut *transaction)
            .await?;
            transaction.commit().await?;
            Ok((id, made.rows_affected() > 0))
        })
        .await
    }

    /// Ends a channel, with all that was said there.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn delete_channel(&self, channel: i64) -> Result<(), StoreError> {
        self.timed(delete("channels"), async {
            sqlx::query!("DELETE FROM channels WHERE id = ?", channel).execute(&self.write).await
        })
        .await
        .map(drop)
    }

    /// Notes how far a user has read; says whether that is further than before.
    ///
    /// # Errors
    /// When the database does not take it.
    pub async fn mark_read(
        &self,
        user: i64,
        channel: i64,
        message: i64,
    ) -> Result<bool, StoreError> {
        self.timed(insert("read_states"), async {
            sqlx::query!(
                "INSERT INTO read_states (user_id, channel_id, message_id) VALUES (?, ?, ?)
                 ON CONFLICT DO UPDATE SET message_id = excluded.message_id
                 WHERE excluded.message_id > read_states.message_id",
                user,
                channel,
                message
            )
            .execute(&self.write)
            .await
        })
        .await
        .map(|done| done.rows_affected() > 0)
    }
}
