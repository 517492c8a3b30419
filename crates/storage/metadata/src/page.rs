//! Lists in pages, newest first, by key and not by offset: what arrives meanwhile moves nothing.

use crate::error::{Result, StoreError};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pelton_ids::Micros;
use serde::Serialize;

/// The most items that one page holds.
pub const MAX_PAGE: u32 = 1_000;

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The most items wanted, from 1 to [`MAX_PAGE`].
    pub limit: u32,
    /// `next_cursor` of the page before, or nothing for the first.
    pub cursor: Option<String>,
}

impl Default for Page {
    fn default() -> Self {
        Self { limit: 50, cursor: None }
    }
}

impl Page {
    /// The first page, of at most `limit` items.
    #[must_use]
    pub const fn first(limit: u32) -> Self {
        Self { limit, cursor: None }
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listing<T> {
    /// The items, newest first.
    pub items: Vec<T>,
    /// What to ask the next page with; nothing on the last.
    pub next_cursor: Option<String>,
}

impl<T> Listing<T> {
    /// The same page of something made from each item.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Listing<U> {
        let Self { items, next_cursor } = self;
        Listing { items: items.into_iter().map(change).collect(), next_cursor }
    }
}

/// The place after which a page starts: items sort by `(at, id)`, descending.
pub(crate) struct After {
    pub(crate) at: i64,
    pub(crate) id: String,
    /// One more than wanted, so as to see whether there is a next page.
    pub(crate) fetch: i64,
    limit: usize,
}

impl After {
    pub(crate) fn of(page: &Page) -> Result<Self> {
        let limit = page.limit.clamp(1, MAX_PAGE);
        let (at, id) = match &page.cursor {
            None => (i64::MAX, "~".to_owned()),
            Some(cursor) => decode(cursor).ok_or(StoreError::BadCursor)?,
        };
        Ok(Self { at, id, fetch: i64::from(limit) + 1, limit: limit as usize })
    }

    /// Cuts the extra item off and makes the cursor from the last one kept.
    pub(crate) fn listing<T>(
        &self,
        mut items: Vec<T>,
        key: impl Fn(&T) -> (Micros, String),
    ) -> Listing<T> {
        let more = items.len() > self.limit;
        items.truncate(self.limit);
        let next_cursor = items.last().filter(|_| more).map(|last| {
            let (at, id) = key(last);
            URL_SAFE_NO_PAD.encode(format!("{}:{id}", at.0))
        });
        Listing { items, next_cursor }
    }
}

fn decode(cursor: &str) -> Option<(i64, String)> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (at, id) = text.split_once(':')?;
    Some((at.parse().ok()?, id.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back_and_nonsense_is_refused() {
        let all = After::of(&Page::first(2)).expect("first page");
        let listing = all.listing(vec![3, 2, 1], |&n| (Micros(n), format!("x_{n}")));
        assert_eq!(listing.items, [3, 2]);
        let next = After::of(&Page { limit: 2, cursor: listing.next_cursor }).expect("next page");
        assert_eq!((next.at, next.id.as_str()), (2, "x_2"));
        for bad in ["!", "bm9jb2xvbg", "eDp5"] {
            let page = Page { limit: 2, cursor: Some(bad.into()) };
            assert!(matches!(After::of(&page), Err(StoreError::BadCursor)), "{bad}");
        }
    }
}
