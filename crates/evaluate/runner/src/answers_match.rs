//! When an answer counts as the wanted one.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How answers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Matching {
    /// Equal but for white space around them.
    Strict,
    /// As strict, or the same JSON value: white space and the order of keys do not matter, types and
    /// the letters of texts do.
    #[default]
    Json,
}

impl Matching {
    /// Whether `output` is the `expected` answer.
    #[must_use]
    pub fn accepts(self, expected: &str, output: &str) -> bool {
        let (expected, output) = (expected.trim(), output.trim());
        if expected == output {
            return true;
        }
        let value = |text: &str| serde_json::from_str::<Value>(text).ok();
        self == Self::Json
            && matches!(expected.as_bytes().first(), Some(b'{' | b'['))
            && value(expected).is_some_and(|wanted| value(output) == Some(wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_forgives_spelling_but_not_content() {
        let wanted = r#"{"bill_found":"true","bill_id":"7"}"#;
        for (output, json, strict) in [
            (" {\"bill_found\":\"true\",\"bill_id\":\"7\"}\n", true, true),
            ("{ \"bill_id\": \"7\", \"bill_found\": \"true\" }", true, false),
            (r#"{"bill_found":"true","bill_id":7}"#, false, false),
            (r#"{"bill_found":"true","bill_id":"7","x":1}"#, false, false),
            (r#"{"bill_found":"true","bill_id":"7"} yes"#, false, false),
            ("", false, false),
        ] {
            assert_eq!(Matching::Json.accepts(wanted, output), json, "{output}");
            assert_eq!(Matching::Strict.accepts(wanted, output), strict, "{output}");
        }
        assert!(Matching::Json.accepts("card arrival", "card arrival "));
        assert!(!Matching::Json.accepts("card arrival", "Card arrival"));
        assert!(!Matching::Json.accepts("1", "1.0"), "only objects and lists are read as JSON");
    }
}
