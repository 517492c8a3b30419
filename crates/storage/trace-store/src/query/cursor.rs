//! Where a page ended, as opaque text.

use pelton_ids::{InferenceId, Micros};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// The last row of a page: the next one starts after it, whatever was sealed in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// When the row started.
    pub started_at: Micros,
    /// Its id.
    pub id: InferenceId,
}

/// A text that is not a cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is not valid: start the list again without one")]
pub struct BadCursor;

impl fmt::Display for Cursor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}{:032x}", self.started_at.0, self.id.as_u128())
    }
}

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let hexadecimal = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if text.len() != 48 || !hexadecimal {
            return Err(BadCursor);
        }
        let (at, id) = text.split_at(16);
        let at = u64::from_str_radix(at, 16).map_err(|_| BadCursor)?;
        let id = u128::from_str_radix(id, 16).map_err(|_| BadCursor)?;
        Ok(Self { started_at: Micros(at.cast_signed()), id: InferenceId::from_u128(id) })
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
