//! Repeat a text, or the part of it that the instruction names. This is what forms induction first.

use super::Level;
use crate::conversation::{Conversation, Task};
use crate::draw::Draw;
use crate::words::{digits, made_up, word};

const WHOLE: &[&str] =
    &["Repeat: ", "Copy: ", "Say exactly: ", "Write the same: ", "Echo: ", "Once more: "];
const FIRST: &[&str] = &["First word of: ", "What comes first: ", "Give the first item: "];
const LAST: &[&str] = &["Last word of: ", "What comes last: ", "Give the last item: "];

/// One copy item.
pub fn copy(draw: &mut Draw, level: Level) -> Conversation {
    let most = [6, 9, 12, 16][level.min(3)];
    let count = draw.between(2, most);
    let kind = draw.below(4);
    let parts = draw.distinct(count, |draw| match kind {
        0 => word(draw),
        1 => made_up(draw),
        2 => digits(draw, 1, 4),
        _ => match draw.below(3) {
            0 => word(draw),
            1 => made_up(draw),
            _ => digits(draw, 1, 5),
        },
    });
    let separator = draw.pick(&[" ", " ", ", ", "; ", "-", " | "]);
    let text = parts.join(separator);
    let (user, answer) = match draw.below(10) {
        0 => (format!("{}{text}", draw.pick(FIRST)), parts[0].clone()),
        1 => (format!("{}{text}", draw.pick(LAST)), parts[parts.len() - 1].clone()),
        2 | 3 if parts.len() > 2 => {
            let at = draw.below(parts.len() - 1);
            let (before, after) = (&parts[at], &parts[at + 1]);
            let question = match draw.below(2) {
                0 => format!("{text}\nWhat follows {before}?"),
                _ => format!("What comes after {before} in: {text}"),
            };
            (question, after.clone())
        }
        _ => (format!("{}{text}", draw.pick(WHOLE)), text),
    };
    Conversation::new(Task::Copy, String::new(), user, answer)
}
