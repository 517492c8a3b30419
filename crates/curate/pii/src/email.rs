//! E-mail addresses.

use regex::Regex;
use std::ops::Range;
use std::sync::LazyLock;

/// RFC 5322's unquoted local part and a host of at least two labels, the last of letters or an
/// internationalized one.
static ADDRESS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?i)[\p{L}\p{N}!#$%&'*+/=?^_`{|}~-]+(?:\.[\p{L}\p{N}!#$%&'*+/=?^_`{|}~-]+)*@(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]{0,61}[\p{L}\p{N}])?\.)+(?:xn--[a-z0-9-]{2,59}|\p{L}{2,63})",
    )
    .ok()
});

pub(crate) fn find(text: &str) -> Vec<Range<usize>> {
    if !text.contains('@') {
        return Vec::new();
    }
    let Some(address) = ADDRESS.as_ref() else { return Vec::new() };
    address
        .find_iter(text)
        .filter_map(|found| {
            let (local, host) = found.as_str().rsplit_once('@')?;
            // Punctuation that leads into an address is not part of it: `'a@b.co'`, `=a@b.co`.
            let bare = local.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '_');
            let fits = !bare.is_empty() && bare.len() <= 64 && host.len() <= 253;
            fits.then(|| found.start() + (local.len() - bare.len())..found.end())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        find(text).into_iter().filter_map(|range| text.get(range)).collect()
    }

    #[test]
    fn finds_addresses_and_where_they_end() {
        for (text, want) in [
            ("mail ana@example.com.", "ana@example.com"),
            ("<Ana.M-L_1+tag@sub.example.co.uk>", "Ana.M-L_1+tag@sub.example.co.uk"),
            ("'o'neil@example.org'", "o'neil@example.org"),
            ("mailto:x@y.museum?subject=z", "x@y.museum"),
            ("jürgen@müller.de,", "jürgen@müller.de"),
            ("a@xn--bcher-kva.xn--p1ai", "a@xn--bcher-kva.xn--p1ai"),
            ("{\"to\":\"a.b@c.io\"}", "a.b@c.io"),
        ] {
            assert_eq!(found(text), [want], "{text}");
        }
        assert_eq!(found("a@b.co;c@d.org"), ["a@b.co", "c@d.org"]);
    }

    #[test]
    fn leaves_what_is_no_address() {
        for text in ["@handle", "a@b", "a@1.2.3.4", "a@-b.com", "@b.co", "5 @ 3.50", "a@b..c"] {
            assert!(found(text).is_empty(), "{text}: {:?}", found(text));
        }
    }
}
