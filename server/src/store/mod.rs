//! The database: SQLite in one file. Each operation is a span and a point of a histogram,
//! and errors come out as what can be done about them.

mod users;

mod tokens;

mod communities;

mod channels;

mod messages;

use std::{
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use anyhow::Context as _;
use sqlx::{
    Sqlite, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tracing::Instrument as _;

use crate::observability::{Outcome, metrics::Metrics, tracing as spans};

pub use channels::{Access, Channel, Kind};
pub use communities::Community;
pub use messages::{Message, NewMessage, Page, Sent};
pub use tokens::{NewToken, Refreshed};
pub use users::{NewUser, User};

/// Connections that read, beside the one that writes.
const READERS: u32 = 8;

/// Rows that may wait to be taken: a page of messages, so that the connection's thread does
/// not wait in the middle of one.
const ROWS: usize = 128;

/// How long an operation waits for whoever writes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Why an operation was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Something that may be there once is there already.
    #[error("it is taken")]
    Taken,
    /// Something that it is about is there no more.
    #[error("it is gone")]
    Gone,
    /// Somebody else holds the database, or all connections are in use.
    #[error("the database is busy")]
    Busy,
    /// The disk is full.
    #[error("the disk is full")]
    Full,
    /// Anything else.
    #[error("the database failed")]
    Failed,
}

impl StoreError {
    /// `error.type`; what is taken or gone is no error of the database.
    #[must_use]
    pub const fn error_type(self) -> Option<&'static str> {
        match self {
            Self::Taken | Self::Gone => None,
            Self::Busy => Some("database_busy"),
            Self::Full => Some("database_full"),
            Self::Failed => Some("database_error"),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolTimedOut => Self::Busy,
            sqlx::Error::Database(error) => match error.code().and_then(|code| code.parse().ok()) {
                _ if error.is_unique_violation() => Self::Taken,
                _ if error.is_foreign_key_violation() => Self::Gone,
                // Primary result codes: https://sqlite.org/rescode.html
                Some(code) if code as u32 & 0xff == 5 || code as u32 & 0xff == 6 => Self::Busy,
                // SQLITE_FULL, and SQLITE_IOERR_WRITE of a file that a quota or limit ends.
                Some(13 | 778) => Self::Full,
                _ => Self::Failed,
            },
            _ => Self::Failed,
        }
    }
}

/// An operation, as spans and metrics tell it from others.
#[derive(Clone, Copy, Debug)]
struct Operation {
    name: &'static str,
    collection: &'static str,
}

const fn select(collection: &'static str) -> Operation {
    Operation { name: "SELECT", collection }
}

const fn insert(collection: &'static str) -> Operation {
    Operation { name: "INSERT", collection }
}

const fn update(collection: &'static str) -> Operation {
    Operation { name: "UPDATE", collection }
}

const fn delete(collection: &'static str) -> Operation {
    Operation { name: "DELETE", collection }
}

/// Several in one transaction.
const fn batch(collection: &'static str) -> Operation {
    Operation { name: "BATCH", collection }
}

/// The database.
#[derive(Clone, Debug)]
pub struct Store {
    read: SqlitePool,
    /// One connection: who would write has to wait for who does anyway.
    write: SqlitePool,
    metrics: Metrics,
}

impl Store {
    /// Opens the database, makes it if it is not there, and brings it up to date.
    ///
    /// # Errors
    /// When the file cannot be opened or written, or is no database of this server.
    pub async fn open(path: &Path, metrics: Metrics) -> anyhow::Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            // What was acknowledged outlives a loss of power.
            .synchronous(SqliteSynchronous::Full)
            .row_buffer_size(ROWS)
            .busy_timeout(PATIENCE);
        let pool = |most| {
            let pool = SqlitePoolOptions::new().max_connections(most).acquire_timeout(PATIENCE);
            // A connection to a file is not lost, and to ask it wakes its thread. It is asked
            // when it is given back.
            pool.test_before_acquire(false)
        };
        let write = pool(1).connect_with(options.clone()).await.with_context(|| {
            format!("cannot open {}: its folder has to exist and be writable", path.display())
        })?;
        sqlx::migrate!().run(&write).await.with_context(|| {
            format!("{} is no database of this version: move it away", path.display())
        })?;
        let read = pool(READERS).connect_lazy_with(options.read_only(true));
        Ok(Self { read, write, metrics })
    }

    /// Whether it answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.timed(select("users"), async {
            sqlx::query_scalar!("SELECT count(*) FROM users WHERE id = 0")
                .fetch_one(&self.read)
                .await
        })
        .await
        .map(drop)
    }

    /// Lets go of the file.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }

    /// A transaction that may write, and so waits for whoever does.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        self.write.begin_with("BEGIN IMMEDIATE").await
    }

    async fn timed<T>(
        &self,
        operation: Operation,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, StoreError> {
        let Operation { name, collection } = operation;
        let span = spans::query(name, collection);
        let begun = Instant::now();
        let result = work.instrument(span.clone()).await.map_err(StoreError::from);
        let error = result.as_ref().err().and_then(|error| error.error_type());
        self.metrics.query(name, collection, error, begun.elapsed());
        if let Some(error) = error {
            span.record("error.type", error);
        }
        spans::finish(
            &span,
            match (&result, error) {
                (_, Some(_)) => Outcome::Error,
                (Err(_), None) => Outcome::Refused,
                (Ok(_), None) => Outcome::Success,
            },
        );
        result
    }
}

/// Milliseconds since 1970-01-01 UTC.
#[must_use]
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
