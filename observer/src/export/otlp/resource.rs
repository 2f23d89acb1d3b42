//! Who the figures are about.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource as Encoded,
};

use super::environment::{Environment, EnvironmentError};

const SERVICE_NAME: &str = "service.name";
/// What of `OTEL_RESOURCE_ATTRIBUTES` is about the observer alone.
const OF_A_SERVICE: &str = "service.";

/// The observer and its host, and by the host's attributes any service on it.
#[derive(Clone, Debug)]
pub struct Resource {
    observer: BTreeMap<String, String>,
    host: BTreeMap<String, String>,
}

impl Resource {
    /// By `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`, of which the first wins.
    /// Attributes that begin with `service.` describe the observer, the others the host.
    /// `host_name` counts where the variable has none.
    ///
    /// # Errors
    /// When `OTEL_RESOURCE_ATTRIBUTES` is no list of `key=value`.
    pub fn new(
        environment: &Environment,
        host_name: Option<&str>,
    ) -> Result<Self, EnvironmentError> {
        let version = env!("CARGO_PKG_VERSION");
        let mut all =
            BTreeMap::from([(SERVICE_NAME, "observer"), ("service.version", version)].map(owned));
        all.extend(host_name.map(|name| owned(("host.name", name))));
        if let Some(attributes) = environment.get("OTEL_RESOURCE_ATTRIBUTES") {
            all.extend(attributes.pairs()?);
        }
        all.extend(
            environment.get("OTEL_SERVICE_NAME").map(|name| owned((SERVICE_NAME, name.value))),
        );
        let (observer, host) = all.into_iter().partition(|(key, _)| key.starts_with(OF_A_SERVICE));
        Ok(Self { observer, host })
    }

    /// That of `service`, or the observer's own.
    pub(super) fn of(&self, service: Option<&str>) -> Encoded {
        let named = service.map(|name| BTreeMap::from([owned((SERVICE_NAME, name))]));
        let service = named.as_ref().unwrap_or(&self.observer);
        let attributes =
            service.iter().chain(&self.host).map(|(key, value)| attribute(key, value)).collect();
        Encoded { attributes, ..Encoded::default() }
    }
}

fn owned((key, value): (&str, &str)) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

/// What measures.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "observer".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

/// An attribute that is a text, as all of a resource or a metric are.
pub(super) fn attribute(key: &str, value: &str) -> KeyValue {
    valued(key, Value::StringValue(value.to_owned()))
}

/// An attribute of any type.
pub(super) fn valued(key: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

#[cfg(test)]
mod tests {
    use super::{super::environment::tests::environment, *};

    fn attributes(variables: &[(&str, &str)], service: Option<&str>) -> Vec<(String, String)> {
        let resource = Resource::new(&environment(variables), Some("node-1")).unwrap();
        let text = |one: KeyValue| match one.value.unwrap().value {
            Some(Value::StringValue(value)) => (one.key, value),
            other => panic!("{other:?}"),
        };
        resource.of(service).attributes.into_iter().map(text).collect()
    }

    fn texts(all: &[(&str, &str)]) -> Vec<(String, String)> {
        all.iter().copied().map(owned).collect()
    }

    #[test]
    fn the_observer_is_named_by_the_environment_or_by_itself() {
        let version = ("service.version", env!("CARGO_PKG_VERSION"));
        let host = ("host.name", "node-1");
        let own = [("service.name", "observer"), version, host];
        assert_eq!(attributes(&[], None), texts(&own));
        let listed =
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=b,service.version=7,host.name=n%2F2");
        let found = [("service.name", "b"), ("service.version", "7"), ("host.name", "n/2")];
        assert_eq!(attributes(&[listed], None), texts(&found));
        let found = attributes(&[listed, ("OTEL_SERVICE_NAME", "c")], None);
        assert_eq!(found[0], owned(("service.name", "c")));
    }

    #[test]
    fn a_service_shares_the_hosts_attributes_and_not_the_observers() {
        let listed = ("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=1,deployment=test");
        let found = attributes(&[listed, ("OTEL_SERVICE_NAME", "c")], Some("nginx"));
        let expected = [("service.name", "nginx"), ("deployment", "test"), ("host.name", "node-1")];
        assert_eq!(found, texts(&expected));
    }

    #[test]
    fn what_is_no_list_is_named() {
        let wrong = environment(&[("OTEL_RESOURCE_ATTRIBUTES", "nothing")]);
        let said = Resource::new(&wrong, None).unwrap_err().to_string();
        assert!(said.starts_with("OTEL_RESOURCE_ATTRIBUTES: "), "{said}");
    }
}
