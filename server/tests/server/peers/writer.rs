//! Somebody else who writes to the server's database, and takes long over it.

use std::path::Path;

use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

/// Nobody else can write until this leaves.
pub(crate) struct Writer(SqliteConnection);

impl Writer {
    pub(crate) async fn at(database: &Path) -> Self {
        let options = SqliteConnectOptions::new().filename(database);
        let mut connection =
            SqliteConnection::connect_with(&options).await.expect("there is a database");
        sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await.expect("nobody writes");
        Self(connection)
    }

    pub(crate) async fn leave(mut self) {
        sqlx::query("ROLLBACK").execute(&mut self.0).await.expect("it was begun");
        self.0.close().await.expect("it is done");
    }
}
