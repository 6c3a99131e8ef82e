//! What a request is for, and whether it may be answered. PURE.
//!
//! A page in a browser can have it send requests to addresses of this machine. What is told is no secret, so that only
//! what changes something needs to be kept from it. Browsers say who asks (`Origin`, `Sec-Fetch-Site`, `Referer`), and
//! whatever name leads here: a name of the page's own that resolves to this address would be in `Host`.

use http::header::{HOST, ORIGIN, REFERER};
use http::{HeaderMap, Method, StatusCode};
use std::net::IpAddr;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Whether the cluster works.
    Health,
    /// All that is measured.
    Metrics,
    /// The end of the run.
    Stop,
    /// Nothing: it is refused, with these words.
    Refused(StatusCode, &'static str),
    /// A path that is there, with another method: this one is right.
    Method(&'static str),
}

/// What is meant by a request of this method, for this path, with these headers.
pub fn route(method: &Method, path: &str, headers: &HeaderMap) -> Route {
    let looks = matches!(*method, Method::GET | Method::HEAD);
    match path {
        "/healthz" if looks => Route::Health,
        "/metrics" if looks => Route::Metrics,
        "/healthz" | "/metrics" => Route::Method("GET, HEAD"),
        "/stop" if *method != Method::POST => Route::Method("POST"),
        "/stop" if is_of_a_page(headers) => Route::Refused(
            StatusCode::FORBIDDEN,
            "refused: a page in a browser may not end the run",
        ),
        "/stop" if !is_asked_by_address(headers) => Route::Refused(
            StatusCode::FORBIDDEN,
            "refused: ask by an address or as `localhost`, not by another name",
        ),
        "/stop" => Route::Stop,
        _ => Route::Refused(
            StatusCode::NOT_FOUND,
            "there are GET /healthz, GET /metrics and POST /stop",
        ),
    }
}

/// Whether a browser has sent it for a page.
fn is_of_a_page(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN)
        || headers.contains_key(REFERER)
        || headers.contains_key("sec-fetch-site")
}

/// Whether what the request calls this place is no name that somebody else can have resolved to it.
fn is_asked_by_address(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (
        hosts.next().and_then(|host| host.to_str().ok()),
        hosts.next(),
    ) else {
        return false;
    };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(address, _)| address),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn asked(method: &Method, path: &str, headers: &[(&str, &str)]) -> Route {
        let header = |(name, value): &(&str, &str)| {
            (
                HeaderName::try_from(*name).unwrap(),
                HeaderValue::try_from(*value).unwrap(),
            )
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers.iter().map(header) {
            map.append(name, value);
        }
        route(method, path, &map)
    }

    #[test]
    fn each_path_has_its_methods() {
        let host = [("host", "127.0.0.1:8989")];
        let of = |method: &Method, path| asked(method, path, &host);
        for method in [&Method::GET, &Method::HEAD] {
            assert_eq!(of(method, "/healthz"), Route::Health);
            assert_eq!(of(method, "/metrics"), Route::Metrics);
            // What a link, an image or a prefetch can ask for must not end anything.
            assert_eq!(of(method, "/stop"), Route::Method("POST"));
        }
        assert_eq!(of(&Method::POST, "/stop"), Route::Stop);
        assert_eq!(of(&Method::POST, "/metrics"), Route::Method("GET, HEAD"));
        assert_eq!(of(&Method::OPTIONS, "/stop"), Route::Method("POST"));
        for path in ["/", "/stop/", "//stop", "/Stop", "/healthz/x"] {
            let Route::Refused(status, _) = of(&Method::POST, path) else {
                panic!("{path}")
            };
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn a_page_cannot_end_a_run() {
        let stop = |headers: &[(&str, &str)]| asked(&Method::POST, "/stop", headers) == Route::Stop;
        for host in [
            "127.0.0.1:8989",
            "127.0.0.1",
            "localhost:8989",
            "LOCALHOST",
            "[::1]:8989",
            "192.168.7.1:8989",
        ] {
            assert!(stop(&[("host", host)]), "{host}");
            for header in ["origin", "referer", "sec-fetch-site"] {
                for value in ["http://evil.example", "null", "same-origin"] {
                    assert!(!stop(&[("host", host), (header, value)]), "{header}");
                }
            }
        }
        for host in [
            "evil.example:8989",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "[evil.example]",
            "[::1",
            "",
        ] {
            assert!(!stop(&[("host", host)]), "{host}");
        }
        assert!(!stop(&[]));
        assert!(!stop(&[("host", "localhost"), ("host", "evil.example")]));
    }
}
