//! Refresh tokens: only their hashes are kept, and each is good once.

use std::time::Duration;

use super::{Store, StoreError, User, batch, insert, now_ms, select, update};

/// For how long a token is kept after it has expired, to be told from one that never was:
/// a day.
const KEPT_MS: i64 = 86_400_000;

/// A token to be kept.
#[derive(Clone, Copy, Debug)]
pub struct NewToken<'a> {
    /// SHA-256 of the token.
    pub hash: &'a [u8],
    /// When it ends.
    pub expires_at_ms: i64,
}

/// What came of a refresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// The new token is in force.
    Done {
        /// Whose.
        user: User,
        /// The login that it goes back to.
        family: String,
    },
    /// There is no such token.
    Unknown,
    /// It is too old, or its login was ended.
    Expired,
    /// It was used before: somebody has a copy, so the whole login was ended.
    Reused {
        /// The login.
        family: String,
    },
}

impl Store {
    /// Keeps the first token of a login.
    ///
    /// # Errors
    /// When the database does not take it.
    pub async fn begin_family(
        &self,
        user: i64,
        family: &str,
        token: NewToken<'_>,
    ) -> Result<(), StoreError> {
        let NewToken { hash, expires_at_ms } = token;
        self.timed(insert("refresh_tokens"), async {
            sqlx::query!(
                "INSERT INTO refresh_tokens (hash, family, user_id, expires_at_ms) VALUES (?, ?, ?, ?)",
                hash,
                family,
                user,
                expires_at_ms
            )
            .execute(&self.write)
            .await
        })
        .await
        .map(drop)
    }

    /// Puts a new token in the place of one. One that was used less than `grace` ago is good
    /// once more: the answer may have been lost on its way.
    ///
    /// # Errors
    /// When the database does not answer; then the old token is still good.
    pub async fn refresh(
        &self,
        old: &[u8],
        new: NewToken<'_>,
        grace: Duration,
    ) -> Result<Refreshed, StoreError> {
        let grace_ms = i64::try_from(grace.as_millis()).unwrap_or(i64::MAX);
        let now = now_ms();
        self.timed(batch("refresh_tokens"), async {
            let mut transaction = self.begin().await?;
            let found = sqlx::query!(
                r#"SELECT family, user_id, expires_at_ms, used_at_ms, revoked_at_ms, username
                   FROM refresh_tokens JOIN users ON users.id = user_id WHERE hash = ?"#,
                old
            )
            .fetch_optional(&mut *transaction)
            .await?;
            let Some(found) = found else { return Ok(Refreshed::Unknown) };
            let is_reused = found.used_at_ms.is_some_and(|used| now - used >= grace_ms);
            if is_reused && found.revoked_at_ms.is_none() {
                sqlx::query!(
                    "UPDATE refresh_tokens SET revoked_at_ms = ? WHERE family = ?",
                    now,
                    found.family
                )
                .execute(&mut *transaction)
                .await?;
                transaction.commit().await?;
                return Ok(Refreshed::Reused { family: found.family });
            }
            if found.revoked_at_ms.is_some() || found.expires_at_ms <= now {
                return Ok(Refreshed::Expired);
            }
            sqlx::query!(
                "UPDATE refresh_tokens SET used_at_ms = coalesce(used_at_ms, ?) WHERE hash = ?",
                now,
                old
            )
            .execute(&mut *transaction)
            .await?;
            sqlx::query!(
                "INSERT INTO refresh_tokens (hash, family, user_id, expires_at_ms) VALUES (?, ?, ?, ?)",
                new.hash,
                found.family,
                found.user_id,
                new.expires_at_ms
            )
            .execute(&mut *transaction)
            .await?;
            // What has expired long ago tells nothing any more.
            let long_ago = now - KEPT_MS;
            sqlx::query!("DELETE FROM refresh_tokens WHERE expires_at_ms < ?", long_ago)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            let user = User { id: found.user_id, username: found.username };
            Ok(Refreshed::Done { user, family: found.family })
        })
        .await
    }

    /// Whether a login was ended, or has long expired.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn is_ended(&self, family: &str) -> Result<bool, StoreError> {
        self.timed(select("refresh_tokens"), async {
            sqlx::query_scalar!(
                "SELECT count(*) FROM refresh_tokens WHERE family = ? AND revoked_at_ms IS NULL",
                family
            )
            .fetch_one(&self.read)
            .await
        })
        .await
        .map(|good| good == 0)
    }

    /// Ends a login.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn revoke(&self, family: &str) -> Result<(), StoreError> {
        let now = now_ms();
        self.timed(update("refresh_tokens"), async {
            sqlx::query!(
                "UPDATE refresh_tokens SET revoked_at_ms = ? WHERE family = ? AND revoked_at_ms IS NULL",
                now,
                family
            )
            .execute(&self.write)
            .await
        })
        .await
        .map(drop)
    }
}
