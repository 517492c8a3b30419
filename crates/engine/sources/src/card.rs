//! Model cards: the licence in their front matter.
//!
//! Format: YAML between two lines of `---`, with `license`, and `license_name` and `license_link`
//! where `license` is `other` (<https://huggingface.co/docs/hub/model-cards>).

use crate::error::shown;
use serde_json::Value;
use std::path::Path;

/// Bytes of a card at most.
pub(crate) const LARGEST_CARD: u64 = 1 << 20;
/// Bytes of front matter at most.
const LARGEST_FRONT_MATTER: usize = 64 << 10;
/// Letters of a licence's name at most.
const LONGEST_LICENSE: usize = 120;

/// The card of a folder, if there is one and it is text of a sensible size.
#[must_use]
pub fn read_card(folder: &Path) -> Option<String> {
    let card = folder.join("README.md");
    let size = std::fs::metadata(&card).ok()?.len();
    (size <= LARGEST_CARD).then(|| std::fs::read_to_string(card).ok()).flatten()
}

/// The licence that a card states.
#[must_use]
pub fn card_license(card: &str) -> Option<String> {
    license_of(&front_matter(card)?).0
}

/// The front matter as JSON.
pub(crate) fn front_matter(card: &str) -> Option<Value> {
    let rest = card.trim_start_matches('\u{feff}').strip_prefix("---")?;
    let rest = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n'))?;
    let end = rest.match_indices("\n---").map(|(at, _)| at).next()?;
    if end > LARGEST_FRONT_MATTER {
        return None;
    }
    serde_yaml_ng::from_str(&rest[..end]).ok()
}

/// The licence and the address of its terms, from a card's data.
pub(crate) fn license_of(data: &Value) -> (Option<String>, Option<String>) {
    let text = |name: &str| data[name].as_str().map(|text| shown(text, LONGEST_LICENSE));
    let link = text("license_link");
    let license = match &data["license"] {
        Value::String(license) if license == "other" => {
            text("license_name").or_else(|| Some("other".into()))
        }
        Value::String(license) => Some(shown(license, LONGEST_LICENSE)),
        Value::Array(several) => {
            let names: Vec<&str> = several.iter().filter_map(Value::as_str).collect();
            (!names.is_empty()).then(|| shown(&names.join(" OR "), LONGEST_LICENSE))
        }
        _ => text("license_name"),
    };
    (license.filter(|license| !license.is_empty()), link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_found_in_front_matter() {
        for (card, license) in [
            ("---\nlicense: apache-2.0\ntags: [a]\n---\n# Model\n", Some("apache-2.0")),
            ("---\r\nlicense: mit\r\n---\r\n", Some("mit")),
            ("---\nlicense: other\nlicense_name: llama3\n---\n", Some("llama3")),
            ("---\nlicense: [mit, apache-2.0]\n---\n", Some("mit OR apache-2.0")),
            ("---\nlicense: \"a\\u001b[2J\"\n---\n", Some("a\u{fffd}[2J")),
            ("---\ntags: a\n---\n", None),
            ("# license: mit\n", None),
            ("---\nlicense: mit\n", None),
            ("---\n{broken\n---\n", None),
            ("---\na: &a [x,x]\nb: &b [*a,*a]\nlicense: mit\n---\n", Some("mit")),
        ] {
            assert_eq!(card_license(card).as_deref(), license, "{card}");
        }
    }
}
