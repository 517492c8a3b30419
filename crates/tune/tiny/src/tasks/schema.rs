//! Instructions that ask for a JSON object, and the object itself.

use crate::draw::Draw;

/// A JSON answer that says whether something was found and, where it was, some of its fields.
#[derive(Debug, Clone)]
pub struct FoundSchema {
    flag: String,
    yes: &'static str,
    no: &'static str,
    keys: Vec<String>,
    places: Vec<String>,
}

impl FoundSchema {
    /// A schema for the fields with `labels` of a `noun`, under keys that the labels suggest.
    pub fn draw(draw: &mut Draw, noun: &str, labels: &[&str]) -> Self {
        let noun = noun.replace(' ', "_");
        let (yes, no) =
            [("true", "false"), ("true", "false"), ("yes", "no"), ("1", "0")][draw.below(4)];
        let flag = match draw.below(8) {
            0 => "found".to_owned(),
            1 => "match".to_owned(),
            2 => format!("{noun}_match"),
            3 => format!("has_{noun}"),
            4 => format!("{noun}_ok"),
            5 => "ok".to_owned(),
            6 => "hit".to_owned(),
            _ => format!("{noun}_found"),
        };
        let with_noun = draw.chance(0.5);
        let mark = draw.below(3);
        let keys: Vec<String> = labels
            .iter()
            .map(|label| {
                let key = label.replace(' ', "_");
                if with_noun && !key.starts_with(&noun) { format!("{noun}_{key}") } else { key }
            })
            .collect();
        let places = labels
            .iter()
            .map(|label| match mark {
                0 => format!("<{label}>"),
                1 => "...".to_owned(),
                _ => (*label).to_owned(),
            })
            .collect();
        Self { flag, yes, no, keys, places }
    }

    /// A schema for a desk: the flag and the keys begin with the noun more often than not.
    pub fn draw_for_desk(draw: &mut Draw, noun: &str, labels: &[&str]) -> Self {
        let mut schema = Self::draw(draw, noun, labels);
        if draw.chance(0.7) {
            schema.flag = format!("{noun}_found");
            schema.keys = labels
                .iter()
                .map(|label| {
                    let key = label.replace(' ', "_");
                    if key.starts_with(noun) { key } else { format!("{noun}_{key}") }
                })
                .collect();
            if draw.chance(0.6) {
                schema.places =
                    schema.keys.iter().map(|key| format!("<{}>", key.replace('_', " "))).collect();
            }
        }
        schema
    }

    /// The object that stands for "found", with a mark in every field's place.
    #[must_use]
    pub fn found_form(&self) -> String {
        self.found(&self.places.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The answer with `values`, one for each key.
    #[must_use]
    pub fn found(&self, values: &[&str]) -> String {
        let mut text = format!(r#"{{"{}":"{}""#, self.flag, self.yes);
        for (key, value) in self.keys.iter().zip(values) {
            text.push_str(&format!(r#","{key}":"{value}""#));
        }
        text.push('}');
        text
    }

    /// The answer where there is none.
    #[must_use]
    pub fn absent(&self) -> String {
        format!(r#"{{"{}":"{}"}}"#, self.flag, self.no)
    }

    /// A sentence that asks for this schema.
    pub fn instruction(&self, draw: &mut Draw) -> String {
        let (found, absent) = (self.found_form(), self.absent());
        match draw.below(5) {
            0 => format!("Reply {found} or {absent}."),
            1 => format!("Answer with {found} if there is one, else {absent}."),
            2 => format!("Reply only with JSON: {found} when found, {absent} when not."),
            3 => format!("If found, say {found}. If not, say {absent}."),
            _ => format!("Output {found}; if there is none, {absent}."),
        }
    }
}

impl FoundSchema {
    /// A sentence that asks for this schema, in a desk's words at times.
    pub fn desk_instruction(&self, draw: &mut Draw) -> String {
        if draw.chance(0.6) {
            return self.instruction(draw);
        }
        let (found, absent) = (self.found_form(), self.absent());
        if draw.chance(0.5) {
            format!("When it is there reply {found}, otherwise {absent}.")
        } else {
            format!("If there is such a one write {found}, otherwise write {absent}.")
        }
    }
}

/// `{"key":"value",…}` in the given order.
#[must_use]
pub fn object(pairs: &[(&str, &str)]) -> String {
    let fields: Vec<String> =
        pairs.iter().map(|(key, value)| format!(r#""{key}":"{value}""#)).collect();
    format!("{{{}}}", fields.join(","))
}
