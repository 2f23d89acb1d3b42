//! Communities and who is in them.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Store, StoreError, User, batch, delete, insert, now_ms, select};

/// People with channels of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Community {
    /// Of the community.
    pub id: i64,
    /// As its owner calls it.
    pub name: String,
    /// Who may make channels and end it.
    pub owner_id: i64,
    /// Who has it may join.
    pub invite_code: String,
}

impl Store {
    /// Makes a community, with its owner in it and one channel.
    ///
    /// # Errors
    /// When the database does not take it.
    pub async fn create_community(
        &self,
        owner: i64,
        name: &str,
        invite_code: &str,
    ) -> Result<Community, StoreError> {
        let now = now_ms();
        self.timed(batch("communities"), async {
            let mut transaction = self.begin().await?;
            let community = sqlx::query_as!(
                Community,
                r#"INSERT INTO communities (name, owner_id, invite_code, created_at_ms)
                   VALUES (?, ?, ?, ?) RETURNING id AS "id!", name, owner_id, invite_code"#,
                name,
                owner,
                invite_code,
                now
            )
            .fetch_one(&mut *transaction)
            .await?;
            sqlx::query!(
                "INSERT INTO members (community_id, user_id, joined_at_ms) VALUES (?, ?, ?)",
                community.id,
                owner,
                now
            )
            .execute(&mut *transaction)
            .await?;
            sqlx::query!(
                "INSERT INTO channels (community_id, name, kind, created_at_ms)
                 VALUES (?, 'general', 'text', ?)",
                community.id,
                now
            )
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await?;
            Ok(community)
        })
        .await
    }

    /// The communities that a user is in.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn communities(&self, user: i64) -> Result<Vec<Community>, StoreError> {
        self.timed(select("communities"), async {
            sqlx::query_as!(
                Community,
                r#"SELECT c.id AS "id!", c.name, c.owner_id, c.invite_code FROM communities c
                   JOIN members m ON m.community_id = c.id WHERE m.user_id = ? ORDER BY c.id"#,
                user
            )
            .fetch_all(&self.read)
            .await
        })
        .await
    }

    /// A community, if the user is in it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn community(&self, user: i64, id: i64) -> Result<Option<Community>, StoreError> {
        self.timed(select("communities"), async {
            sqlx::query_as!(
                Community,
                r#"SELECT c.id AS "id!", c.name, c.owner_id, c.invite_code FROM communities c
                   JOIN members m ON m.community_id = c.id WHERE c.id = ? AND m.user_id = ?"#,
                id,
                user
            )
            .fetch_optional(&self.read)
            .await
        })
        .await
    }

    /// Who is in a community.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn members(&self, community: i64) -> Result<Vec<User>, StoreError> {
        self.timed(select("members"), async {
            sqlx::query_as!(
                User,
                r#"SELECT u.id AS "id!", u.username FROM users u
                   JOIN members m ON m.user_id = u.id WHERE m.community_id = ? ORDER BY u.id"#,
                community
            )
            .fetch_all(&self.read)
            .await
        })
        .await
    }

    /// The community that a code is of.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn invited(&self, code: &str) -> Result<Option<Community>, StoreError> {
        self.timed(select("communities"), async {
            sqlx::query_as!(
                Community,
                r#"SELECT id AS "id!", name, owner_id, invite_code FROM communities
                   WHERE invite_code = ?"#,
                code
            )
            .fetch_optional(&self.read)
            .await
        })
        .await
    }

    /// Takes a user in; one who is in stays in.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when there is no such community any more.
    pub async fn join(&self, user: i64, community: i64) -> Result<(), StoreError> {
        let now = now_ms();
        self.timed(insert("members"), async {
            sqlx::query!(
                "INSERT INTO members (community_id, user_id, joined_at_ms) VALUES (?, ?, ?)
                 ON CONFLICT DO NOTHING",
                community,
                user,
                now
            )
            .execute(&self.write)
            .await
        })
        .await
        .map(drop)
    }

    /// Lets a user out.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn leave(&self, user: i64, community: i64) -> Result<(), StoreError> {
        self.timed(delete("members"), async {
            sqlx::query!(
                "DELETE FROM members WHERE community_id = ? AND user_id = ?",
                community,
                user
            )
            .execute(&self.write)
            .await
        })
        .await
        .map(drop)
    }

    /// Ends a community, with all that was said there.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn delete_community(&self, community: i64) -> Result<(), StoreError> {
        self.timed(delete("communities"), async {
            sqlx::query!("DELETE FROM communities WHERE id = ?", community)
                .execute(&self.write)
                .await
        })
        .await
        .map(drop)
    }
}
