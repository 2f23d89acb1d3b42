//! Messages.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Store, StoreError, batch, delete, now_ms, select, update};

/// What somebody wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Message {
    /// Of the message; a later one has a greater id.
    pub id: i64,
    /// Where it is.
    pub channel_id: i64,
    /// Who wrote it.
    pub author_id: i64,
    /// What it says.
    pub content: String,
    /// When, in milliseconds since 1970-01-01 UTC.
    pub created_at_ms: i64,
    /// When it was changed, if it was.
    pub edited_at_ms: Option<i64>,
    /// What its author called it, if anything.
    pub nonce: Option<String>,
}

/// A message to be.
#[derive(Clone, Copy, Debug)]
pub struct NewMessage<'a> {
    /// Where.
    pub channel: i64,
    /// By whom.
    pub author: i64,
    /// What.
    pub content: &'a str,
    /// Two messages of one author with one nonce are one message, sent twice.
    pub nonce: Option<&'a str>,
}

/// Whether a message is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is.
    New(Message),
    /// It was sent before.
    Before(Message),
}

/// Which messages of a channel.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Only those before this one.
    pub before: Option<i64>,
    /// Only those after this one, from the oldest on.
    pub after: Option<i64>,
    /// How many at most.
    pub limit: i64,
}

impl Store {
    /// Keeps a message. When this returns, it is on the disk.
    ///
    /// # Errors
    /// When the database does not take it; then it is not kept.
    pub async fn send(&self, message: NewMessage<'_>) -> Result<Sent, StoreError> {
        let now = now_ms();
        let NewMessage { channel, author, content, nonce } = message;
        self.timed(batch("messages"), async {
            let mut transaction = self.begin().await?;
            if let Some(nonce) = nonce {
                let before = sqlx::query_as!(
                    Message,
                    r#"SELECT id AS "id!", channel_id, author_id, content, created_at_ms, edited_at_ms, nonce
                       FROM messages WHERE author_id = ? AND nonce = ?"#,
                    author,
                    nonce
                )
                .fetch_optional(&mut *transaction)
                .await?;
                if let Some(before) = before {
                    return Ok(Sent::Before(before));
                }
            }
            let id = sqlx::query_scalar!(
                r#"INSERT INTO messages (channel_id, author_id, nonce, content, created_at_ms)
                   VALUES (?, ?, ?, ?, ?) RETURNING id AS "id!""#,
                channel,
                author,
                nonce,
                content,
                now
            )
            .fetch_one(&mut *transaction)
            .await?;
            transaction.commit().await?;
            Ok(Sent::New(Message {
                id,
                channel_id: channel,
                author_id: author,
                content: content.to_owned(),
                created_at_ms: now,
                edited_at_ms: None,
                nonce: nonce.map(str::to_owned),
            }))
        })
        .await
    }

    /// Messages of a channel, in ascending order. A limit that is a bare `?` would have
    /// SQLite plan the statement again each time that it is bound.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn messages(&self, channel: i64, page: Page) -> Result<Vec<Message>, StoreError> {
        let Page { before, after, limit } = page;
        self.timed(select("messages"), async {
            if let Some(after) = after {
                return sqlx::query_as!(
                    Message,
                    r#"SELECT id AS "id!", channel_id, author_id, content, created_at_ms, edited_at_ms, nonce
                       FROM messages WHERE channel_id = ? AND id > ? ORDER BY id LIMIT +?"#,
                    channel,
                    after,
                    limit
                )
                .fetch_all(&self.read)
                .await;
            }
            let before = before.unwrap_or(i64::MAX);
            let mut messages = sqlx::query_as!(
                Message,
                r#"SELECT id AS "id!", channel_id, author_id, content, created_at_ms, edited_at_ms, nonce
                   FROM messages WHERE channel_id = ? AND id < ? ORDER BY id DESC LIMIT +?"#,
                channel,
                before,
                limit
            )
            .fetch_all(&self.read)
            .await?;
            messages.reverse();
            Ok(messages)
        })
        .await
    }

    /// One message of a channel.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn message(&self, channel: i64, id: i64) -> Result<Option<Message>, StoreError> {
        self.timed(select("messages"), async {
            sqlx::query_as!(
                Message,
                r#"SELECT id AS "id!", channel_id, author_id, content, created_at_ms, edited_at_ms, nonce
                   FROM messages WHERE id = ? AND channel_id = ?"#,
                id,
                channel
            )
            .fetch_optional(&self.read)
            .await
        })
        .await
    }

    /// Changes what a message says; says when.
    ///
    /// # Errors
    /// When the database does not take it.
    pub async fn edit(&self, id: i64, content: &str) -> Result<i64, StoreError> {
        let now = now_ms();
        self.timed(update("messages"), async {
            sqlx::query!(
                "UPDATE messages SET content = ?, edited_at_ms = ? WHERE id = ?",
                content,
                now,
                id
            )
            .execute(&self.write)
            .await
        })
        .await
        .map(|_| now)
    }

    /// Removes a message.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn delete_message(&self, id: i64) -> Result<(), StoreError> {
        self.timed(delete("messages"), async {
            sqlx::query!("DELETE FROM messages WHERE id = ?", id).execute(&self.write).await
        })
        .await
        .map(drop)
    }
}
