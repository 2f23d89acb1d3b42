//! Calls between two people.

use hyper::StatusCode;
use serde_json::json;
use vc_bot::{Answer, Login};

use crate::peers::{
    band::{connect, dm, listen},
    server::Server,
};

async fn call(login: &Login, channel: i64, what: &str) -> Answer {
    login.api.act(&format!("/api/v1/dms/{channel}/call{what}")).await.unwrap()
}

#[tokio::test]
async fn a_call_rings_is_answered_and_ends_when_both_have_left() {
    let server = Server::start();
    let [ada, bob] = [server.user("ada").await, server.user("bob").await];
    let channel = dm(&ada, "bob").await;
    let mut of_bob = listen(&server, &bob).await;
    assert_eq!(call(&bob, channel, "/join").await.status, StatusCode::NOT_FOUND);
    let started = call(&ada, channel, "").await;
    assert_eq!(started.status, StatusCode::CREATED);
    let expected = json!({
        "channel_id": channel, "caller_id": ada.user, "state": "ringing", "participants": [ada.user]
    });
    assert_eq!(started.body, expected);
    let rings = of_bob.wait_for("call.ringing").await.unwrap();
    assert_eq!(rings["data"]["user_id"], ada.user);
    // Who comes while it rings is told at once.
    let mut late = connect(&server, &bob).await;
    late.say(&json!({"op": "identify"})).await.unwrap();
    assert_eq!(late.wait_for("ready").await.unwrap()["calls"], json!([expected]));
    for login in [&ada, &bob] {
        assert_eq!(call(login, channel, "").await.status, StatusCode::CONFLICT, "there is one");
    }
    let joined = call(&bob, channel, "/join").await;
    assert_eq!((joined.status, &joined.body["state"]), (StatusCode::OK, &json!("active")));
    assert_eq!(joined.body["participants"], json!([ada.user, bob.user]));
    assert_eq!(call(&bob, channel, "/join").await.status, StatusCode::CONFLICT);
    assert_eq!(call(&bob, channel, "/decline").await.status, StatusCode::CONFLICT);
    assert_eq!(call(&ada, channel, "/leave").await.status, StatusCode::NO_CONTENT);
    assert_eq!(call(&ada, channel, "/leave").await.status, StatusCode::CONFLICT);
    assert_eq!(call(&ada, channel, "/join").await.status, StatusCode::OK, "one may come back");
    for login in [&bob, &ada] {
        assert_eq!(call(login, channel, "/leave").await.status, StatusCode::NO_CONTENT);
    }
    let ended = of_bob.wait_for("call.ended").await.unwrap();
    assert_eq!(ended["data"]["reason"], "left");
    let path = format!("/api/v1/dms/{channel}/call");
    assert_eq!(bob.api.get(&path).await.unwrap().status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_call_is_declined_cancelled_or_times_out() {
    let server = Server::with(&[("VC_RING_TIMEOUT", "1s")]);
    let [ada, bob] = [server.user("ada").await, server.user("bob").await];
    let channel = dm(&ada, "bob").await;
    let mut of_ada = listen(&server, &ada).await;
    let mut reasons = Vec::new();
    for (who, what) in [(&bob, "/decline"), (&ada, "/leave"), (&ada, "")] {
        assert_eq!(call(&ada, channel, "").await.status, StatusCode::CREATED);
        assert_eq!(call(&ada, channel, "/decline").await.status, StatusCode::FORBIDDEN);
        if !what.is_empty() {
            assert_eq!(call(who, channel, what).await.status, StatusCode::NO_CONTENT);
        }
        let ended = of_ada.wait_for("call.ended").await.unwrap();
        reasons.push(ended["data"]["reason"].as_str().unwrap().to_owned());
    }
    assert_eq!(reasons, ["declined", "cancelled", "timed_out"]);
}

#[tokio::test]
async fn who_stays_alone_is_not_kept_waiting_for_ever() {
    let server = Server::with(&[("VC_RING_TIMEOUT", "1s"), ("VC_RESUME_WINDOW", "0s")]);
    let [ada, bob] = [server.user("ada").await, server.user("bob").await];
    let channel = dm(&ada, "bob").await;
    let mut of_ada = listen(&server, &ada).await;
    let of_bob = listen(&server, &bob).await;
    call(&ada, channel, "").await;
    call(&bob, channel, "/join").await;
    // Bob's client is gone for good, without a word.
    drop(of_bob);
    let left = of_ada.wait_for("call.left").await.unwrap();
    assert_eq!(left["data"]["user_id"], bob.user);
    assert_eq!(of_ada.wait_for("call.ended").await.unwrap()["data"]["reason"], "left");
}

#[tokio::test]
async fn who_closes_the_last_client_is_in_no_call() {
    let server = Server::start();
    let [ada, bob] = [server.user("ada").await, server.user("bob").await];
    let channel = dm(&ada, "bob").await;
    let sessions = [listen(&server, &ada).await, listen(&server, &bob).await];
    call(&ada, channel, "").await;
    call(&bob, channel, "/join").await;
    for session in sessions {
        session.close().await.unwrap();
    }
    let path = format!("/api/v1/dms/{channel}/call");
    let gone = async {
        while ada.api.get(&path).await.unwrap().status == StatusCode::OK {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), gone).await.expect("it ends");
    assert_eq!(call(&ada, channel, "").await.status, StatusCode::CREATED);
}
