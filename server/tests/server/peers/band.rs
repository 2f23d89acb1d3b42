//! People who know each other.

use hyper::StatusCode;
use serde_json::{Value, json};
use vc_bot::{Gateway, Login};

use super::server::Server;

/// A community of the first user that all others are in, and its first channel.
pub(crate) async fn community(users: &[&Login]) -> (i64, i64) {
    let owner = &users[0].api;
    let made = owner.post("/api/v1/communities", &json!({"name": "  the band "})).await.unwrap();
    assert_eq!((made.status, &made.body["name"]), (StatusCode::CREATED, &json!("the band")));
    let invitation = json!({"invite_code": made.body["invite_code"]});
    for user in &users[1..] {
        let joined = user.api.post("/api/v1/communities/join", &invitation).await.unwrap();
        assert_eq!(joined.status, StatusCode::OK);
    }
    let id = made.body["id"].as_i64().unwrap();
    let channels = owner.get(&format!("/api/v1/communities/{id}/channels")).await.unwrap().body;
    (id, channels[0]["id"].as_i64().unwrap())
}

/// The channel between two.
pub(crate) async fn dm(one: &Login, other: &str) -> i64 {
    let answer = one.api.post("/api/v1/dms", &json!({"username": other})).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    answer.body["id"].as_i64().unwrap()
}

/// A connection with a session.
pub(crate) async fn listen(server: &Server, login: &Login) -> Gateway {
    let mut gateway = connect(server, login).await;
    gateway.identify().await.unwrap();
    gateway
}

/// A connection without one.
pub(crate) async fn connect(server: &Server, login: &Login) -> Gateway {
    Gateway::connect(&server.host(), &login.access_token, &[]).await.unwrap()
}

/// Sends a message over REST.
pub(crate) async fn write(login: &Login, channel: i64, content: &str) -> Value {
    let path = format!("/api/v1/channels/{channel}/messages");
    let sent = login.api.post(&path, &json!({"content": content})).await.unwrap();
    assert_eq!(sent.status, StatusCode::CREATED, "{}", sent.body);
    sent.body
}
