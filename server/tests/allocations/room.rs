//! A server in this process, and rooms of it.

use std::{future::pending, time::Instant};

use serde_json::json;
use tempfile::TempDir;
use tokio::{net::TcpListener, time::timeout};
use vc_bot::{Api, Gateway, Line};
use vc_server::{
    app::App,
    config::{Inputs, Severity},
    observability,
};

use crate::{HERE, PATIENCE};

/// It serves as long as the test lasts.
pub(crate) struct Server {
    host: String,
    _folder: TempDir,
}

/// What keeps people in it.
pub(crate) struct Room {
    _gateways: Vec<Gateway>,
}

impl Server {
    /// Begins to serve. Telemetry is on, though nobody takes it.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("vc-server.yaml");
        std::fs::write(&file, "otlp_endpoint: http://127.0.0.1:9\n").unwrap();
        let (mut config, _) = Inputs { file: Some(file), ..Inputs::default() }.load().unwrap();
        config.database = folder.path().join("vc.db");
        config.auth_attempts_per_minute = 100_000.try_into().unwrap();
        config.telemetry.enabled = true;
        config.telemetry.log = Severity::Error;
        config.voice.listen = (HERE, 0).into();
        let telemetry = observability::init(&config.telemetry, config.environment).unwrap();
        let listener = TcpListener::bind((HERE, 0)).await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let app = App::new(config, telemetry.metrics().clone()).await.unwrap();
        // To shut telemetry down would be to wait for a collector.
        std::mem::forget(telemetry);
        tokio::spawn(app.serve(listener, pending()));
        Self { host, _folder: folder }
    }

    /// A room with one who talks and so many who listen.
    pub(crate) async fn room(&self, listeners: usize) -> (Room, Vec<Line>) {
        let mut people = Vec::new();
        for number in 0..=listeners {
            let (api, name) = (Api::new(&self.host), format!("user-{number}-of-{listeners}"));
            api.register(&name, "a good password").await.unwrap();
            people.push(api.log_in(&name, "a good password").await.unwrap());
        }
        let first = &people[0].api;
        let community = json!({"name": "band"});
        let community = first.post("/api/v1/communities", &community).await.unwrap().body;
        let invitation = json!({"invite_code": community["invite_code"]});
        for login in &people[1..] {
            login.api.post("/api/v1/communities/join", &invitation).await.unwrap();
        }
        let path = format!("/api/v1/communities/{}/channels", community["id"]);
        let channel = json!({"name": "talk", "kind": "voice"});
        let channel = first.post(&path, &channel).await.unwrap().body["id"].as_i64().unwrap();

        let (mut gateways, mut lines) = (Vec::new(), Vec::<Line>::new());
        for login in people {
            let mut gateway = Gateway::connect(&self.host, &login.access_token, &[]).await.unwrap();
            gateway.identify().await.unwrap();
            let (mut line, sdp) = Line::offer(HERE, 1).unwrap();
            gateway
                .say(&json!({"op": "voice_join", "channel_id": channel, "sdp": sdp}))
                .await
                .unwrap();
            let joined = timeout(PATIENCE, gateway.wait_for("voice_joined")).await;
            let joined = joined.unwrap().unwrap();
            line.answer(joined["sdp"].as_str().unwrap()).unwrap();
            assert!(line.connect(Instant::now() + PATIENCE).unwrap(), "media connects");
            // Of oneself one hears last.
            let told = timeout(PATIENCE, gateway.wait_for("voice.joined")).await;
            assert_eq!(told.unwrap().unwrap()["data"]["user_id"], login.user);
            lines.push(line);
            lines.iter_mut().for_each(|line| line.step().unwrap());
            gateways.push(gateway);
        }
        (Room { _gateways: gateways }, lines)
    }
}
