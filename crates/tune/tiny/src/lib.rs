//! The seeded corpus, the tokenizer and the recipe of pelton-tiny. Cannot reach a store or HTTP.
