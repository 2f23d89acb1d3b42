//! Errors and panics: to the log, and to Sentry where it is configured.

use std::{borrow::Cow, panic, sync::Arc};

use sentry::{
    ClientInitGuard, ClientOptions,
    protocol::{Event, Exception, Frame, Level, Map, Stacktrace, Values},
};

use super::{contract::Carrier, tracing::LOG};
use crate::config::{Environment, Telemetry};

/// Starts Sentry's client, which sends what it holds when this goes.
pub(super) fn start(config: &Telemetry, environment: Environment) -> Option<ClientInitGuard> {
    // The default hook prints what a panic says, and Sentry's would call it.
    panic::set_hook(Box::new(|_| {}));
    let dsn = config.sentry_dsn.as_ref()?.expose().parse().ok()?;
    let mut options = ClientOptions::default();
    options.dsn = Some(dsn);
    options.release = Some(super::VERSION.into());
    options.environment = Some(environment.name().into());
    options.send_default_pii = false;
    options.max_breadcrumbs = 0;
    options.in_app_include = vec![env!("CARGO_CRATE_NAME")];
    options.before_send = Some(Arc::new(|event| Some(clean(event))));
    Some(sentry::init(options))
}

/// What is left of an event: see the contract's section on Sentry.
fn clean(event: Event<'static>) -> Event<'static> {
    let exceptions = event.exception.values.into_iter().map(|one| Exception {
        ty: one.ty,
        // What a panic says may be what a user sent.
        value: None,
        stacktrace: one.stacktrace.map(clean_stack),
        mechanism: one.mechanism.map(|mut mechanism| {
            mechanism.data = Map::new();
            mechanism.description = None;
            mechanism
        }),
        ..Exception::default()
    });
    let tags = event.tags.into_iter().filter(|(name, _)| Carrier::Sentry.allows(name));
    Event {
        event_id: event.event_id,
        level: event.level,
        timestamp: event.timestamp,
        platform: event.platform,
        release: event.release,
        environment: event.environment,
        exception: Values { values: exceptions.collect() },
        tags: tags.collect(),
        sdk: event.sdk,
        ..Event::default()
    }
}

/// Functions, files and lines. No address: it tells how to attack this very process.
fn clean_stack(trace: Stacktrace) -> Stacktrace {
    let frames = trace.frames.into_iter().map(|one| Frame {
        function: one.function,
        package: one.package,
        filename: one.filename,
        abs_path: one.abs_path,
        lineno: one.lineno,
        in_app: one.in_app,
        ..Frame::default()
    });
    Stacktrace { frames: frames.collect(), ..Stacktrace::default() }
}

/// Tells of an error of the server: its type, and of which request.
pub(crate) fn report(
    kind: &'static str,
    request: impl IntoIterator<Item = (&'static str, String)>,
) {
    tracing::error!(target: LOG, event = "server.error", outcome = "error", error.type = kind, "the server failed a request");
    if !sentry::Hub::current().client().is_some_and(|client| client.is_enabled()) {
        return;
    }
    // Without a stack: it would be that of whoever tells, and take longer than the request.
    let exception = Exception { ty: kind.to_owned(), ..Exception::default() };
    let mut tags: Map<_, _> =
        request.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    tags.insert("error.type".to_owned(), kind.to_owned());
    tags.insert("outcome".to_owned(), "error".to_owned());
    sentry::capture_event(Event {
        level: Level::Error,
        exception: vec![exception].into(),
        tags,
        platform: Cow::Borrowed("native"),
        ..Event::default()
    });
}

/// Logs where code panics, not what it says, and has Sentry hear of it if it listens.
pub(super) fn log_panics() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let (file, line) = info.location().map_or(("", 0), |at| (at.file(), at.line()));
        tracing::error!(target: LOG, event = "server.panic", outcome = "error", code.file.path = file, code.line.number = line, "the server's code panicked");
        previous(info);
    }));
}

#[cfg(test)]
mod tests {
    use sentry::protocol::{Breadcrumb, Mechanism, Request, User};
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn nothing_is_left_of_an_event_but_what_the_contract_names() {
        let frame = Frame {
            function: Some("vc_server::chat::messages::keep".to_owned()),
            filename: Some("messages.rs".to_owned()),
            lineno: Some(7),
            context_line: Some("planted".to_owned()),
            vars: [("planted".to_owned(), json!("planted"))].into(),
            instruction_addr: Some(1.into()),
            ..Frame::default()
        };
        let panic = Exception {
            ty: "panic".to_owned(),
            value: Some("planted".to_owned()),
            module: Some("planted".to_owned()),
            stacktrace: Some(Stacktrace { frames: vec![frame], ..Stacktrace::default() }),
            mechanism: Some(Mechanism {
                ty: "panic".to_owned(),
                description: Some("planted".to_owned()),
                data: [("planted".to_owned(), json!("planted"))].into(),
                ..Mechanism::default()
            }),
            ..Exception::default()
        };
        let planted = || Some("planted".to_owned());
        let event = Event {
            message: planted(),
            transaction: planted(),
            server_name: Some("planted".into()),
            logger: planted(),
            culprit: planted(),
            user: Some(User { username: planted(), ..User::default() }),
            request: Some(Request { data: planted(), ..Request::default() }),
            breadcrumbs: vec![Breadcrumb { message: planted(), ..Breadcrumb::default() }].into(),
            extra: [("planted".to_owned(), json!("planted"))].into(),
            tags: [
                ("planted".to_owned(), "x".to_owned()),
                ("outcome".to_owned(), "error".to_owned()),
            ]
            .into(),
            exception: vec![panic].into(),
            release: Some("1".into()),
            environment: Some("staging".into()),
            ..Event::default()
        };
        let left = serde_json::to_value(clean(event)).unwrap();
        assert!(!left.to_string().contains("planted"), "{left:#}");
        let exception = &left["exception"]["values"][0];
        let frame = json!({"function": "vc_server::chat::messages::keep", "filename": "messages.rs", "lineno": 7});
        assert_eq!(exception["stacktrace"]["frames"][0], frame);
        assert_eq!((&exception["type"], &exception["value"]), (&json!("panic"), &Value::Null));
        assert_eq!(left["tags"], json!({"outcome": "error"}));
        assert_eq!((&left["release"], &left["environment"]), (&json!("1"), &json!("staging")));
    }
}
