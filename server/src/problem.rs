//! Errors as clients get them: RFC 9457.

use std::time::Duration;

use axum::{
    Json,
    extract::rejection::{JsonRejection, PathRejection, QueryRejection},
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{observability::Outcome, store::StoreError};

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Something in the request is not as it has to be.
    #[error("{0}")]
    Invalid(&'static str),
    /// The body is not the JSON that is asked for.
    #[error("the body is not the JSON that is asked for")]
    Malformed,
    /// There is no token, or none that is good.
    #[error("log in, or refresh the access token")]
    Unauthenticated,
    /// Name and password do not go together.
    #[error("name or password is wrong")]
    Credentials,
    /// A refresh token that is not good any more, if it ever was.
    #[error("the refresh token is not good any more: log in")]
    RefreshToken,
    /// It is somebody else's to do.
    #[error("that is not yours to do")]
    Forbidden,
    /// There is no such thing, or not for this user.
    #[error("there is no such thing")]
    NotFound,
    /// There is such a thing, and that cannot be done to it.
    #[error("that cannot be done here")]
    Method,
    /// It cannot be done as things stand.
    #[error("{0}")]
    Conflict(&'static str),
    /// The body is too large.
    #[error("the body is too large")]
    TooLarge,
    /// Wait that long.
    #[error("too often: wait")]
    TooOften(Duration),
    /// There are as many as there may be.
    #[error("there is no room: try again later")]
    NoRoom,
    /// The database is locked by somebody else.
    #[error("the database is busy: try again")]
    Busy,
    /// The disk is full.
    #[error("there is no room to store that")]
    Full,
    /// Something that should not happen.
    #[error("the server failed")]
    Internal(&'static str),
}

/// A problem, in JSON.
#[derive(Serialize, ToSchema)]
pub struct ProblemBody {
    /// What kind of problem it is, for programs.
    #[schema(example = "not_found")]
    code: &'static str,
    /// What kind of problem it is, for people.
    #[schema(example = "there is no such thing")]
    title: String,
    /// The response's status.
    #[schema(example = 404)]
    status: u16,
}

impl Problem {
    /// The status and the code for programs.
    #[must_use]
    pub const fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            Self::Malformed => (StatusCode::BAD_REQUEST, "malformed"),
            Self::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated"),
            Self::Credentials => (StatusCode::UNAUTHORIZED, "invalid_credentials"),
            Self::RefreshToken => (StatusCode::UNAUTHORIZED, "invalid_refresh_token"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            Self::TooOften(_) => (StatusCode::TOO_MANY_REQUESTS, "too_often"),
            Self::NoRoom => (StatusCode::SERVICE_UNAVAILABLE, "no_room"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "database_busy"),
            Self::Full => (StatusCode::INSUFFICIENT_STORAGE, "database_full"),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }

    /// Whether it is the server's fault.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.kind().0.is_server_error()
    }

    /// `error.type` of the server's own.
    #[must_use]
    pub const fn error_type(&self) -> Option<&'static str> {
        match self {
            Self::Busy => Some("database_busy"),
            Self::Full => Some("database_full"),
            Self::Internal(kind) => Some(kind),
            _ => None,
        }
    }
}

/// How something ended, in telemetry's words.
pub(crate) fn outcome<T>(result: &Result<T, Problem>) -> Outcome {
    match result {
        Ok(_) => Outcome::Success,
        Err(Problem::TooOften(_)) => Outcome::RateLimited,
        Err(problem) if problem.is_ours() => Outcome::Error,
        Err(_) => Outcome::Refused,
    }
}

/// `error.type` of a response, for the request's span and metrics.
#[derive(Clone, Copy)]
pub(crate) struct ErrorType(pub(crate) &'static str);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, code) = self.kind();
        let body = ProblemBody { code, title: self.to_string(), status: status.as_u16() };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let wait = match &self {
            Self::TooOften(wait) => Some(wait.as_secs() + 1),
            Self::Busy | Self::NoRoom => Some(1),
            _ => None,
        };
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = wait {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if let Some(kind) = self.error_type() {
            response.extensions_mut().insert(ErrorType(kind));
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy => Self::Busy,
            StoreError::Full => Self::Full,
            StoreError::Gone => Self::NotFound,
            StoreError::Taken | StoreError::Failed => Self::Internal("database_error"),
        }
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Self::TooLarge
        } else {
            Self::Malformed
        }
    }
}

impl From<PathRejection> for Problem {
    fn from(_: PathRejection) -> Self {
        Self::NotFound
    }
}

impl From<QueryRejection> for Problem {
    fn from(_: QueryRejection) -> Self {
        Self::Invalid("the query has a parameter that is not as it has to be")
    }
}
