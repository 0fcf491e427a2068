use percent_encoding::percent_decode_str;

use crate::error::Error;
use crate::platforms::database_id;
use crate::transport::ApiResponse;

/// Whose token a request had: each response of the REST API names the user in its headers. An anonymous visitor has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// `X-AUSERID`. Not every version sends it.
    pub(super) id: Option<u64>,
    /// `X-AUSERNAME`, decoded.
    pub(super) name: Option<String>,
    /// The longest part of the name without a `+`: the header may write a blank as `+`.
    pub(super) search: String,
    /// Whether the header can be read in only one way.
    pub(super) is_exact: bool,
}

impl Identity {
    /// `None` for an anonymous visitor, and for a header that cannot be read.
    pub(super) fn of(response: &ApiResponse) -> Option<Self> {
        let id = response.header("x-auserid").and_then(|text| text.parse().ok()).and_then(database_id);
        let header = response.header("x-ausername").unwrap_or_default();
        let decode = |text: &str| percent_decode_str(text).decode_utf8().ok().map(String::from);
        let name =
            decode(&header.replace('+', " ")).filter(|name| !name.is_empty() && !name.contains(char::is_control));
        if id.is_none() && name.is_none() {
            return None;
        }
        let longest = header.split('+').max_by_key(|part| part.len()).unwrap_or_default();
        let search = decode(longest).unwrap_or_default();
        Some(Self { id, name, search, is_exact: !header.contains('+') })
    }

    /// The id of a user without a profile. A name can be given to another user, so it identifies nobody.
    pub(super) fn needed_id(&self, response: &ApiResponse) -> Result<u64, Error> {
        self.id.ok_or_else(|| response.malformed("X-AUSERID"))
    }
}
