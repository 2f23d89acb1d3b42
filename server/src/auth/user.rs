//! Who makes a request.

use axum::{
    extract::FromRequestParts,
    http::{header::AUTHORIZATION, request::Parts},
};

use super::token::Tokens;
use crate::problem::Problem;

/// Who makes a request, by its access token.
#[derive(Clone, Debug)]
pub struct CurrentUser {
    /// The user.
    pub id: i64,
    /// The login that the token goes back to.
    pub family: String,
}

impl<S: Sync> FromRequestParts<S> for CurrentUser {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        // The scheme's case does not matter: RFC 9110, section 11.1.
        let token = header.and_then(|value| value.split_once(' ')).and_then(|(scheme, token)| {
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        let tokens = parts.extensions.get::<Tokens>().ok_or(Problem::Internal("internal"))?;
        let claims = token.and_then(|token| tokens.verify(token).ok());
        claims
            .map(|claims| Self { id: claims.sub, family: claims.sid })
            .ok_or(Problem::Unauthenticated)
    }
}
