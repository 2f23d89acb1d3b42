//! Accounts.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Store, StoreError, insert, now_ms, select};

/// Somebody with an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct User {
    /// Of the user.
    pub id: i64,
    /// As it was registered.
    pub username: String,
}

/// An account to be.
#[derive(Debug)]
pub struct NewUser<'a> {
    /// Unique, whatever its case.
    pub username: &'a str,
    /// Unique too, where there is one.
    pub email: Option<&'a str>,
    /// Of argon2id.
    pub password_hash: &'a str,
}

impl Store {
    /// Makes an account.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when name or address is.
    pub async fn create_user(&self, user: NewUser<'_>) -> Result<User, StoreError> {
        let now = now_ms();
        let NewUser { username, email, password_hash } = user;
        self.timed(insert("users"), async {
            sqlx::query_as!(
                User,
                "INSERT INTO users (username, email, password_hash, created_at_ms)
                 VALUES (?, ?, ?, ?) RETURNING id, username",
                username,
                email,
                password_hash,
                now
            )
            .fetch_one(&self.write)
            .await
        })
        .await
    }

    /// An account by name or address, with its password's hash.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn login(&self, name: &str) -> Result<Option<(User, String)>, StoreError> {
        let found = self
            .timed(select("users"), async {
                sqlx::query!(
                    "SELECT id, username, password_hash FROM users WHERE username = ?1 OR email = ?1
                     ORDER BY username = ?1 COLLATE NOCASE DESC LIMIT 1",
                    name
                )
                .fetch_optional(&self.write)
                .await
            })
            .await?;
        Ok(found.map(|row| (User { id: row.id, username: row.username }, row.password_hash)))
    }

    /// An account.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn user(&self, id: i64) -> Result<Option<User>, StoreError> {
        self.timed(select("users"), async {
            sqlx::query_as!(User, "SELECT id, username FROM users WHERE id = ?", id)
                .fetch_optional(&self.read)
                .await
        })
        .await
    }

    /// An account by its name.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn user_named(&self, username: &str) -> Result<Option<User>, StoreError> {
        self.timed(select("users"), async {
            sqlx::query_as!(User, "SELECT id, username FROM users WHERE username = ?", username)
                .fetch_optional(&self.read)
                .await
        })
        .await
    }
}
