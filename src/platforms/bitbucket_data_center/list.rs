use serde_json::value::RawValue;

use crate::error::Error;
use crate::transport::ApiResponse;
use crate::util::json::Members;

/// One page of a list of the REST API.
pub(super) struct List<'a> {
    pub(super) entries: Vec<&'a RawValue>,
    pub(super) next: Next,
}

/// What follows a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: this was the last page.
    End,
    /// The page that begins here.
    Page(u64),
    /// There is more, but the response does not say where.
    Unknown,
}

impl<'a> List<'a> {
    /// Reads the page that begins at `start`. A page without any of the two members that lead to the next one is the last one.
    pub(super) fn parse(response: &'a ApiResponse, start: u64) -> Result<Self, Error> {
        let malformed = |member| response.malformed(member);
        let members = Members::parse(response.text()).ok_or_else(|| malformed("body"))?;
        let entries = members.required("values").map_err(malformed)?;
        let next = match (members.read("isLastPage"), members.read("nextPageStart")) {
            (Some(true), _) => Next::End,
            // A list that goes back never ends.
            (_, Some(next)) if next > start => Next::Page(next),
            (None, None) if !members.is_set("isLastPage") && !members.is_set("nextPageStart") => Next::End,
            _ => Next::Unknown,
        };
        Ok(Self { entries, next })
    }
}

/// The most pages that are read of a list: 1,000 entries.
pub(super) const MAX_PAGES: usize = 10;
