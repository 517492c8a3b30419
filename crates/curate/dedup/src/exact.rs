//! Exact duplicates: the same text but for case and white space.

use xxhash_rust::xxh3::xxh3_128;

/// Lower case, runs of white space as one space, none at the ends.
#[must_use]
pub fn normalize(text: &str) -> String {
    let mut normal = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !normal.is_empty() {
            normal.push(' ');
        }
        normal.extend(word.chars().flat_map(char::to_lowercase));
    }
    normal
}

/// Equal for texts that are equal after [`normalize`].
#[must_use]
pub fn exact_key(text: &str) -> u128 {
    xxh3_128(normalize(text).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_space_do_not_matter_but_words_do() {
        assert_eq!(normalize("  Where\tis\n my  CARD? "), "where is my card?");
        assert_eq!(exact_key("Where is my card?"), exact_key(" where  IS my card? "));
        assert_ne!(exact_key("Where is my card?"), exact_key("Where is my card"));
        assert_ne!(exact_key("ab c"), exact_key("a bc"));
    }
}
