//! Accounts and logins, over REST.

use axum::{
    Json,
    extract::{ConnectInfo, State, rejection::JsonRejection},
    http::{HeaderMap, StatusCode},
};
use serde::{Deserialize, Serialize};
use tracing::Instrument as _;
use utoipa::ToSchema;

use super::{Auth, CurrentUser, Peer, token};
use crate::{
    observability::{Outcome, tracing as spans},
    problem::{Problem, ProblemBody, outcome},
    store::{NewToken, NewUser, Refreshed, StoreError, User},
};

/// An account to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// 2 to 32 letters, digits, and `_`, `-`, `.`.
    #[schema(example = "ada")]
    username: String,
    /// Where there is one, it can be logged in with.
    email: Option<String>,
    /// 8 to 256 characters.
    password: String,
}

/// Who wants in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// Name or e-mail address.
    #[schema(example = "ada")]
    username: String,
    /// The password.
    password: String,
}

/// The token that came with the last access token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshRequest {
    /// Good once.
    refresh_token: String,
}

/// Tokens of a login.
#[derive(Serialize, ToSchema)]
pub struct Login {
    /// For `Authorization: Bearer` and for the gateway.
    access_token: String,
    /// For the next access token; good once.
    refresh_token: String,
    /// Always `Bearer`.
    token_type: &'static str,
    /// For how many seconds the access token is good.
    expires_in: u64,
    /// Who it is.
    user: User,
}

/// Make an account
#[utoipa::path(post, path = "/api/v1/auth/register", tag = "auth", request_body = Registration,
    responses((status = 201, body = User), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody), (status = 429, body = ProblemBody)))]
pub(super) async fn register(
    State(auth): State<Auth>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
    body: Result<Json<Registration>, JsonRejection>,
) -> Result<(StatusCode, Json<User>), Problem> {
    let result = auth.register(peer, &headers, body).await;
    auth.0.metrics.registration(outcome(&result));
    Ok((StatusCode::CREATED, Json(result?)))
}

/// Log in
#[utoipa::path(post, path = "/api/v1/auth/login", tag = "auth", request_body = Credentials,
    responses((status = 200, body = Login), (status = 401, body = ProblemBody), (status = 429, body = ProblemBody)))]
pub(super) async fn log_in(
    State(auth): State<Auth>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
    body: Result<Json<Credentials>, JsonRejection>,
) -> Result<Json<Login>, Problem> {
    let span = spans::login();
    let result = auth.log_in(peer, &headers, body).instrument(span.clone()).await;
    let outcome = outcome(&result);
    spans::finish(&span, outcome);
    auth.0.metrics.login(outcome);
    result.map(Json)
}

/// Get new tokens for a refresh token
///
/// A refresh token that is used a second time ends its whole login: somebody has a copy.
#[utoipa::path(post, path = "/api/v1/auth/refresh", tag = "auth", request_body = RefreshRequest,
    responses((status = 200, body = Login), (status = 401, body = ProblemBody), (status = 429, body = ProblemBody)))]
pub(super) async fn refresh(
    State(auth): State<Auth>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
    body: Result<Json<RefreshRequest>, JsonRejection>,
) -> Result<Json<Login>, Problem> {
    let span = spans::token_refresh();
    let (result, outcome) = auth.refresh(peer, &headers, body).instrument(span.clone()).await;
    spans::finish(&span, outcome);
    auth.0.metrics.token_refresh(outcome);
    result.map(Json)
}

/// End this login
///
/// Its refresh token and its gateway connections end; an access token is good until it
/// expires.
#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "auth", security(("token" = [])),
    responses((status = 204), (status = 401, body = ProblemBody)))]
pub(super) async fn log_out(
    State(auth): State<Auth>,
    user: CurrentUser,
) -> Result<StatusCode, Problem> {
    auth.0.store.revoke(&user.family).await?;
    auth.0.hub.revoke(&user.family);
    Ok(StatusCode::NO_CONTENT)
}

/// Who am I
#[utoipa::path(get, path = "/api/v1/users/me", tag = "auth", security(("token" = [])),
    responses((status = 200, body = User), (status = 401, body = ProblemBody)))]
pub(super) async fn me(State(auth): State<Auth>, user: CurrentUser) -> Result<Json<User>, Problem> {
    auth.0.store.user(user.id).await?.map(Json).ok_or(Problem::Unauthenticated)
}

impl Auth {
    fn admit(&self, peer: Peer, headers: &HeaderMap) -> Result<(), Problem> {
        let network = peer.ip(headers, self.0.trusts_forwarded).into();
        self.0.by_address.take(&network).map_err(Problem::TooOften)
    }

    async fn register(
        &self,
        peer: Peer,
        headers: &HeaderMap,
        body: Result<Json<Registration>, JsonRejection>,
    ) -> Result<User, Problem> {
        self.admit(peer, headers)?;
        let Json(Registration { username, email, password }) = body?;
        check_name(&username)?;
        check_password(&password)?;
        let email = email.as_deref().map(str::trim).filter(|email| !email.is_empty());
        if email.is_some_and(|email| !is_address(email)) {
            return Err(Problem::Invalid("`email` is no address"));
        }
        let password_hash = self.0.passwords.hash(password).await?;
        let user = NewUser { username: &username, email, password_hash: &password_hash };
        match self.0.store.create_user(user).await {
            Err(StoreError::Taken) => Err(Problem::Conflict("name or address is taken")),
            outcome => Ok(outcome?),
        }
    }

    async fn log_in(
        &self,
        peer: Peer,
        headers: &HeaderMap,
        body: Result<Json<Credentials>, JsonRejection>,
    ) -> Result<Login, Problem> {
        self.admit(peer, headers)?;
        let Json(Credentials { username, password }) = body?;
        let username = username.trim();
        let account = token::hash(&username.to_lowercase());
        if let Ok(account) = <[u8; 32]>::try_from(account) {
            self.0.by_account.take(&account).map_err(Problem::TooOften)?;
        }
        // Longer ones cannot have been registered, and would be work for nothing.
        let found = if username.len() <= MOST_ADDRESS && password.chars().count() <= MOST_PASSWORD {
            self.0.store.login(username).await?
        } else {
            return Err(Problem::Credentials);
        };
        let (user, hash) = found.unzip();
        let is_right = self.0.passwords.verify(password, hash).await?;
        let user = user.filter(|_| is_right).ok_or(Problem::Credentials)?;
        let family = uuid::Uuid::new_v4().to_string();
        let refresh = self.0.tokens.refresh_token().ok_or(Problem::Internal("internal"))?;
        let token = NewToken { hash: &refresh.hash, expires_at_ms: refresh.expires_at_ms };
        self.0.store.begin_family(user.id, &family, token).await?;
        self.login(user, &family, refresh.text)
    }

    async fn refresh(
        &self,
        peer: Peer,
        headers: &HeaderMap,
        body: Result<Json<RefreshRequest>, JsonRejection>,
    ) -> (Result<Login, Problem>, Outcome) {
        let result = async {
            self.admit(peer, headers)?;
            let Json(RefreshRequest { refresh_token }) = body?;
            let new = self.0.tokens.refresh_token().ok_or(Problem::Internal("internal"))?;
            let token = NewToken { hash: &new.hash, expires_at_ms: new.expires_at_ms };
            let refreshed =
                self.0.store.refresh(&token::hash(&refresh_token), token, self.0.grace).await?;
            Ok::<_, Problem>((refreshed, new.text))
        };
        let (refreshed, text) = match result.await {
            Ok(done) => done,
            Err(problem) => {
                let outcome = outcome::<()>(&Err(problem.clone()));
                return (Err(problem), outcome);
            }
        };
        match refreshed {
            Refreshed::Done { user, family } => {
                let result = self.login(user, &family, text);
                let outcome = outcome(&result);
                (result, outcome)
            }
            Refreshed::Unknown => (Err(Problem::RefreshToken), Outcome::Unknown),
            Refreshed::Expired => (Err(Problem::RefreshToken), Outcome::Expired),
            Refreshed::Reused { family } => {
                self.0.hub.revoke(&family);
                (Err(Problem::RefreshToken), Outcome::Reused)
            }
        }
    }

    fn login(&self, user: User, family: &str, refresh_token: String) -> Result<Login, Problem> {
        let tokens = &self.0.tokens;
        let access_token = tokens.issue(user.id, family).ok_or(Problem::Internal("internal"))?;
        let expires_in = tokens.access_lifetime().as_secs();
        Ok(Login { access_token, refresh_token, token_type: "Bearer", expires_in, user })
    }
}

/// RFC 5321, section 4.5.3.1.3.
const MOST_ADDRESS: usize = 254;
const MOST_PASSWORD: usize = 256;

fn check_name(name: &str) -> Result<(), Problem> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if (2..=32).contains(&name.len()) && name.chars().all(is_of_name) {
        Ok(())
    } else {
        Err(Problem::Invalid("`username` is not 2 to 32 letters, digits, `_`, `-` and `.`"))
    }
}

fn check_password(password: &str) -> Result<(), Problem> {
    if (8..=MOST_PASSWORD).contains(&password.chars().count()) {
        Ok(())
    } else {
        Err(Problem::Invalid("`password` is not 8 to 256 characters long"))
    }
}

/// Whether it may be one; only a letter to it could tell.
fn is_address(text: &str) -> bool {
    let parts = text.rsplit_once('@');
    text.len() <= MOST_ADDRESS
        && !text.contains(char::is_whitespace)
        && parts.is_some_and(|(user, host)| !user.is_empty() && host.contains('.'))
}
