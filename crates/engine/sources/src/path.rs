//! Names of files that come from outside: inside their folder, or refused.

use crate::error::{Result, SourceError, shown};

/// Bytes of a path at most, as in Pelton's manifests.
const LONGEST_PATH: usize = 1_024;
/// Bytes of one name at most: more does not fit Linux's file systems.
const LONGEST_NAME: usize = 255;
/// Folders within folders at most.
const DEEPEST: usize = 16;

/// A relative path with `/` that a source names, if it may be used.
///
/// # Errors
/// [`SourceError::Path`] when it leads out of its folder, cannot be stored, or would hide what it
/// is on a terminal.
pub fn checked_path(path: &str) -> Result<&str> {
    check_path(path).map(|()| path)
}

pub(crate) fn check_path(path: &str) -> Result<()> {
    let refuse = |reason| Err(SourceError::Path { shown: shown(path, 80), reason });
    let parts = || path.split('/');
    if path.is_empty() || parts().any(|part| part.is_empty() || part == "." || part == "..") {
        return refuse("leads out of its folder");
    }
    if path.contains('\\') || path.chars().any(char::is_control) {
        return refuse("has characters that no file name should have");
    }
    if path.len() > LONGEST_PATH || parts().any(|part| part.len() > LONGEST_NAME) {
        return refuse("is too long");
    }
    if parts().count() > DEEPEST {
        return refuse("lies too deep");
    }
    if parts().next() == Some(crate::WORK_FOLDER) {
        return refuse("is where downloads are kept");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_path;

    #[test]
    fn paths_stay_inside_their_folder() {
        for good in ["config.json", "1_Pooling/config.json", "a b/ü.json", "..a/b..", "…"] {
            assert!(check_path(good).is_ok(), "{good}");
        }
        let long = "x".repeat(256);
        let deep = "a/".repeat(16) + "b";
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a//b",
            "./a",
            "a/",
            "a\\b",
            "a\u{1b}[2Jb",
            "a\0b",
            ".pelton-pull/lock",
            &long,
            &deep,
        ] {
            assert!(check_path(bad).is_err(), "{bad}");
        }
    }
}
