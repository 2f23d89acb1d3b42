//! Refresh tokens: only their hashes are kept, and each is good once.

use super::{Store, StoreError, batch, insert, now_ms, update};

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
        user: i64,
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
            .execute(&self.pool)
            .await
        })
        .await
        .map(drop)
    }

    /// Puts a new token in the place of one.
    ///
    /// # Errors
    /// When the database does not answer; then the old token is still good.
    pub async fn refresh(&self, old: &[u8], new: NewToken<'_>) -> Result<Refreshed, StoreError> {
        let now = now_ms();
        self.timed(batch("refresh_tokens"), async {
            let mut transaction = self.begin().await?;
            let found = sqlx::query!(
                "SELECT family, user_id, expires_at_ms, used_at_ms, revoked_at_ms
                 FROM refresh_tokens WHERE hash = ?",
                old
            )
            .fetch_optional(&mut *transaction)
            .await?;
            let Some(found) = found else { return Ok(Refreshed::Unknown) };
            if found.used_at_ms.is_some() && found.revoked_at_ms.is_none() {
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
            sqlx::query!("UPDATE refresh_tokens SET used_at_ms = ? WHERE hash = ?", now, old)
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
            // What has long expired tells nothing any more.
            sqlx::query!("DELETE FROM refresh_tokens WHERE expires_at_ms < ?", now)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(Refreshed::Done { user: found.user_id, family: found.family })
        })
        .await
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
            .execute(&self.pool)
            .await
        })
        .await
        .map(drop)
    }
}
