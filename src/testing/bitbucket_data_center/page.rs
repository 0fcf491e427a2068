//! Pages of a list.

use super::wire::{Refusal, bad_parameter};
use crate::testing::wire::Params;

/// The page that a request asks for.
pub(super) struct Page {
    start: usize,
    limit: usize,
}

impl Page {
    pub(super) fn of(params: &Params, largest: usize) -> Result<Self, Refusal> {
        let number = |name: &'static str, default: usize| match params.get(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| bad_parameter(name)),
        };
        let (start, limit) = (number("start", 0)?, number("limit", 25)?);
        if limit == 0 {
            return Err(bad_parameter("limit"));
        }
        Ok(Self { start, limit: limit.min(largest.max(1)) })
    }

    /// `None` is an entry that the caller does not see. It has a position nevertheless: `nextPageStart` is often not
    /// `start` + `limit`.
    pub(super) fn render(&self, entries: impl Iterator<Item = Option<String>>) -> String {
        let mut values = Vec::new();
        let mut next = None;
        for (position, entry) in entries.enumerate().skip(self.start) {
            let Some(entry) = entry else { continue };
            if values.len() == self.limit {
                next = Some(position);
                break;
            }
            values.push(entry);
        }
        format!(
            "{{\"values\":[{}],\"size\":{},\"limit\":{},\"isLastPage\":{},\"start\":{},\"nextPageStart\":{}}}",
            values.join(","),
            values.len(),
            self.limit,
            next.is_none(),
            self.start,
            next.map_or_else(|| "null".to_owned(), |position| position.to_string())
        )
    }
}
