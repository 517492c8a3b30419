//! Keeps web pages of other origins from reaching a server that asks for no key.
//!
//! Whoever sits at the machine may call a keyless loopback server, and so may every page in that
//! person's browser: by a cross-site request, or by a name that resolves to 127.0.0.1 (DNS
//! rebinding). Both show in headers that a page cannot forge.

use crate::error::{ApiError, Code};
use crate::state::Api;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;
use std::sync::Arc;

/// Refuses requests of foreign origin while no key is required.
pub async fn guard_origin(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    if !api.authenticator.key_required()
        && let Err(refused) = check(request.headers())
    {
        return refused.into_response();
    }
    next.run(request).await
}

fn check(headers: &HeaderMap) -> Result<(), ApiError> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).unwrap_or("localhost");
    if !is_loopback(host) {
        return Err(ApiError::new(
            Code::Forbidden,
            format!(
                "this server asks for no key and so answers only to localhost, not to `{host}`"
            ),
        )
        .hint("Call it by 127.0.0.1, or start it with `--set server.authentication=required`."));
    }
    let Some(origin) = text(header::ORIGIN) else { return Ok(()) };
    let of_origin = origin.split_once("://").map_or(origin, |(_, rest)| rest);
    if of_origin == host {
        return Ok(());
    }
    Err(ApiError::new(
        Code::Forbidden,
        format!("a page of `{origin}` may not call a server that asks for no key"),
    )
    .hint("Start the server with `--set server.authentication=required` and give the page a key."))
}

/// Whether `HOST[:PORT]` names this machine.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(host: &str, origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().expect("a header"));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().expect("a header"));
        }
        check(&headers).is_ok()
    }

    #[test]
    fn only_this_machine_and_its_own_pages() {
        assert!(allowed("127.0.0.1:7077", None));
        assert!(allowed("localhost:7077", Some("http://localhost:7077")));
        assert!(allowed("[::1]:7077", Some("http://[::1]:7077")));
        assert!(!allowed("evil.example:7077", None));
        assert!(!allowed("127.0.0.1.evil.example", None));
        assert!(!allowed("127.0.0.1:7077", Some("https://evil.example")));
        assert!(!allowed("127.0.0.1:7077", Some("null")));
        assert!(!allowed("127.0.0.1:7077", Some("http://127.0.0.1:9999")));
    }
}
