//! The words of the corpus: real ones, and made-up ones, so that copying cannot be memorized.

use crate::draw::Draw;

/// Everyday nouns.
pub const NOUNS: &[&str] = &[
    "apple", "arrow", "badge", "basket", "beach", "bench", "boat", "book", "bottle", "bread",
    "bridge", "brush", "bus", "cable", "camera", "candle", "carpet", "castle", "chair", "cheese",
    "clock", "cloud", "coat", "coin", "corner", "cup", "desk", "door", "dress", "drum", "engine",
    "farm", "feather", "fence", "field", "fire", "fish", "flag", "floor", "flower", "forest",
    "fork", "garden", "gate", "glass", "glove", "guitar", "hammer", "harbor", "hat", "hill",
    "hotel", "house", "island", "jacket", "key", "kitchen", "knife", "ladder", "lake", "lamp",
    "leaf", "lemon", "letter", "library", "machine", "map", "market", "mirror", "moon", "motor",
    "mountain", "needle", "office", "orange", "oven", "paper", "park", "pencil", "piano",
    "picture", "pillow", "plane", "plant", "plate", "pocket", "potato", "radio", "rain", "ring",
    "river", "road", "rocket", "roof", "rope", "rose", "salt", "school", "screen", "ship", "shirt",
    "shoe", "shop", "silver", "snow", "soap", "sofa", "spoon", "spring", "star", "station",
    "stone", "store", "street", "sugar", "summer", "table", "tea", "tent", "ticket", "tiger",
    "tower", "town", "train", "tree", "truck", "umbrella", "valley", "village", "wagon", "wall",
    "water", "wheel", "window", "winter", "wood", "wool", "yard",
];

/// Adjectives, for phrases.
pub const ADJECTIVES: &[&str] = &[
    "big", "blue", "bright", "broken", "brown", "clean", "cold", "dark", "dry", "early", "empty",
    "fast", "fresh", "full", "gray", "green", "happy", "heavy", "large", "late", "light", "little",
    "long", "loud", "narrow", "new", "old", "open", "plain", "quick", "quiet", "red", "round",
    "sharp", "short", "slow", "small", "soft", "strong", "sweet", "tall", "thin", "warm", "wet",
    "white", "wide", "wild", "yellow", "young",
];

/// Places.
pub const CITIES: &[&str] = &[
    "Athens", "Berlin", "Boston", "Cairo", "Dublin", "Geneva", "Hamburg", "Helsinki", "Lagos",
    "Lima", "Lisbon", "London", "Lyon", "Madrid", "Milan", "Naples", "Osaka", "Oslo", "Paris",
    "Porto", "Prague", "Quito", "Riga", "Rome", "Seoul", "Sofia", "Tokyo", "Turin", "Vienna",
    "Zurich",
];

/// First names.
pub const NAMES: &[&str] = &[
    "Ada", "Alan", "Anna", "Ben", "Carla", "Clara", "Daniel", "David", "Elena", "Emma", "Eric",
    "Felix", "Grace", "Hanna", "Hugo", "Ivan", "Jane", "John", "Julia", "Karl", "Laura", "Leo",
    "Lucy", "Maria", "Mark", "Martin", "Mia", "Nina", "Noah", "Olga", "Oscar", "Paul", "Peter",
    "Rosa", "Ruth", "Sam", "Sara", "Tom", "Vera", "Victor",
];

/// States of an order, a task or a document.
pub const STATES: &[&str] = &[
    "open", "closed", "paid", "sent", "late", "ready", "lost", "held", "new", "done", "void",
    "active",
];

/// Months, as dates write them.
pub const MONTHS: &[&str] =
    &["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const ONSETS: &[&str] = &[
    "b", "br", "d", "dr", "f", "fl", "g", "gr", "h", "k", "kl", "l", "m", "n", "p", "pr", "r", "s",
    "st", "t", "tr", "v", "w", "z",
];
const VOWELS: &[&str] = &["a", "e", "i", "o", "u"];
const CODAS: &[&str] = &["", "", "", "l", "m", "n", "r", "s", "t", "x"];

/// A made-up word of two or three syllables.
pub fn made_up(draw: &mut Draw) -> String {
    let mut word = String::new();
    for _ in 0..draw.between(2, 3) {
        word.push_str(draw.pick(ONSETS));
        word.push_str(draw.pick(VOWELS));
        word.push_str(draw.pick(CODAS));
    }
    word
}

/// A word: mostly a real one, else made up.
pub fn word(draw: &mut Draw) -> String {
    match draw.below(10) {
        0..=4 => draw.pick(NOUNS).to_owned(),
        5 | 6 => draw.pick(ADJECTIVES).to_owned(),
        _ => made_up(draw),
    }
}

/// A string of `low..=high` digits that does not start with 0.
pub fn digits(draw: &mut Draw, low: usize, high: usize) -> String {
    let length = draw.between(low, high);
    (0..length)
        .map(|at| {
            let digit = if at == 0 { draw.between(1, 9) } else { draw.below(10) };
            char::from(b'0' + u8::try_from(digit).unwrap_or(0))
        })
        .collect()
}

/// A word with a capital first letter.
pub fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
