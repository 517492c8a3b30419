//! What a name may look like: it appears in URLs, file names and command lines.

use crate::error::{Result, StoreError};

const MAX_NAME: usize = 128;

/// Letters, digits and `. _ - /`, beginning with a letter or a digit, at most 128 of them.
pub(crate) fn check(kind: &str, name: &str) -> Result<()> {
    let fits = !name.is_empty()
        && name.len() <= MAX_NAME
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.chars().all(|it| it.is_ascii_alphanumeric() || "._-/".contains(it))
        && name.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    if fits {
        return Ok(());
    }
    let shown: String = name.chars().take(MAX_NAME).collect();
    Err(StoreError::Invalid(format!(
        "`{shown}` cannot name a {kind}: use letters, digits, `.`, `_`, `-` and `/`, at most {MAX_NAME}, a letter or digit first"
    )))
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn names_that_fit_and_names_that_do_not() {
        for good in ["a", "pelton/pelton-tiny", "telco_desk.v2"] {
            assert!(check("model", good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a b", "a@1", "../etc", "a//b", "a/..", "é", &"x".repeat(129)] {
            assert!(check("model", bad).is_err(), "{bad}");
        }
    }
}
