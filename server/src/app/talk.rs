//! A page on which people talk: files that are built in, and served as they are.

use axum::{
    Router,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
            REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::IntoResponse as _,
    routing::{MethodRouter, get},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// Its own script and style, its own server, and nothing else. A form that the script does
/// not take is not sent, so no password comes into an address. The gateway is named by
/// scheme, because not every browser takes `'self'` for a WebSocket's.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self' ws: wss:; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Whom browsers let use the microphone here.
const PERMISSIONS: (&str, &str) = ("permissions-policy", "microphone=(self), camera=()");

/// The routes of the page.
pub(super) fn routes() -> Router {
    Router::new()
        .route("/talk", file(HTML, include_str!("talk/index.html")))
        .route("/talk/talk.css", file(STYLE, include_str!("talk/talk.css")))
        .route("/talk/talk.js", file(SCRIPT, include_str!("talk/talk.js")))
        .route("/talk/words.js", file(SCRIPT, include_str!("talk/words.js")))
        .route("/talk/api.js", file(SCRIPT, include_str!("talk/api.js")))
        .route("/talk/gateway.js", file(SCRIPT, include_str!("talk/gateway.js")))
        .route("/talk/call.js", file(SCRIPT, include_str!("talk/call.js")))
}

/// Browsers ask each time whether they have it: the files of one page are of one version.
fn file(kind: &'static str, text: &'static str) -> MethodRouter {
    let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(text));
    let tag = format!("\"{digest}\"");
    get(async move |asked: HeaderMap| {
        let is_had = asked.get_all(IF_NONE_MATCH).iter().any(|had| names(had, &tag));
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static(kind)),
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            (HeaderName::from_static(PERMISSIONS.0), HeaderValue::from_static(PERMISSIONS.1)),
        ];
        let (status, text) =
            if is_had { (StatusCode::NOT_MODIFIED, "") } else { (StatusCode::OK, text) };
        let mut response = (status, headers, text).into_response();
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            response.headers_mut().insert(ETAG, tag);
        }
        response
    })
}

/// Whether a list of tags has this one (RFC 9110, 13.1.2). A proxy that compresses makes
/// it a weak one.
fn names(list: &HeaderValue, tag: &str) -> bool {
    let list = list.to_str().unwrap_or_default();
    list.split(',').any(|one| one.trim().trim_start_matches("W/") == tag)
}
