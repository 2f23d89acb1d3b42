//! Passwords, by argon2id with the parameters that OWASP gives as the least: 19 MiB, two
//! passes.

use std::sync::{Arc, OnceLock};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use tokio::sync::Semaphore;

use crate::problem::Problem;

/// Computes hashes: only so many at once as there are processors, for each takes one and
/// much memory.
#[derive(Clone)]
pub(super) struct Passwords(Arc<Semaphore>);

impl Default for Passwords {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Semaphore::new(processors)))
    }
}

impl Passwords {
    /// The hash to keep.
    pub(super) async fn hash(&self, password: String) -> Result<String, Problem> {
        self.run(move || hash(&password)).await?.ok_or(Problem::Internal("internal"))
    }

    /// Whether a password is the one of a hash. Without one it takes as long, so that the
    /// time does not tell who has an account.
    pub(super) async fn verify(
        &self,
        password: String,
        kept: Option<String>,
    ) -> Result<bool, Problem> {
        self.run(move || {
            static NOBODYS: OnceLock<String> = OnceLock::new();
            let is_known = kept.is_some();
            let kept = kept.unwrap_or_else(|| {
                NOBODYS.get_or_init(|| hash("nobody's").unwrap_or_default()).clone()
            });
            let is_right = PasswordHash::new(&kept).is_ok_and(|kept| {
                Argon2::default().verify_password(password.as_bytes(), &kept).is_ok()
            });
            is_right && is_known
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let gone = |_| Problem::Internal("internal");
        let permit = Arc::clone(&self.0).acquire_owned().await.map_err(gone)?;
        let work = move || {
            let _permit = permit;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| Problem::Internal("internal"))
    }
}

fn hash(password: &str) -> Option<String> {
    Argon2::default().hash_password(password.as_bytes()).ok().map(|hash| hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_right_password_is_right_and_no_other() {
        let passwords = Passwords::default();
        let kept = passwords.hash("correct horse".to_owned()).await.unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        let is = |password: &str, kept: Option<&String>| {
            passwords.verify(password.to_owned(), kept.cloned())
        };
        assert!(is("correct horse", Some(&kept)).await.unwrap());
        assert!(!is("battery staple", Some(&kept)).await.unwrap());
        assert!(!is("nobody's", None).await.unwrap());
        assert!(!is("correct horse", Some(&"no hash".to_owned())).await.unwrap());
    }
}
