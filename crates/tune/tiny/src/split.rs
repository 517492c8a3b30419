//! Keeps training and held-out items apart by construction: a conversation belongs to exactly one split,
//! decided by a hash of its first question, and each generator draws again until it falls into its own.

use crate::conversation::Conversation;
use crate::draw::Draw;

/// The part of the corpus that an item is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// Pretraining and rehearsal.
    Train,
    /// Measured during pretraining.
    Validation,
    /// Measured by the release gate.
    Regression,
}

impl Split {
    /// The split that owns a conversation, by its first question.
    #[must_use]
    pub fn of(user: &str) -> Self {
        match fnv1a(user.as_bytes()) % 32 {
            0 => Self::Validation,
            1 => Self::Regression,
            _ => Self::Train,
        }
    }

    pub(crate) fn stream(self) -> u64 {
        match self {
            Self::Train => 1,
            Self::Validation => 2,
            Self::Regression => 3,
        }
    }
}

/// Draws until the conversation is this split's own.
pub(crate) fn draw_in_split(
    split: Split,
    draw: &mut Draw,
    mut make: impl FnMut(&mut Draw) -> Conversation,
) -> Conversation {
    loop {
        let item = make(draw);
        if Split::of(item.first_user()) == split {
            return item;
        }
    }
}

fn fnv1a(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // The low bits of FNV-1a depend on the low bits of the bytes alone; mix before taking a remainder.
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}
