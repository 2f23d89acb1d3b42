//! What Sentry gets of an error of the server, with Bugsink in its place.

use std::{collections::BTreeSet, time::Duration};

use hyper::StatusCode;
use serde_json::{Value, json};
use vc_bot::Login;

use crate::peers::{bugsink::Bugsink, server::Server, writer::Writer};

/// Longer than the server waits for whoever writes.
const TOO_LONG: Duration = Duration::from_secs(8);

/// What users say, none of which may arrive.
const NAME: &str = "zq-secret-name";
const EMAIL: &str = "zq-secret@mail.example";
const MESSAGE: &str = "zq secret message";
const COMMUNITY: &str = "zq secret community";
const PASSWORD: &str = "zq secret password";
const AGENT: &str = "zq-secret-agent";

fn server(dsn: &[(&str, &str)]) -> Server {
    let variables = [
        ("VC_ENVIRONMENT", "staging"),
        ("VC_JWT_SECRET", "zq-secret-of-32-bytes-and-some-more"),
        ("OBSERVABILITY_ENABLED", "false"),
    ];
    Server::with(&[&variables[..], dsn].concat())
}

/// Somebody who has said what is nobody else's to know.
async fn talker(server: &Server) -> Login {
    let api = server.api();
    let account = json!({"username": NAME, "email": EMAIL, "password": PASSWORD});
    let made = api.post("/api/v1/auth/register", &account).await.unwrap();
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let login = api.log_in(NAME, PASSWORD).await.unwrap();
    let community = json!({"name": COMMUNITY});
    let made = login.api.post("/api/v1/communities", &community).await.unwrap().body;
    let channels = format!("/api/v1/communities/{}/channels", made["id"]);
    let channel = login.api.get(&channels).await.unwrap().body[0]["id"].clone();
    let messages = format!("/api/v1/channels/{channel}/messages");
    let sent = login.api.post(&messages, &json!({"content": MESSAGE})).await.unwrap();
    assert_eq!(sent.status, StatusCode::CREATED, "{}", sent.body);
    login
}

/// Has the server fail a request; its id.
async fn fail(server: &Server, who: &Login) -> String {
    let writer = Writer::at(server.database()).await;
    let body = json!({"name": COMMUNITY});
    let headers = [("user-agent", AGENT), ("baggage", "who=zq-secret-baggage")];
    let path = "/api/v1/communities?zq-secret=query";
    let request = who.api.request(hyper::Method::POST, path, Some(&body), &headers);
    let failed = tokio::time::timeout(TOO_LONG + Duration::from_secs(20), request).await;
    let failed = failed.expect("it gives up").unwrap();
    writer.leave().await;
    assert_eq!(failed.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(failed.body["code"], "database_busy");
    failed.headers["x-request-id"].to_str().unwrap().to_owned()
}

fn keys(of: &Value) -> BTreeSet<&str> {
    of.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn an_error_of_the_server_reaches_sentry_and_no_word_of_a_user_does() {
    let test = "an_error_of_the_server_reaches_sentry_and_no_word_of_a_user_does";
    let Some(bugsink) = Bugsink::start(test).await else { return };
    let (told, silent) = (server(&[("SENTRY_DSN", bugsink.dsn())]), server(&[]));
    let (ada, bob) = tokio::join!(talker(&told), talker(&silent));
    // Refused, which is no error of the server.
    let nobody = json!({"username": NAME, "password": "zq secret guess"});
    let refused = told.api().post("/api/v1/auth/login", &nobody).await.unwrap();
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let (request, other) = tokio::join!(fail(&told, &ada), fail(&silent, &bob));
    for (server, request) in [(told, &request), (silent, &other)] {
        let ended = server.stop();
        assert!(ended.status.success(), "{:?} {}", ended.status, ended.errors);
        let errors: Vec<_> =
            ended.lines.iter().filter(|line| line["event"] == "server.error").collect();
        assert_eq!(errors.len(), 1, "{errors:#?}");
        assert_eq!(errors[0]["error.type"], "database_busy");
        assert_eq!(errors[0]["request_id"], request.as_str());
    }

    let events = bugsink.events(1).await;
    assert_eq!(events.len(), 1, "one failed that has a DSN: {events:#?}");
    let event = &events[0]["data"];
    let allowed = BTreeSet::from([
        "environment",
        "event_id",
        "exception",
        "platform",
        "release",
        "sdk",
        "tags",
        "timestamp",
    ]);
    // Neither `server_name` nor `user`, `request`, `breadcrumbs`, `message`, `contexts`.
    assert_eq!(keys(event), allowed);
    assert_eq!(event["release"], env!("CARGO_PKG_VERSION"));
    assert_eq!(event["environment"], "staging");
    let tags = json!({
        "error.type": "database_busy",
        "http.request.method": "POST",
        "http.response.status_code": "503",
        "http.route": "/api/v1/communities",
        "outcome": "error",
        "request_id": request,
    });
    assert_eq!(event["tags"], tags);
    let exceptions = event["exception"]["values"].as_array().unwrap();
    assert_eq!(exceptions.len(), 1);
    assert_eq!(keys(&exceptions[0]), ["type"].into(), "no value, no message");
    assert_eq!(exceptions[0]["type"], "database_busy");
    let text = events[0].to_string();
    let secrets = [&ada.access_token, &ada.refresh_token, &bob.access_token, &other];
    for secret in secrets.into_iter().map(String::as_str).chain(["zq-secret", "zq secret"]) {
        assert!(!text.contains(secret), "{secret} in {text}");
        for (file, bytes) in bugsink.kept() {
            let is_there = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!is_there, "{secret} in {}", file.display());
        }
    }
    println!("one event of {} bytes", text.len());
}
