//! The few file types that the console's build produces.

/// The content type of a file name, or bytes when the type is not known.
pub(crate) fn of(path: &str) -> &'static str {
    path.rsplit_once('.')
        .and_then(|(_, extension)| of_extension(extension))
        .unwrap_or("application/octet-stream")
}

/// The content type that an extension stands for.
pub(crate) fn of_extension(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "json" => "application/json",
        "map" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        "webmanifest" => "application/manifest+json",
        "woff2" => "font/woff2",
        _ => return None,
    })
}
