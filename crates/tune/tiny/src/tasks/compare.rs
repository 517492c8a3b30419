//! Compare and add small numbers.

use super::Level;
use crate::conversation::{Conversation, Task};
use crate::draw::Draw;

/// One arithmetic item.
pub fn compare(draw: &mut Draw, level: Level) -> Conversation {
    let top = [9, 50, 99, 99][level.min(3)];
    let cents = draw.chance(0.3);
    let show = |value: usize| {
        if cents { format!("{}.{:02}", value / 100, value % 100) } else { value.to_string() }
    };
    let scale = if cents { 100 } else { 1 };
    let count = draw.between(2, [3, 4, 5, 6][level.min(3)]);
    let values = draw.distinct(count, |draw| draw.between(scale, top * scale));
    let list = values.iter().map(|&value| show(value)).collect::<Vec<_>>().join(", ");
    let (first, second) = (values[0], values[values.len() - 1]);
    let (user, answer) = match draw.below(7) {
        0 | 1 => {
            let more = first.max(second);
            let ask = draw.pick(&["Which is larger", "Which is more", "Larger"]);
            (format!("{ask}: {} or {}?", show(first), show(second)), show(more))
        }
        2 => {
            let less = first.min(second);
            let ask = draw.pick(&["Which is smaller", "Which is less", "Smaller"]);
            (format!("{ask}: {} or {}?", show(first), show(second)), show(less))
        }
        3 => {
            let answer = if first > second { "yes" } else { "no" };
            (format!("Is {} more than {}?", show(first), show(second)), answer.to_owned())
        }
        4 => {
            let most = values.iter().copied().max().unwrap_or(0);
            (
                format!("{}: {list}", draw.pick(&["Largest of", "Highest of", "Maximum of"])),
                show(most),
            )
        }
        5 => {
            let least = values.iter().copied().min().unwrap_or(0);
            (
                format!("{}: {list}", draw.pick(&["Smallest of", "Lowest of", "Minimum of"])),
                show(least),
            )
        }
        _ => {
            let (a, b) = (draw.below(top.min(50)), draw.below(top.min(50)));
            (format!("{a} + {b} ="), (a + b).to_string())
        }
    };
    Conversation::new(Task::Compare, String::new(), user, answer)
}
