//! Answers with one embedded file: type, entity tag, and how long a browser may keep it.

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use crate::content_type;

#[derive(RustEmbed)]
#[folder = "$OUT_DIR/console"]
struct Files;

/// Names below `assets/` carry a hash of their content, so they never change.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// Everything else is asked for again each time; the entity tag keeps that cheap.
const REVALIDATE: &str = "no-cache";

/// Whether a file of this name is embedded.
pub(crate) fn exists(path: &str) -> bool {
    !path.is_empty() && Files::get(path).is_some()
}

/// The file, 304 when the browser already has it, 404 when there is none.
pub(crate) fn respond(path: &str, known_etag: Option<&str>) -> Response {
    let Some(file) = Files::get(path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let etag = etag(&file.metadata.sha256_hash());
    let cache = if path.starts_with("assets/") { FOREVER } else { REVALIDATE };
    if known_etag.is_some_and(|known| known.contains(etag.trim_matches('"'))) {
        return (
            StatusCode::NOT_MODIFIED,
            [(header::ETAG, etag), (header::CACHE_CONTROL, cache.to_owned())],
        )
            .into_response();
    }
    (
        [
            (header::CONTENT_TYPE, content_type::of(path).to_owned()),
            (header::CACHE_CONTROL, cache.to_owned()),
            (header::ETAG, etag),
        ],
        Body::from(file.data.into_owned()),
    )
        .into_response()
}

/// The first 16 bytes of the file's sha256, quoted as the header wants it.
fn etag(sha256: &[u8; 32]) -> String {
    let mut tag = String::with_capacity(34);
    tag.push('"');
    for byte in &sha256[..16] {
        tag.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
        tag.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
    }
    tag.push('"');
    tag
}
