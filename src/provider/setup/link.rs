use serde::ser::{Serialize, Serializer};
use url::Url;

/// A page at the code host where the OAuth application is created or found.
///
/// ```
/// use codehost_oauth::setup::{LinkAddress, SetupLink};
///
/// let address = LinkAddress::Template("https://git.example.com/<GROUP_PATH>/applications".into());
/// let link = SetupLink::new(address, "Group applications", "Owners of the group").note("Replace <GROUP_PATH>.");
/// assert_eq!(link.url(), None);
/// assert_eq!(link.note.as_deref(), Some("Replace <GROUP_PATH>."));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct SetupLink {
    /// The page's address.
    pub address: LinkAddress,
    /// The page's name.
    pub label: String,
    /// Who may open it.
    pub who: String,
    /// A note, such as the versions that have the page.
    pub note: Option<String>,
}

impl SetupLink {
    /// A link without a note.
    pub fn new(address: LinkAddress, label: impl Into<String>, who: impl Into<String>) -> Self {
        Self { address, label: label.into(), who: who.into(), note: None }
    }

    /// The same with a note.
    #[must_use]
    pub fn note(self, note: impl Into<String>) -> Self {
        Self { note: Some(note.into()), ..self }
    }

    /// The URL; `None` if the address has a placeholder.
    pub fn url(&self) -> Option<&Url> {
        match &self.address {
            LinkAddress::Url(url) => Some(url),
            LinkAddress::Template(_) => None,
        }
    }
}

/// The address of a page, or a template for it.
///
/// ```
/// use codehost_oauth::setup::LinkAddress;
///
/// let template = LinkAddress::Template("https://bitbucket.org/<WORKSPACE_NAME>/workspace".into());
/// assert_eq!(template.as_str(), "https://bitbucket.org/<WORKSPACE_NAME>/workspace");
/// assert_eq!(serde_json::to_value(&template)?["template"], template.as_str());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkAddress {
    /// The URL of the page.
    Url(Url),
    /// An address with a placeholder such as `<WORKSPACE_NAME>`. It is shown as text, never as a link.
    Template(String),
}

impl LinkAddress {
    /// The URL or the template.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Url(url) => url.as_str(),
            Self::Template(template) => template,
        }
    }
}

/// `{"url": "…"}` or `{"template": "…"}`.
impl Serialize for LinkAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (index, variant) = match self {
            Self::Url(_) => (0, "url"),
            Self::Template(_) => (1, "template"),
        };
        serializer.serialize_newtype_variant("LinkAddress", index, variant, self.as_str())
    }
}
