//! Who takes what Sentry's client sends, as it is.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{Json, Router, body::Bytes, extract::State, routing::post};
use serde_json::{Value, json};

/// Envelopes, one after the other.
#[derive(Clone, Default)]
pub(crate) struct Envelopes(Arc<Mutex<Vec<u8>>>);

impl Envelopes {
    /// Within a runtime; says the DSN that leads here.
    pub(crate) async fn take() -> (Self, String) {
        let kept = Self::default();
        let router =
            Router::new().route("/api/{project}/envelope/", post(keep)).with_state(kept.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (kept, format!("http://0123456789abcdef0123456789abcdef@{address}/1"))
    }

    pub(crate) fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept).into_owned()
    }
}

async fn keep(State(kept): State<Envelopes>, body: Bytes) -> Json<Value> {
    kept.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&body);
    Json(json!({}))
}
