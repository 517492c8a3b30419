//! The web console's files, embedded. Cannot reach a store.
//!
//! [`router`] answers every path that no other surface owns: a file of the console where one
//! exists, the console's page for an address that the browser's router will resolve, and the
//! API's error shape below a programmatic prefix, so that a mistyped API path never gets HTML.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking"))]

mod content_type;
mod security_headers;
mod serve_file;
#[cfg(test)]
mod tests;

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tower_http::compression::CompressionLayer;

/// Prefixes that belong to a programmatic surface: what they do not answer is an error, not a page.
const PROGRAMMATIC: &[&str] = &["api/", "v1/", "healthz", "readyz", "metrics"];

/// The console, to be used as the fallback of the server's router.
///
/// `Router::new().merge(api).fallback_service(pelton_console::router())`
pub fn router() -> Router {
    Router::new().fallback(answer).layer(CompressionLayer::new())
}

/// Whether the binary carries the built console, and not the page that says how to build it.
#[must_use]
pub fn is_built() -> bool {
    serve_file::exists("assets/build.json")
}

async fn answer(request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    if PROGRAMMATIC.iter().any(|prefix| path.starts_with(prefix)) {
        return not_found(request.uri().path());
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response();
    }
    let etag = request.headers().get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let response = if serve_file::exists(path) {
        serve_file::respond(path, etag)
    } else if looks_like_a_file(path) {
        (StatusCode::NOT_FOUND, "no such file\n").into_response()
    } else {
        serve_file::respond("index.html", etag)
    };
    security_headers::apply(response)
}

/// A missing asset must be a 404: an old tab that asks for a chunk of the last build would
/// otherwise get HTML where it expects a script.
fn looks_like_a_file(path: &str) -> bool {
    path.starts_with("assets/") || path.rsplit('/').next().is_some_and(has_extension)
}

/// Names such as `pelton-tiny@1` or `v0.1` are addresses; only known file types count.
fn has_extension(name: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(_, extension)| content_type::of_extension(extension).is_some())
}

fn not_found(path: &str) -> Response {
    let shown: String = path
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "/-_.@:".contains(*c))
        .take(200)
        .collect();
    let body = format!(
        "{{\"error\":{{\"code\":\"not_found\",\"title\":\"Not found\",\"message\":\"there is nothing at {shown}\",\"hint\":\"GET /api/openapi.json lists every operation\",\"request_id\":null}}}}"
    );
    (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
