//! The REST API, over real sockets.

use std::collections::BTreeSet;

use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use vc_bot::{Answer, Login};

use crate::peers::{
    band::community,
    server::{self, Server},
};

fn ids(answer: &Answer) -> Vec<i64> {
    answer.body.as_array().unwrap().iter().map(|one| one["id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn an_account_is_made_once_and_logged_in_with() {
    let server = Server::start();
    let api = server.api();
    let ada = json!({"username": "ada", "email": "Ada@example.org", "password": "a good password"});
    let made = api.post("/api/v1/auth/register", &ada).await.unwrap();
    assert_eq!((made.status, &made.body["username"]), (StatusCode::CREATED, &json!("ada")));
    assert_eq!(made.body.as_object().unwrap().len(), 2, "no more is said: {}", made.body);
    for again in [
        json!({"username": "ADA", "password": "a good password"}),
        json!({"username": "bob", "email": "ada@EXAMPLE.org", "password": "a good password"}),
    ] {
        let answer = api.post("/api/v1/auth/register", &again).await.unwrap();
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (StatusCode::CONFLICT, &json!("conflict"))
        );
    }
    for name in ["ada", "ADA", "ada@example.org"] {
        let login = api.log_in(name, "a good password").await.unwrap();
        let me = login.api.get("/api/v1/users/me").await.unwrap();
        assert_eq!((me.status, &me.body), (StatusCode::OK, &made.body));
    }
    for (name, password) in [("ada", "a wrong password"), ("nobody", "a good password"), ("", "")] {
        let body = json!({"username": name, "password": password});
        let answer = api.post("/api/v1/auth/login", &body).await.unwrap();
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.body["code"], "invalid_credentials", "the same for each");
    }
}

#[tokio::test]
async fn what_is_no_account_is_refused() {
    let server = Server::start();
    let api = server.api();
    let long = "x".repeat(300);
    for body in [
        json!({"username": "a", "password": "a good password"}),
        json!({"username": "a b", "password": "a good password"}),
        json!({"username": "<script>", "password": "a good password"}),
        json!({"username": &long, "password": "a good password"}),
        json!({"username": "ada", "password": "short"}),
        json!({"username": "ada", "password": &long}),
        json!({"username": "ada", "password": "a good password", "email": "nowhere"}),
    ] {
        let answer = api.post("/api/v1/auth/register", &body).await.unwrap();
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        let kind = answer.headers["content-type"].to_str().unwrap();
        assert_eq!(kind, "application/problem+json");
    }
    for body in [json!(null), json!([]), json!({}), json!({"username": 1, "password": "x"})] {
        let answer = api.post("/api/v1/auth/register", &body).await.unwrap();
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (StatusCode::BAD_REQUEST, &json!("malformed"))
        );
    }
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_a_copy_ends_the_login() {
    let server = Server::start();
    let login = server.user("ada").await;
    let api = server.api();
    let refresh = async |token: &str| {
        api.post("/api/v1/auth/refresh", &json!({"refresh_token": token})).await.unwrap()
    };
    let second = refresh(&login.refresh_token).await;
    assert_eq!(second.status, StatusCode::OK);
    assert_eq!(second.body["user"]["id"], login.user);
    let newer = second.body["refresh_token"].as_str().unwrap();
    let access = api.with_token(second.body["access_token"].as_str().unwrap());
    assert_eq!(access.get("/api/v1/users/me").await.unwrap().status, StatusCode::OK);
    // Somebody has a copy of the first one: both are out.
    for token in [login.refresh_token.as_str(), newer, "made up"] {
        let answer = refresh(token).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.body["code"], "invalid_refresh_token");
    }
}

#[tokio::test]
async fn a_refresh_whose_answer_was_lost_can_be_done_again() {
    let server = Server::with(&[("VC_REFRESH_GRACE", "1s")]);
    let login = server.user("ada").await;
    let body = json!({"refresh_token": login.refresh_token});
    for _ in 0..2 {
        let answer = server.api().post("/api/v1/auth/refresh", &body).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK);
    }
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let answer = server.api().post("/api/v1/auth/refresh", &body).await.unwrap();
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn two_refreshes_at_once_have_one_winner() {
    let server = Server::start();
    let login = server.user("ada").await;
    let api = server.api();
    let body = json!({"refresh_token": login.refresh_token});
    let once = || api.post("/api/v1/auth/refresh", &body);
    let (a, b, c) = tokio::join!(once(), once(), once());
    let won =
        [a, b, c].into_iter().filter(|answer| answer.as_ref().unwrap().status == StatusCode::OK);
    assert_eq!(won.count(), 1);
}

#[tokio::test]
async fn a_login_that_is_ended_is_refreshed_no_more() {
    let server = Server::start();
    let login = server.user("ada").await;
    assert_eq!(login.api.act("/api/v1/auth/logout").await.unwrap().status, StatusCode::NO_CONTENT);
    let body = json!({"refresh_token": login.refresh_token});
    let answer = server.api().post("/api/v1/auth/refresh", &body).await.unwrap();
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let other = server.api().log_in("ada", "a good password").await.unwrap();
    assert_eq!(other.api.get("/api/v1/users/me").await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn a_token_that_is_missing_wrong_or_old_lets_nobody_in() {
    let server = Server::with(&[("VC_ACCESS_TOKEN_LIFETIME", "1s")]);
    let login = server.user("ada").await;
    let of_nobody = server.api();
    let made_up = of_nobody.with_token("made.up.token");
    tokio::time::sleep(std::time::Duration::from_millis(2_100)).await;
    for api in [&of_nobody, &made_up, &login.api] {
        for (method, path) in [
            (Method::GET, "/api/v1/users/me"),
            (Method::POST, "/api/v1/auth/logout"),
            (Method::GET, "/api/v1/communities"),
            (Method::GET, "/api/v1/channels/1/messages"),
            (Method::GET, "/api/v1/dms"),
            (Method::POST, "/api/v1/dms/1/call"),
        ] {
            let answer = api.request(method, path, None, &[]).await.unwrap();
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
            assert_eq!(answer.body["code"], "unauthenticated");
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
        }
    }
}

#[tokio::test]
async fn too_many_attempts_have_to_wait() {
    let server = Server::with(&[("VC_AUTH_ATTEMPTS_PER_MINUTE", "4")]);
    let api = server.api();
    let body = json!({"username": "ada", "password": "a wrong password"});
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(api.post("/api/v1/auth/login", &body).await.unwrap().status.as_u16());
    }
    assert_eq!(statuses, [401, 401, 429], "an account has half of it");
    let padded = json!({"username": " ADA ", "password": "a wrong password"});
    assert_eq!(api.post("/api/v1/auth/login", &padded).await.unwrap().status, 429);
    let other = json!({"username": "bob", "password": "a wrong password"});
    let answer = api.post("/api/v1/auth/login", &other).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (429, &json!("too_often")));
    let wait: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
}

#[tokio::test]
async fn messages_are_sent_once_read_in_pages_changed_and_removed() {
    let server = Server::start();
    let (ada, bob) = (server.user("ada").await, server.user("bob").await);
    let (_, channel) = community(&[&ada, &bob]).await;
    let path = format!("/api/v1/channels/{channel}/messages");
    for number in 0..25 {
        let draft = json!({"content": format!("message {number}"), "nonce": number.to_string()});
        let sent = ada.api.post(&path, &draft).await.unwrap();
        assert_eq!(sent.status, StatusCode::CREATED);
        let again = ada.api.post(&path, &draft).await.unwrap();
        assert_eq!((again.status, again.body), (StatusCode::OK, sent.body), "it is one message");
        let other = json!({"content": "something else", "nonce": number.to_string()});
        assert_eq!(ada.api.post(&path, &other).await.unwrap().status, StatusCode::CONFLICT);
    }
    let all = bob.api.get(&path).await.unwrap();
    let ids_of_all = ids(&all);
    assert!(ids_of_all.is_sorted() && ids_of_all.len() == 25);
    // Backwards and forwards, page by page.
    let mut backwards = BTreeSet::new();
    let mut before = i64::MAX;
    loop {
        let page = bob.api.get(&format!("{path}?before={before}&limit=7")).await.unwrap();
        let page = ids(&page);
        let Some(first) = page.first() else { break };
        before = *first;
        backwards.extend(page);
    }
    assert!(backwards.iter().eq(&ids_of_all));
    let after = bob.api.get(&format!("{path}?after={}&limit=7", ids_of_all[3])).await.unwrap();
    assert_eq!(ids(&after), ids_of_all[4..11]);
    for query in ["limit=0", "limit=101", "limit=x", "before=1&after=1", "since=1"] {
        let answer = bob.api.get(&format!("{path}?{query}")).await.unwrap();
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
    }

    let one = format!("{path}/{}", ids_of_all[0]);
    let change = json!({"content": "changed"});
    let patch = |user: &Login| {
        let (api, one, change) = (user.api.clone(), one.clone(), change.clone());
        async move { api.request(Method::PATCH, &one, Some(&change), &[]).await.unwrap() }
    };
    assert_eq!(patch(&bob).await.status, StatusCode::FORBIDDEN);
    let changed = patch(&ada).await;
    assert_eq!(changed.body["content"], "changed");
    assert!(changed.body["edited_at_ms"].is_i64());
    let remove = |user: &Login, path: String| {
        let api = user.api.clone();
        async move { api.request(Method::DELETE, &path, None, &[]).await.unwrap().status }
    };
    assert_eq!(remove(&bob, one.clone()).await, StatusCode::FORBIDDEN);
    assert_eq!(remove(&ada, one.clone()).await, StatusCode::NO_CONTENT);
    assert_eq!(remove(&ada, one).await, StatusCode::NOT_FOUND);
    // The owner may remove what others wrote.
    let of_bob = bob.api.post(&path, &json!({"content": "x"})).await.unwrap();
    assert_eq!(remove(&ada, format!("{path}/{}", of_bob.body["id"])).await, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn what_is_no_message_is_refused() {
    let server = Server::start();
    let ada = server.user("ada").await;
    let (_, channel) = community(&[&ada]).await;
    let path = format!("/api/v1/channels/{channel}/messages");
    for body in [
        json!({"content": ""}),
        json!({"content": " \n\t "}),
        json!({"content": "x".repeat(4_001)}),
        json!({"content": "a\u{0}b"}),
        json!({"content": "x", "nonce": ""}),
        json!({"content": "x", "nonce": "n".repeat(65)}),
    ] {
        let answer = ada.api.post(&path, &body).await.unwrap();
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
    }
    let longest =
        ada.api.post(&path, &json!({"content": "\u{1F600}".repeat(4_000)})).await.unwrap();
    assert_eq!(longest.status, StatusCode::CREATED, "4,000 characters, however long each is");
    let large = ada.api.post(&path, &json!({"content": "x".repeat(100_000)})).await.unwrap();
    assert_eq!(
        (large.status, &large.body["code"]),
        (StatusCode::PAYLOAD_TOO_LARGE, &json!("too_large"))
    );
}

#[tokio::test]
async fn nobody_learns_of_what_is_not_for_them() {
    let server = Server::start();
    let (ada, eve) = (server.user("ada").await, server.user("eve").await);
    let bob = server.user("bob").await;
    let (community, channel) = community(&[&ada]).await;
    let dm = ada.api.post("/api/v1/dms", &json!({"username": "bob"})).await.unwrap().body;
    let (path, draft) = (format!("/api/v1/channels/{channel}/messages"), json!({"content": "x"}));
    let message = ada.api.post(&path, &draft).await.unwrap().body["id"].clone();
    for (method, path, body) in [
        (Method::GET, format!("/api/v1/communities/{community}"), None),
        (Method::DELETE, format!("/api/v1/communities/{community}"), None),
        (Method::GET, format!("/api/v1/communities/{community}/members"), None),
        (Method::GET, format!("/api/v1/communities/{community}/channels"), None),
        (
            Method::POST,
            format!("/api/v1/communities/{community}/channels"),
            Some(json!({"name": "x", "kind": "text"})),
        ),
        (Method::POST, format!("/api/v1/communities/{community}/leave"), None),
        (Method::GET, format!("/api/v1/channels/{channel}/messages"), None),
        (
            Method::POST,
            format!("/api/v1/channels/{channel}/messages"),
            Some(json!({"content": "x"})),
        ),
        (
            Method::PATCH,
            format!("/api/v1/channels/{channel}/messages/{message}"),
            Some(json!({"content": "x"})),
        ),
        (Method::DELETE, format!("/api/v1/channels/{channel}/messages/{message}"), None),
        (
            Method::PUT,
            format!("/api/v1/channels/{channel}/read"),
            Some(json!({"message_id": message})),
        ),
        (Method::POST, format!("/api/v1/channels/{channel}/typing"), None),
        (Method::DELETE, format!("/api/v1/channels/{channel}"), None),
        (Method::GET, format!("/api/v1/channels/{}/messages", dm["id"]), None),
        (Method::GET, format!("/api/v1/dms/{}/call", dm["id"]), None),
        (Method::POST, format!("/api/v1/dms/{}/call", dm["id"]), None),
        (Method::POST, format!("/api/v1/dms/{}/call/join", dm["id"]), None),
        (Method::POST, format!("/api/v1/dms/{}/call/decline", dm["id"]), None),
        (Method::POST, format!("/api/v1/dms/{channel}/call"), None),
        (
            Method::POST,
            "/api/v1/communities/join".to_owned(),
            Some(json!({"invite_code": "guessed"})),
        ),
        (Method::GET, "/api/v1/channels/999999/messages".to_owned(), None),
        (Method::GET, "/api/v1/channels/x/messages".to_owned(), None),
    ] {
        let answer = eve.api.request(method.clone(), &path, body.as_ref(), &[]).await.unwrap();
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}: {}", answer.body);
    }
    assert_eq!(ids(&bob.api.get("/api/v1/dms").await.unwrap()), [dm["id"].as_i64().unwrap()]);
}

#[tokio::test]
async fn communities_and_channels_come_and_go() {
    let server = Server::start();
    let (ada, bob) = (server.user("ada").await, server.user("bob").await);
    let (id, general) = community(&[&ada, &bob]).await;
    let of_community = format!("/api/v1/communities/{id}");
    let channels = format!("{of_community}/channels");
    let new = json!({"name": "talk", "kind": "voice"});
    assert_eq!(bob.api.post(&channels, &new).await.unwrap().status, StatusCode::FORBIDDEN);
    let made = ada.api.post(&channels, &new).await.unwrap();
    assert_eq!((made.status, &made.body["kind"]), (StatusCode::CREATED, &json!("voice")));
    for wrong in [json!({"name": "x", "kind": "dm"}), json!({"name": "", "kind": "text"})] {
        let answer = ada.api.post(&channels, &wrong).await.unwrap();
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert_eq!(ids(&bob.api.get(&channels).await.unwrap()).len(), 2);
    let remove = |user: &Login, path: String| {
        let api = user.api.clone();
        async move { api.request(Method::DELETE, &path, None, &[]).await.unwrap().status }
    };
    assert_eq!(remove(&bob, format!("/api/v1/channels/{general}")).await, StatusCode::FORBIDDEN);
    assert_eq!(remove(&ada, format!("/api/v1/channels/{general}")).await, StatusCode::NO_CONTENT);
    let members = ada.api.get(&format!("{of_community}/members")).await.unwrap();
    let names: Vec<_> =
        members.body.as_array().unwrap().iter().map(|one| &one["username"]).collect();
    assert_eq!(names, ["ada", "bob"]);
    assert_eq!(members.body[0]["status"], "offline");
    let leave = format!("{of_community}/leave");
    assert_eq!(ada.api.act(&leave).await.unwrap().status, StatusCode::CONFLICT);
    assert_eq!(bob.api.act(&leave).await.unwrap().status, StatusCode::NO_CONTENT);
    assert_eq!(bob.api.get(&of_community).await.unwrap().status, StatusCode::NOT_FOUND);
    assert_eq!(remove(&ada, of_community.clone()).await, StatusCode::NO_CONTENT);
    assert_eq!(ids(&ada.api.get("/api/v1/communities").await.unwrap()), [0; 0]);
}

#[tokio::test]
async fn how_far_one_has_read_only_grows() {
    let server = Server::start();
    let ada = server.user("ada").await;
    let (id, channel) = community(&[&ada]).await;
    let mut messages = Vec::new();
    for _ in 0..2 {
        let path = format!("/api/v1/channels/{channel}/messages");
        let sent = ada.api.post(&path, &json!({"content": "x"})).await.unwrap();
        messages.push(sent.body["id"].as_i64().unwrap());
    }
    let read = async |message: i64| {
        let path = format!("/api/v1/channels/{channel}/read");
        let body = json!({"message_id": message});
        ada.api.request(Method::PUT, &path, Some(&body), &[]).await.unwrap().status
    };
    let state = async || {
        let path = format!("/api/v1/communities/{id}/channels");
        ada.api.get(&path).await.unwrap().body[0].clone()
    };
    assert_eq!(state().await["last_read_id"], Value::Null);
    for message in [messages[1], messages[0]] {
        assert_eq!(read(message).await, StatusCode::NO_CONTENT);
        let state = state().await;
        assert_eq!([&state["last_read_id"], &state["last_message_id"]], [messages[1]; 2]);
    }
    assert_eq!(read(messages[1] + 1).await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn every_route_is_described_and_what_is_described_exists() {
    let running = Server::start();
    let served = running.api().get("/api/v1/openapi.json").await.unwrap();
    let printed = server::program().arg("openapi").output().unwrap();
    let printed: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(served.body["paths"], printed["paths"]);
    let mut routes = 0;
    for (path, operations) in printed["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            routes += 1;
            assert!(operation["summary"].is_string(), "{method} {path}");
            let path = path.replace("{channel_id}", "1").replace("{community_id}", "1");
            let path = path.replace("{message_id}", "1");
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let answer = running.api().request(method.clone(), &path, None, &[]).await.unwrap();
            let status = answer.status.as_u16();
            assert!(![404, 405, 500].contains(&status), "{method} {path}: {status}");
        }
    }
    assert!(routes >= 29, "{routes}");
    let answer = running.api().request(Method::PUT, "/api/v1/dms", None, &[]).await.unwrap();
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
}
