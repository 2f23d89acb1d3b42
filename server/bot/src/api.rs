//! The REST API.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    HeaderMap, Method, Request, StatusCode,
    body::Bytes,
    header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};

/// One user's view of a server, or nobody's.
#[derive(Clone, Debug)]
pub struct Api {
    /// Such as `127.0.0.1:8080`.
    host: String,
    client: Client<HttpConnector, Full<Bytes>>,
    token: Option<String>,
}

/// What a server answers.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; `null` where there is none.
    pub body: Value,
}

/// Who is logged in.
#[derive(Clone, Debug)]
pub struct Login {
    /// With the access token.
    pub api: Api,
    /// For the gateway.
    pub access_token: String,
    /// How long the access token is good.
    pub expires_in: Duration,
    /// For the next access token.
    pub refresh_token: String,
    /// Of the user.
    pub user: i64,
}

impl Api {
    /// Nobody's, of a server at `host:port`.
    #[must_use]
    pub fn new(host: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { host: host.to_owned(), client, token: None }
    }

    /// Where the server is.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The same, with an access token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// A request with a body of JSON, or without one, and headers of its own.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let mut request =
            Request::builder().method(method).uri(format!("http://{}{path}", self.host));
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Full::new(bytes))?).await
    }

    /// A request as it is.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        let response = self.client.request(request).await?;
        let (head, body) = response.into_parts();
        let bytes = body.collect().await?.to_bytes();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        let body = if bytes.is_empty() { Value::Null } else { body };
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    /// GET
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.request(Method::GET, path, None, &[]).await
    }

    /// POST
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.request(Method::POST, path, Some(body), &[]).await
    }

    /// POST without a body.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn act(&self, path: &str) -> anyhow::Result<Answer> {
        self.request(Method::POST, path, None, &[]).await
    }

    /// Makes an account, waiting where the server asks for it.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn register(&self, username: &str, password: &str) -> anyhow::Result<i64> {
        let body = json!({"username": username, "password": password});
        let answer = self.patiently("/api/v1/auth/register", &body).await?;
        answer.body["id"].as_i64().context("an account has an id")
    }

    /// Logs in, waiting where the server asks for it.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn log_in(&self, username: &str, password: &str) -> anyhow::Result<Login> {
        let body = json!({"username": username, "password": password});
        self.login(&self.patiently("/api/v1/auth/login", &body).await?.body)
    }

    /// Gets new tokens for a refresh token, which is used up.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn refresh(&self, refresh_token: &str) -> anyhow::Result<Login> {
        let body = json!({"refresh_token": refresh_token});
        self.login(&self.patiently("/api/v1/auth/refresh", &body).await?.body)
    }

    fn login(&self, body: &Value) -> anyhow::Result<Login> {
        let text =
            |key: &str| body[key].as_str().map(str::to_owned).with_context(|| format!("no {key}"));
        let access_token = text("access_token")?;
        Ok(Login {
            api: self.with_token(&access_token),
            access_token,
            expires_in: Duration::from_secs(body["expires_in"].as_u64().context("no expires_in")?),
            refresh_token: text("refresh_token")?,
            user: body["user"]["id"].as_i64().context("no user")?,
        })
    }

    /// Again, for as long as it is too often.
    async fn patiently(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        for _ in 0..100 {
            let answer = self.post(path, body).await?;
            if answer.status != StatusCode::TOO_MANY_REQUESTS {
                let status = answer.status;
                ensure!(status.is_success(), "{path}: {status} {}", answer.body);
                return Ok(answer);
            }
            let seconds =
                answer.headers.get(RETRY_AFTER).and_then(|it| it.to_str().ok()?.parse().ok());
            tokio::time::sleep(Duration::from_secs(seconds.unwrap_or(1))).await;
        }
        bail!("{path}: the server asks to wait, again and again");
    }
}
