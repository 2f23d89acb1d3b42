//! Tokens. An access token is a JWT that lives for minutes; a refresh token is random, and
//! good once.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, errors::ErrorKind};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::store::now_ms;

const ISSUER: &str = "vc-server";

/// What an access token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The user.
    #[serde(with = "text")]
    pub sub: i64,
    /// The login that it goes back to.
    pub sid: String,
    /// When it ends, in seconds since 1970-01-01 UTC.
    pub exp: u64,
    /// When it was made, in the same.
    pub iat: u64,
    /// Who made it.
    pub iss: String,
}

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It was good once.
    #[error("the token has expired")]
    Expired,
    /// It was not made here.
    #[error("the token is not one of ours")]
    Invalid,
}

/// Makes tokens, and knows its own.
#[derive(Clone)]
pub struct Tokens(Arc<Keys>);

struct Keys {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    access: Duration,
    refresh: Duration,
}

/// A refresh token, and what is kept of it.
pub(super) struct RefreshToken {
    pub(super) text: String,
    pub(super) hash: Vec<u8>,
    pub(super) expires_at_ms: i64,
}

impl Tokens {
    /// Signed with `secret`, and good for so long.
    #[must_use]
    pub fn new(secret: &[u8], access: Duration, refresh: Duration) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "sub", "iss"]);
        validation.leeway = 0;
        Self(Arc::new(Keys {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            validation,
            access,
            refresh,
        }))
    }

    /// How long an access token is good for.
    #[must_use]
    pub fn access_lifetime(&self) -> Duration {
        self.0.access
    }

    /// An access token of a user's login; nothing when it cannot be signed.
    #[must_use]
    pub fn issue(&self, user: i64, family: &str) -> Option<String> {
        let now = now_ms().unsigned_abs() / 1_000;
        let claims = Claims {
            sub: user,
            sid: family.to_owned(),
            exp: now + self.0.access.as_secs(),
            iat: now,
            iss: ISSUER.to_owned(),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.0.encoding).ok()
    }

    /// What a token says, if it is one of ours.
    ///
    /// # Errors
    /// When it is none, or is too old.
    pub fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        match jsonwebtoken::decode::<Claims>(token, &self.0.decoding, &self.0.validation) {
            Ok(data) => Ok(data.claims),
            Err(error) if matches!(error.kind(), ErrorKind::ExpiredSignature) => {
                Err(TokenError::Expired)
            }
            Err(_) => Err(TokenError::Invalid),
        }
    }

    /// A new refresh token; nothing when the system has no randomness.
    pub(super) fn refresh_token(&self) -> Option<RefreshToken> {
        let text = random()?;
        let lifetime = i64::try_from(self.0.refresh.as_millis()).unwrap_or(i64::MAX);
        Some(RefreshToken {
            hash: hash(&text),
            text,
            expires_at_ms: now_ms().saturating_add(lifetime),
        })
    }
}

/// What is kept of a refresh token: it has 256 bits of randomness, so no salt is needed.
pub(super) fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

/// 256 bits that nobody can guess, as text; nothing when the system has none.
#[must_use]
pub(crate) fn random() -> Option<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// A number as a JWT has its subject: a string (RFC 7519, section 4.1.2).
mod text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(number: &i64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(number)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<i64, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn tokens(secret: &[u8], access: Duration) -> Tokens {
        Tokens::new(secret, access, DAY)
    }

    #[test]
    fn a_token_is_known_to_who_has_the_secret_and_nobody_else() {
        let ours = tokens(b"0123456789abcdef0123456789abcdef", DAY);
        let token = ours.issue(7, "family").unwrap();
        let claims = ours.verify(&token).unwrap();
        assert_eq!((claims.sub, claims.sid.as_str()), (7, "family"));
        let theirs = tokens(b"fedcba9876543210fedcba9876543210", DAY);
        assert_eq!(theirs.verify(&token), Err(TokenError::Invalid));
        let mut forged = token.into_bytes();
        let last = forged.len() - 2;
        forged[last] ^= 1;
        assert_eq!(ours.verify(std::str::from_utf8(&forged).unwrap()), Err(TokenError::Invalid));
    }

    #[test]
    fn other_algorithms_and_none_are_refused() {
        let secret = b"0123456789abcdef0123456789abcdef";
        let ours = tokens(secret, DAY);
        let claims = ours.verify(&ours.issue(7, "f").unwrap()).unwrap();
        let key = EncodingKey::from_secret(secret);
        let other = jsonwebtoken::encode(&Header::new(Algorithm::HS384), &claims, &key).unwrap();
        let body = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&claims).unwrap());
        let none = format!("{}.{body}.", URL_SAFE_NO_PAD.encode(br#"{"alg":"none","typ":"JWT"}"#));
        for token in [other.as_str(), &none, "", "a.b.c", "..", "\u{1F600}"] {
            assert_eq!(ours.verify(token), Err(TokenError::Invalid), "{token}");
        }
    }

    #[test]
    fn an_old_token_is_told_from_a_wrong_one() {
        let ours = tokens(b"0123456789abcdef0123456789abcdef", Duration::ZERO);
        let token = ours.issue(7, "f").unwrap();
        std::thread::sleep(Duration::from_millis(1_100));
        assert_eq!(ours.verify(&token), Err(TokenError::Expired));
    }

    #[test]
    fn no_two_refresh_tokens_are_one() {
        let ours = tokens(b"0123456789abcdef0123456789abcdef", DAY);
        let [one, other] = [ours.refresh_token().unwrap(), ours.refresh_token().unwrap()];
        assert_ne!(one.text, other.text);
        assert_eq!((one.text.len(), hash(&one.text)), (43, one.hash));
    }
}
