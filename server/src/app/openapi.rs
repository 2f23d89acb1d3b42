//! The REST API's description.

use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::router::OpenApiRouter;

use crate::{auth, chat, voice, ws};

#[derive(OpenApi)]
#[openapi(
    info(title = "vc-server", description = "Chat and voice for communities, and calls that ring. What happens is told over the gateway, a WebSocket."),
    modifiers(&Token),
    tags(
        (name = "auth", description = "Accounts and logins"),
        (name = "chat", description = "Communities, channels, messages"),
        (name = "voice", description = "Calls between two people, and rooms"),
        (name = "gateway", description = "What happens, as it happens")
    )
)]
struct Api;

struct Token;

impl Modify for Token {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// Where the routes are added.
pub(super) fn router() -> OpenApiRouter {
    OpenApiRouter::with_openapi(Api::openapi())
}

/// The whole description, in JSON.
///
/// # Errors
/// When it cannot be written.
pub fn description() -> serde_json::Result<String> {
    let mut api = Api::openapi();
    api.merge(auth::routes().into_openapi());
    api.merge(chat::routes().into_openapi());
    api.merge(voice::routes().into_openapi());
    api.merge(ws::routes().into_openapi());
    Ok(api.to_pretty_json()? + "\n")
}
