//! The page to talk on, as browsers get it.

use hyper::{Method, StatusCode};

use crate::peers::server::Server;

const FILES: [(&str, &str); 7] = [
    ("/talk", "text/html; charset=utf-8"),
    ("/talk/talk.css", "text/css; charset=utf-8"),
    ("/talk/talk.js", "text/javascript; charset=utf-8"),
    ("/talk/words.js", "text/javascript; charset=utf-8"),
    ("/talk/api.js", "text/javascript; charset=utf-8"),
    ("/talk/gateway.js", "text/javascript; charset=utf-8"),
    ("/talk/call.js", "text/javascript; charset=utf-8"),
];

#[tokio::test]
async fn the_page_is_served_with_rules_for_what_it_may_do() {
    let server = Server::start();
    for (path, kind) in FILES {
        let answer = server.api().request(Method::GET, path, None, &[]).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        let header = |name: &str| answer.headers[name].to_str().unwrap();
        assert_eq!(header("content-type"), kind, "{path}");
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; "), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert!(policy.contains("form-action 'none'"), "no password in an address: {policy}");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert!(header("permissions-policy").contains("microphone=(self)"));
        let again = |tag: String| {
            let api = server.api();
            async move {
                let headers = [("if-none-match", tag.as_str())];
                let answer = api.request(Method::GET, path, None, &headers).await.unwrap();
                answer.status
            }
        };
        assert_eq!(header("cache-control"), "no-cache", "versions are not mixed");
        let tag = header("etag").to_owned();
        assert_eq!(again(format!("\"other\", W/{tag}")).await, StatusCode::NOT_MODIFIED);
        assert_eq!(again("\"other\"".to_owned()).await, StatusCode::OK);
    }
    let wrong = server.api().request(Method::POST, "/talk", None, &[]).await.unwrap();
    assert_eq!(wrong.status, StatusCode::METHOD_NOT_ALLOWED);
    // Its requests are told of as others are, by route.
    let routes = server.lines().into_iter().map(|line| line["http.route"].clone());
    assert_eq!(routes.filter(|route| route == "/talk/call.js").count(), 3);
}
