//! Losing packets on purpose, and counting them.

use std::{io::Write as _, process::Stdio};

use super::namespace::Namespace;

/// A chain of rules in a namespace, and the two counters they may name: `seen`, and
/// `dropped` of what they send to the chain `lose`. It goes with the namespace.
#[derive(Debug)]
pub(crate) struct Firewall<'a> {
    namespace: &'a Namespace,
    family: &'static str,
}

impl<'a> Firewall<'a> {
    /// Puts rules into a hook of `namespace`: `output`, where the sender is told;
    /// `egress device …`, where it is not; `prerouting`, before anyone here.
    pub(crate) fn new(namespace: &'a Namespace, hook: &str, rules: &[String]) -> Self {
        let family = if hook.starts_with("egress") { "netdev" } else { "inet" };
        let firewall = Self { namespace, family };
        firewall.tell(&format!(
            "table {family} test {{ counter seen {{ }}; counter dropped {{ }}; \
             chain lose {{ counter name dropped drop; }}; \
             chain rules {{ type filter hook {hook} priority 0; {} }}; }}",
            rules.iter().map(|rule| format!("{rule};")).collect::<String>()
        ));
        firewall
    }

    /// Packets that a counter has counted.
    pub(crate) fn count(&self, counter: &str) -> u64 {
        let text = self.namespace.run(&["nft", "list", "counter", self.family, "test", counter]);
        let mut words = text.split_whitespace().skip_while(|word| *word != "packets");
        words.nth(1).and_then(|word| word.parse().ok()).expect("nft names the packets of a counter")
    }

    fn tell(&self, script: &str) {
        let mut command = self.namespace.command("nft");
        let mut nft = command.args(["-f", "-"]).stdin(Stdio::piped()).spawn().expect("nft starts");
        let mut input = nft.stdin.take().expect("it was piped");
        input.write_all(script.as_bytes()).expect("nft reads");
        drop(input);
        let status = nft.wait().expect("a child can be waited for");
        assert!(status.success(), "nft refused: {script}");
    }
}
