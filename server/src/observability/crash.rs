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
    let dsn = config.sentry_dsn.as_ref()?.expose().parse().ok()?;
    let mut options = ClientOptions::default();
    options.dsn = Some(dsn);
    options.release = Some(super::VERSION.into());
    options.environment = Some(environment.name().into());
    options.send_default_pii = false;
    options.max_breadcrumbs = 0;
    options.attach_stacktrace = true;
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
    // To name the functions of a stack takes more than a second at first.
    if !sentry::Hub::current().client().is_some_and(|client| client.is_enabled()) {
        return;
    }
    let exception = Exception {
        ty: kind.to_owned(),
        stacktrace: sentry::integrations::backtrace::current_stacktrace(),
        ..Exception::default()
    };
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

/// Logs where code panics, not what it says. Whatever else listened to panics, but for
/// the default that prints them, goes on to.
pub(super) fn log_panics(has_sentry: bool) {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let (file, line) = info.location().map_or(("", 0), |at| (at.file(), at.line()));
        tracing::error!(target: LOG, event = "server.panic", outcome = "error", code.file.path = file, code.line.number = line, "the server's code panicked");
        if has_sentry {
            previous(info);
        }
    }));
}
