use std::sync::Arc;

use super::*;
use crate::model::Place;

fn targets(json: serde_json::Value) -> Targets {
    serde_json::from_value(json).unwrap()
}

fn owner(executable: &str, cgroup: &str) -> Owner {
    Owner {
        pid: 1,
        comm: "asterisk".to_owned(),
        executable: Some(executable.into()),
        place: Place::of(cgroup),
        ..Owner::default()
    }
}

const VOICE: Subject<'static> = Subject {
    traffic: Traffic::Voice,
    role: Role::Unknown,
    local_port: Some(10_000),
    remote_port: Some(20_000),
    owner: None,
};
const SERVER: Subject<'static> = Subject {
    traffic: Traffic::Tcp,
    role: Role::Server,
    local_port: Some(443),
    remote_port: Some(50_000),
    owner: None,
};
const CLIENT: Subject<'static> =
    Subject { role: Role::Client, local_port: Some(50_000), remote_port: Some(443), ..SERVER };

/// Whether these are watched: voice, a server's connection, a client's, one of unknown role.
fn watched(targets: &Targets) -> [bool; 4] {
    let selection = targets.select().unwrap();
    let unknown = Subject { role: Role::Unknown, ..SERVER };
    [VOICE, SERVER, CLIENT, unknown].map(|subject| selection.decide(&subject).is_some())
}

#[test]
fn without_rules_voice_and_what_listens_is_watched() {
    assert_eq!(watched(&Targets::default()), [true, true, false, false]);
    assert_eq!(watched(&targets(serde_json::json!({"include": []}))), [false; 4]);
    assert_eq!(watched(&targets(serde_json::json!({"include": [{}]}))), [true; 4]);
}

#[test]
fn ports_are_those_of_the_server() {
    for (ports, expected) in [
        (serde_json::json!(443), [false, true, true, true]),
        (serde_json::json!("400-500"), [false, true, true, true]),
        (serde_json::json!("10000"), [true, false, false, false]),
        (serde_json::json!(50000), [false; 4]),
    ] {
        let targets = targets(serde_json::json!({"include": [{"port": ports}]}));
        assert_eq!(watched(&targets), expected, "{targets:?}");
        let again = serde_json::to_value(&targets).unwrap();
        assert_eq!(self::targets(again), targets);
    }
    for wrong in ["0", "70000", "9-3", "", "a", "-", "1-", "1-70000"] {
        assert!(wrong.parse::<Ports>().is_err(), "{wrong}");
    }
}

#[test]
fn exclusion_goes_before_inclusion_and_the_first_rule_names() {
    let targets = targets(serde_json::json!({
        "include": [
            {"executable": "/usr/sbin/*", "service": "pbx"},
            {"executable": "/usr/**", "service": "other"},
            {"traffic": "voice"},
        ],
        "exclude": [{"unit": "ssh*.service"}],
    }));
    let selection = targets.select().unwrap();
    let decide = |executable: &str, cgroup: &str| {
        let owner = owner(executable, cgroup);
        let subject = Subject { owner: Some(&owner), ..SERVER };
        selection.decide(&subject).map(|name| name.map(str::to_owned))
    };
    let named = |name: &str| Some(Some(name.to_owned()));
    assert_eq!(decide("/usr/sbin/asterisk", "/"), named("pbx"));
    assert_eq!(decide("/usr/sbin/deep/er", "/"), named("other"));
    assert_eq!(decide("/opt/x", "/"), None);
    assert_eq!(decide("/usr/sbin/sshd", "/system.slice/sshd.service"), None);
    assert_eq!(selection.decide(&VOICE), Some(None));
}

#[test]
fn every_condition_counts() {
    let id = "3f2a9c4b5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708";
    let pod = "/kubepods.slice/kubepods-pod8a4b1c2d3e4f4a5b8c6d7e8f9a0b1c2d.slice";
    let labels = Arc::new(BTreeMap::from([("app".to_owned(), "chat/sfu".to_owned())]));
    let inside = owner("/bin/sfu", &format!("{pod}/cri-containerd-{id}.scope"));
    let inside = Owner { labels, ..inside };
    let outside = owner("/bin/sfu", "/system.slice/sfu.service");
    for (rule, inside_matches, outside_matches) in [
        (serde_json::json!({"container": "3f2a*"}), true, false),
        (serde_json::json!({"container": "4f2a*"}), false, false),
        (serde_json::json!({"pod_uid": "8a4b*"}), true, false),
        (serde_json::json!({"labels": {"app": "chat/*"}}), true, false),
        (serde_json::json!({"labels": {"app": "chat*"}}), false, false),
        (serde_json::json!({"labels": {"app": "**", "tier": "**"}}), false, false),
        (serde_json::json!({"cgroup": "/kubepods.slice/**"}), true, false),
        (serde_json::json!({"cgroup": "/system.slice/*"}), false, true),
        (serde_json::json!({"unit": "sfu.service"}), false, true),
        (serde_json::json!({"comm": "aster*", "executable": "/bin/*"}), true, true),
        (serde_json::json!({"comm": "aster*", "executable": "/sbin/*"}), false, false),
        (serde_json::json!({"traffic": "tcp", "comm": "aster*"}), false, false),
        (serde_json::json!({"role": "server"}), false, false),
    ] {
        let selection = targets(serde_json::json!({"include": [&rule]})).select().unwrap();
        let is_watched =
            |owner| selection.decide(&Subject { owner: Some(owner), ..VOICE }).is_some();
        let found = (is_watched(&inside), is_watched(&outside));
        assert_eq!(found, (inside_matches, outside_matches), "{selection:?}");
        assert_eq!(selection.asks_for_labels(), rule.get("labels").is_some());
    }
}

#[test]
fn what_can_only_be_a_mistake_is_refused() {
    for (json, says) in [
        (serde_json::json!({"include": [{"unit": "a[b"}]}), "`unit: a[b` is no glob"),
        (serde_json::json!({"include": [{"labels": {"a": "b[c"}}]}), "`labels: b[c` is no glob"),
        (serde_json::json!({"exclude": [{}]}), "nothing to watch"),
        (serde_json::json!({"exclude": [{"port": 1, "service": "x"}]}), "`service: x`"),
        (serde_json::json!({"include": [{"service": " "}]}), "`service:` is empty"),
        (serde_json::json!({"include": [{"traffic": "voice", "role": "client"}]}), "`role`"),
    ] {
        let error = targets(json).select().unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}
