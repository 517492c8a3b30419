//! Read a sentence into JSON with exactly the keys that the instruction names, in its order.

use super::Level;
use super::schema::object;
use crate::conversation::{Conversation, Task};
use crate::draw::Draw;
use crate::words::{ADJECTIVES, CITIES, MONTHS, NAMES, NOUNS, capitalized, digits, made_up};

const KEYS: [&[&str]; 6] = [
    &["name", "customer", "person", "who", "buyer"],
    &["city", "place", "where", "town"],
    &["item", "thing", "what", "product"],
    &["price", "amount", "total", "cost"],
    &["date", "day", "when"],
    &["count", "pieces", "units", "how_many"],
];

/// One fill item.
pub fn fill(draw: &mut Draw, level: Level) -> Conversation {
    let name =
        if draw.chance(0.4) { capitalized(&made_up(draw)) } else { draw.pick(NAMES).to_owned() };
    let city = draw.pick(CITIES).to_owned();
    let item = match draw.below(3) {
        0 => made_up(draw),
        1 => format!("{} {}", draw.pick(ADJECTIVES), draw.pick(NOUNS)),
        _ => draw.pick(NOUNS).to_owned(),
    };
    let price = format!("{}.{}", digits(draw, 1, 2), digits(draw, 2, 2));
    let date = format!("{} {}", draw.between(1, 28), draw.pick(MONTHS));
    let count = digits(draw, 1, 2);
    let values = [&name, &city, &item, &price, &date, &count];

    let (text, told): (String, &[usize]) = match draw.below(10) {
        0 => (
            format!("{name} from {city} bought {count} {item} for {price} on {date}."),
            &[0, 1, 2, 3, 4, 5],
        ),
        1 => (format!("On {date} we sent {count} {item} to {name} in {city}."), &[0, 1, 2, 4, 5]),
        2 => (format!("Hi, I am {name}. I paid {price} for the {item} on {date}."), &[0, 2, 3, 4]),
        3 => (format!("{name} wants {count} {item}. Send to {city}."), &[0, 1, 2, 5]),
        4 => (
            format!("Order of {date}: {item}, {count} pieces, {price}, for {name}."),
            &[0, 2, 3, 4, 5],
        ),
        5 => (format!("The {item} costs {price} in {city}."), &[1, 2, 3]),
        6 => (format!("{name} lives in {city} since {date}."), &[0, 1, 4]),
        7 => (
            format!("Please book {city} for {name} on {date}, the price is {price}."),
            &[0, 1, 3, 4],
        ),
        8 => (format!("We sold {count} {item} at {price} to {name}."), &[0, 2, 3, 5]),
        _ => (format!("{name}, {city}, {date}: {count} x {item} = {price}"), &[0, 1, 2, 3, 4, 5]),
    };
    let mut asked: Vec<usize> = told.to_vec();
    draw.shuffle(&mut asked);
    asked.truncate(draw.between(1, [2, 3, 4, 5][level.min(3)]));
    // A key whose value the text does not tell.
    if level > 0
        && draw.chance(0.2)
        && let Some(untold) = (0..6).find(|at| !told.contains(at))
    {
        let at = draw.below(asked.len() + 1);
        asked.insert(at, untold);
    }
    let names: Vec<&str> = asked.iter().map(|&at| draw.pick(KEYS[at])).collect();
    let pairs: Vec<(&str, &str)> = asked
        .iter()
        .zip(&names)
        .map(|(&at, &name)| (name, if told.contains(&at) { values[at].as_str() } else { "none" }))
        .collect();
    let answer = object(&pairs);
    let system = match draw.below(4) {
        0 => format!(
            "Fill in {}.",
            object(&names.iter().map(|name| (*name, "...")).collect::<Vec<_>>())
        ),
        1 => format!("Reply with JSON, keys: {}. Use none if not told.", names.join(", ")),
        2 => format!("Read the text into JSON with {}.", names.join(", ")),
        _ => format!("Give {} as JSON.", names.join(", ")),
    };
    Conversation::new(Task::Fill, system, text, answer)
}
