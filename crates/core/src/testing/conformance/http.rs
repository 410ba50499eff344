//! What every HTTP adapter must do.

use std::time::Duration;

use crate::error::Kind;
use crate::port::{Http, HttpRequest, Method};

/// Addresses that the caller's server answers.
#[derive(Clone, Debug)]
pub struct HttpPlaces {
    /// 200, the body `ok`, and a header `X-Pleach: Yes`.
    pub fine: String,
    /// 404.
    pub absent: String,
    /// 302 to `fine`.
    pub moved: String,
    /// Answers 200 with `METHOD BODY` and the value of the request's header `x-sent` behind it, with a space between.
    pub echo: String,
    /// Accepts the connection and never answers.
    pub silent: String,
    /// Nothing listens there.
    pub refused: String,
}

/// Runs the suite.
pub async fn http(http: &dyn Http, places: &HttpPlaces) {
    let limit = Duration::from_secs(10);
    let get = |url: &str| HttpRequest::new(Method::Get, url, limit);
    let fine = http.send(&get(&places.fine)).await.expect("a server answers");
    assert_eq!((fine.status, fine.body.as_slice()), (200, b"ok".as_slice()));
    let header = fine.headers.iter().find(|(name, _)| name == "x-pleach");
    assert_eq!(header.map(|(_, value)| value.as_str()), Some("Yes"), "names of headers are in lower case");
    assert!(fine.elapsed <= limit);
    let absent = http.send(&get(&places.absent)).await.expect("an answer of any status is an answer");
    assert_eq!(absent.status, 404);
    let moved = http.send(&get(&places.moved)).await.expect("a redirect is an answer");
    assert_eq!(moved.status, 302, "a redirect is not followed");
    for method in [Method::Post, Method::Put, Method::Patch, Method::Delete] {
        let mut request = HttpRequest::new(method, &places.echo, limit);
        request.headers.push(("x-sent".into(), "header".into()));
        request.body = b"body".to_vec();
        let echo = http.send(&request).await.expect("a server answers");
        assert_eq!(String::from_utf8_lossy(&echo.body), format!("{} body header", method.as_str()));
    }
    let head = http.send(&HttpRequest::new(Method::Head, &places.fine, limit)).await.expect("a server answers");
    assert_eq!((head.status, head.body.len()), (200, 0), "an answer to HEAD has no body");
    let refused = http.send(&get(&places.refused)).await.expect_err("nobody answers");
    assert_eq!(refused.kind, Kind::Transient, "a refused connection has changed nothing: {refused:?}");
    let short = HttpRequest::new(Method::Get, &places.silent, Duration::from_millis(300));
    let begin = tokio::time::Instant::now();
    let silent = http.send(&short).await.expect_err("nobody answers");
    assert!(begin.elapsed() < Duration::from_secs(5), "a request ends at its time limit");
    assert!(matches!(silent.kind, Kind::UnknownOutcome | Kind::Transient), "{silent:?}");
    let wrong = http.send(&get("not a url")).await.expect_err("that is no address");
    assert!(matches!(wrong.kind, Kind::Rejected | Kind::Internal | Kind::Unsupported), "{wrong:?}");
}
