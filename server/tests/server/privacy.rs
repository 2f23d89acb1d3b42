//! Secrets are planted in every input, and searched for in everything that leaves.

use http_body_util::Full;
use hyper::{Method, Request, body::Bytes};
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use vc_bot::{Gateway, Login};

use crate::peers::{otlp::Collector, sentry::Envelopes, server::Server};

/// Each is in one input or more, and says in which.
const PLANTED: [&str; 18] = [
    "planted-user",
    "planted-mail@example.org",
    "planted-password",
    "planted-content",
    "planted-edit",
    "planted-nonce",
    "planted-community",
    "planted-channel",
    "planted-header",
    "planted-cookie",
    "planted-query",
    "planted-path",
    "planted-agent",
    "planted-state",
    "planted-baggage",
    "planted-frame",
    "planted-forwarded",
    "planted-token",
];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_user_sends_is_told_to_anybody() {
    let collector = Collector::start().await;
    let variables = collector.variables();
    let mut variables: Vec<_> =
        variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    // Also where things go wrong, and at the most talkative.
    let (envelopes, dsn) = Envelopes::take().await;
    variables.extend([
        ("VC_LOG", "debug"),
        ("VC_TRUST_FORWARDED_FOR", "true"),
        ("SENTRY_DSN", &dsn),
    ]);
    let server = Server::with(&variables);
    let api = server.api();
    let register = json!({
        "username": PLANTED[0], "email": PLANTED[1], "password": PLANTED[2]
    });
    api.post("/api/v1/auth/register", &register).await.unwrap();
    api.post("/api/v1/auth/register", &register).await.unwrap();
    let login = api.log_in(PLANTED[0], PLANTED[2]).await.unwrap();
    let other = server.user("somebody").await;
    let ada = &login.api;
    let mut secrets: Vec<String> = PLANTED.map(str::to_owned).into();
    secrets.extend([login.access_token.clone(), login.refresh_token.clone()]);

    let community =
        ada.post("/api/v1/communities", &json!({"name": PLANTED[6]})).await.unwrap().body;
    secrets.push(community["invite_code"].as_str().unwrap().to_owned());
    other
        .api
        .post("/api/v1/communities/join", &json!({"invite_code": community["invite_code"]}))
        .await
        .unwrap();
    let of_community = format!("/api/v1/communities/{}", community["id"]);
    let new = json!({"name": PLANTED[7], "kind": "text"});
    let channel =
        ada.post(&format!("{of_community}/channels"), &new).await.unwrap().body["id"].clone();
    let messages = format!("/api/v1/channels/{channel}/messages");
    let draft = json!({"content": PLANTED[3], "nonce": PLANTED[5]});
    let message = ada.post(&messages, &draft).await.unwrap().body["id"].clone();

    // Every route, with everything that a request may have.
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = [
        ("x-planted", PLANTED[8]),
        ("cookie", PLANTED[9]),
        ("user-agent", PLANTED[12]),
        ("traceparent", trace),
        ("tracestate", "vendor=planted-state"),
        ("baggage", "key=planted-baggage"),
        ("x-request-id", PLANTED[8]),
        ("x-forwarded-for", PLANTED[16]),
        ("x-forwarded-for", "203.0.113.77"),
    ];
    secrets.push("203.0.113.77".to_owned());
    let described: Value = api.get("/api/v1/openapi.json").await.unwrap().body;
    let bodies = [
        None,
        Some(json!({"content": PLANTED[4]})),
        Some(json!({"username": PLANTED[0], "password": PLANTED[2], "planted-key": PLANTED[3]})),
        Some(json!({"refresh_token": PLANTED[17]})),
        Some(json!({"invite_code": PLANTED[17]})),
        Some(json!(PLANTED[3])),
    ];
    let mut requests = 0;
    for (path, operations) in described["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            for ids in [false, true] {
                let filled = if ids {
                    path.replace("{channel_id}", &channel.to_string())
                        .replace("{message_id}", &message.to_string())
                        .replace("{community_id}", &community["id"].to_string())
                } else {
                    path.replace('{', "planted-path-").replace('}', "")
                };
                // Deletion of what others need, and the end of the login, come last.
                if path.ends_with("logout") || (ids && method == "delete") {
                    continue;
                }
                for body in &bodies {
                    let path = format!("{filled}?planted={}", PLANTED[10]);
                    let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
                    for client in [ada, &api.with_token(PLANTED[17])] {
                        requests += 1;
                        client
                            .request(method.clone(), &path, body.as_ref(), &headers)
                            .await
                            .unwrap();
                    }
                }
            }
        }
    }
    println!("{requests} requests");
    for (method, path) in
        [("GET", "/planted-path"), ("PLANTED-PATH", "/healthz"), ("POST", "/readyz")]
    {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}?{}", server.host(), PLANTED[10]))
            .body(Full::new(Bytes::from_static(b"planted-content")))
            .unwrap();
        api.send(request).await.unwrap();
    }

    // The gateway: what it understands, and what it does not.
    let mut gateway =
        Gateway::connect(&server.host(), &login.access_token, &headers[..6]).await.unwrap();
    gateway.identify().await.unwrap();
    secrets.push(gateway.session.clone().unwrap());
    for said in [
        json!({"op": "send", "channel_id": channel, "content": PLANTED[3], "nonce": "planted-nonce-2", "traceparent": trace, "tracestate": "vendor=planted-state", "baggage": "key=planted-baggage"}),
        json!({"op": "send", "channel_id": 987_654, "content": PLANTED[3]}),
        json!({"op": "authenticate", "token": PLANTED[17]}),
        json!({"op": "typing", "channel_id": channel}),
        json!({"op": "read", "channel_id": channel, "message_id": message}),
    ] {
        gateway.say(&said).await.unwrap();
    }
    gateway.say(&json!({"op": "heartbeat", "seq": 0})).await.unwrap();
    gateway.wait_for("heartbeat_ack").await.unwrap();
    gateway.put(Message::text("planted-frame")).await.unwrap();
    while gateway.next_said().await.is_ok() {}
    for token in [PLANTED[17], ""] {
        assert!(Gateway::connect(&server.host(), token, &headers[..3]).await.is_err());
    }
    ada.request(Method::DELETE, &of_community, None, &headers).await.unwrap();
    let logout = ada.request(Method::POST, "/api/v1/auth/logout", bodies[1].as_ref(), &headers);
    assert!(logout.await.unwrap().status.is_success());

    fail_at_everything(&server, &login, &bodies, &headers).await;
    let ended = server.stop();
    assert!(ended.status.success());
    let lines: Vec<_> = ended.lines.iter().map(Value::to_string).collect();
    let kept = collector.kept();
    assert!(lines.len() > requests && kept.spans.len() > requests && kept.logs.len() > requests);
    let envelopes = envelopes.text();
    let events = envelopes.matches("database_busy").count();
    assert!(events >= 20, "{events} events in {envelopes}");
    let leaving = [
        ("lines", lines.join("\n")),
        ("OTLP", kept.text),
        ("errors", ended.errors),
        ("Sentry", envelopes),
    ];
    for (where_to, text) in &leaving {
        let text = text.to_lowercase();
        let found = secrets.iter().find(|secret| text.contains(&secret.to_lowercase()));
        assert_eq!(found, None, "in {where_to}");
        // One record names an endpoint: the collector's.
        let addresses = text.matches("127.0.0.1").count();
        let expected = usize::from(["lines", "OTLP"].contains(where_to));
        assert_eq!(addresses, expected, "in {where_to}");
        assert!(!text.contains("argon2"), "a hash is in {where_to}");
    }
}

/// Has every route that writes fail by the server's fault, with secrets in its request.
async fn fail_at_everything(
    server: &Server,
    login: &Login,
    bodies: &[Option<Value>],
    headers: &[(&'static str, &'static str)],
) {
    let login = server.api().log_in(PLANTED[0], PLANTED[2]).await.unwrap_or_else(|_| login.clone());
    let options = SqliteConnectOptions::new().filename(server.database());
    let mut other = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let mut requests = JoinSet::new();
    for path in ["auth/register", "auth/login", "auth/refresh", "auth/logout", "communities"] {
        let body = json!({"username": "planted-user-2", "password": PLANTED[2]});
        let named = json!({"name": PLANTED[6]});
        for body in bodies.iter().cloned().chain([Some(body), Some(named)]) {
            let (api, headers) = (login.api.clone(), headers.to_vec());
            let path = format!("/api/v1/{path}");
            requests.spawn(async move {
                api.request(Method::POST, &path, body.as_ref(), &headers).await.map(|it| it.status)
            });
        }
    }
    while requests.join_next().await.is_some() {}
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
}
