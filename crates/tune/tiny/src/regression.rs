//! What the base model must still do after a fine-tuning, and what fine-tuning rehearses so that it does.
//!
//! The two are apart by construction: [`crate::split`] gives every question to one of them.

use std::io::Write;

use serde_json::json;

use crate::conversation::{Conversation, Task};
use crate::corpus::Corpus;
use crate::error::TinyError;
use crate::split::Split;

/// How many items the regression set has, the same number of each task.
pub const REGRESSION_ITEMS: u64 = 420;
/// The regression set is one fixed set, whatever seeds a run uses.
const REGRESSION_SEED: u64 = 20_261;

/// Item `index` of the regression set.
#[must_use]
pub fn item(index: u64) -> Conversation {
    Corpus::new(REGRESSION_SEED, Split::Regression).single(task_of(index), index)
}

/// The whole regression set.
#[must_use]
pub fn items() -> Vec<Conversation> {
    (0..REGRESSION_ITEMS).map(item).collect()
}

/// Item `index` of the rehearsal set under `seed`: the same tasks, from the training side.
#[must_use]
pub fn rehearsal(seed: u64, index: u64) -> Conversation {
    Corpus::new(seed, Split::Train).single(task_of(index), index)
}

/// Writes items as JSON lines: `{"id", "task", "messages": [{"role", "content"}], "answer"}`.
///
/// # Errors
/// Where the writer fails.
pub fn write_jsonl(items: &[Conversation], writer: &mut impl Write) -> Result<(), TinyError> {
    for (id, item) in items.iter().enumerate() {
        let line = json!({
            "id": id,
            "task": item.task.name(),
            "messages": item
                .messages()
                .iter()
                .map(|(role, content)| json!({"role": role, "content": content}))
                .collect::<Vec<_>>(),
            "answer": item.answer,
        });
        serde_json::to_writer(&mut *writer, &line)?;
        writer.write_all(b"\n")?;
    }
    Ok(())
}

fn task_of(index: u64) -> Task {
    let tasks = Task::ALL;
    tasks[usize::try_from(index % tasks.len() as u64).unwrap_or(0)]
}
