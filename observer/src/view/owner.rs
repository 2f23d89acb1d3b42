//! Whose a socket is, in words.

use crate::export::snapshot::Process;

/// The service, and its process where one is known: `chat (node 4711)`.
pub(super) fn owner(service: Option<&str>, process: Option<&Process>) -> Option<String> {
    let process = process.map(|process| format!("{} {}", process.comm, process.pid));
    match (service, process) {
        (Some(service), Some(process)) => Some(format!("{service} ({process})")),
        (service, process) => service.map(str::to_owned).or(process),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_said() {
        let process = Process { pid: 4711, comm: "node".to_owned(), ..Process::default() };
        let said = |service, process| owner(service, process).unwrap_or_default();
        assert_eq!(said(Some("chat"), Some(&process)), "chat (node 4711)");
        assert_eq!(said(Some("unknown_service"), None), "unknown_service");
        assert_eq!(said(None, Some(&process)), "node 4711");
        assert_eq!(owner(None, None), None);
    }
}
