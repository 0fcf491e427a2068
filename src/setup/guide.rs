use std::fmt;

use super::link::SetupLink;
use super::render;
use super::scope::SetupScope;
use crate::base_url::BaseUrl;
use crate::host::CallbackUrl;

/// Everything that an administrator must see and copy to create the OAuth application.
///
/// Texts are plain: whatever they hold, the renderings escape it. [`Display`](fmt::Display) is for a terminal, with
/// everything that is to be copied on a line of its own.
///
/// # Example: for a platform of one's own
///
/// ```
/// use codehost_oauth::setup::{SetupField, SetupGuide};
/// use codehost_oauth::{transport::Network, BaseUrl, CallbackUrl};
///
/// let base = BaseUrl::parse("https://code.example.com", &Network::public_only())?;
/// let callback = CallbackUrl::new(&"https://packages.example.com".parse()?, "forgejo", &"demo".parse()?);
///
/// let mut guide = SetupGuide::new("forgejo", "Forgejo", base, callback);
/// guide.steps.push("Open the settings of your account, then \"Applications\".".into());
/// guide.fields.push(SetupField::copy("Redirect URIs", guide.callback_url.as_str()).note("One on each line."));
///
/// let copied = "    https://packages.example.com/oauth/callback/forgejo/demo\n";
/// assert!(guide.to_string().contains(copied));
/// assert!(guide.to_html().contains("<li>Open the settings of your account, then &quot;Applications&quot;.</li>"));
/// # Ok::<(), codehost_oauth::error::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct SetupGuide {
    /// The platform's stable id.
    pub platform_id: String,
    /// The platform's name.
    pub platform_name: String,
    /// Where the code host is.
    pub base_url: BaseUrl,
    /// The heading.
    pub title: String,
    /// Where to create the application, best first.
    pub links: Vec<SetupLink>,
    /// What to do, in order.
    pub steps: Vec<String>,
    /// Every field of the platform's form, in its order.
    pub fields: Vec<SetupField>,
    /// The check boxes of the scopes.
    pub scopes: Vec<SetupScope>,
    /// How the platform calls the client id and secret. More than one row if its pages disagree.
    pub credentials: Vec<SetupCredentials>,
    /// What goes wrong most often, and what to decide before people log in.
    pub warnings: Vec<String>,
    /// The callback URL, which is also among the fields: as it will be sent, byte for byte.
    pub callback_url: CallbackUrl,
}

impl SetupGuide {
    /// A guide with a title and nothing to do yet.
    pub fn new(
        platform_id: impl Into<String>,
        platform_name: impl Into<String>,
        base_url: BaseUrl,
        callback_url: CallbackUrl,
    ) -> Self {
        let platform_name = platform_name.into();
        Self {
            platform_id: platform_id.into(),
            title: format!("Create an OAuth application on {platform_name}"),
            platform_name,
            base_url,
            links: Vec::new(),
            steps: Vec::new(),
            fields: Vec::new(),
            scopes: Vec::new(),
            credentials: Vec::new(),
            warnings: Vec::new(),
            callback_url,
        }
    }

    /// CommonMark. Whatever a text holds, it cannot become a link, HTML or another block.
    ///
    /// ```
    /// # use codehost_oauth::{setup::SetupGuide, transport::Network, BaseUrl, CallbackUrl};
    /// # let base = BaseUrl::parse("https://code.example.com", &Network::public_only())?;
    /// # let callback = CallbackUrl::new(&"https://packages.example.com".parse()?, "forgejo", &"demo".parse()?);
    /// let mut guide = SetupGuide::new("forgejo", "Forgejo", base, callback);
    /// guide.title = "[Demo](javascript:alert)".into();
    /// assert!(guide.to_markdown().starts_with(r"## \[Demo\]\(javascript:alert\)"));
    /// # Ok::<(), codehost_oauth::error::Error>(())
    /// ```
    pub fn to_markdown(&self) -> String {
        render::markdown(self)
    }

    /// A fragment of HTML to put into the host's own page: headings from `h2` on, lists and `code`; no script, no style,
    /// no class, no id. Only `http` and `https` addresses without a placeholder become links.
    ///
    /// ```
    /// # use codehost_oauth::{setup::SetupGuide, transport::Network, BaseUrl, CallbackUrl};
    /// # let base = BaseUrl::parse("https://code.example.com", &Network::public_only())?;
    /// # let callback = CallbackUrl::new(&"https://packages.example.com".parse()?, "forgejo", &"demo".parse()?);
    /// let mut guide = SetupGuide::new("forgejo", "Forgejo", base, callback);
    /// guide.title = "<script>".into();
    /// assert!(guide.to_html().starts_with("<h2>&lt;script&gt;</h2>"));
    /// # Ok::<(), codehost_oauth::error::Error>(())
    /// ```
    pub fn to_html(&self) -> String {
        render::html(self)
    }
}

/// Plain text, wrapped at 80 columns.
impl fmt::Display for SetupGuide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render::text(self, f)
    }
}

/// One field of the platform's form.
///
/// ```
/// use codehost_oauth::setup::SetupField;
///
/// assert!(SetupField::copy("Name", "Demo").copy);
/// assert!(!SetupField::set("Confidential", "on").copy);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct SetupField {
    /// The field's label in the form.
    pub label: String,
    /// The text to enter if `copy` is true, else what to do with the field: `on`, `off`, `leave empty`.
    pub value: String,
    /// What else to know about it.
    pub note: Option<String>,
    /// Whether `value` is to be copied: show it with a copy button.
    pub copy: bool,
}

impl SetupField {
    /// A field to copy `value` into.
    pub fn copy(label: impl Into<String>, value: impl Into<String>) -> Self {
        Self { label: label.into(), value: value.into(), note: None, copy: true }
    }

    /// A check box, or another field to set as `value` says.
    pub fn set(label: impl Into<String>, value: impl Into<String>) -> Self {
        Self { copy: false, ..Self::copy(label, value) }
    }

    /// The same with a note.
    #[must_use]
    pub fn note(self, note: impl Into<String>) -> Self {
        Self { note: Some(note.into()), ..self }
    }
}

/// How the platform calls the client id and the client secret.
///
/// ```
/// use codehost_oauth::setup::SetupCredentials;
///
/// let names = SetupCredentials::new("Key", "Secret", "On the older page.");
/// assert_eq!((names.id.as_str(), names.secret.as_str()), ("Key", "Secret"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct SetupCredentials {
    /// The label of the client id.
    pub id: String,
    /// The label of the client secret.
    pub secret: String,
    /// Where and when they are shown.
    pub note: String,
}

impl SetupCredentials {
    /// The labels, and where they are.
    pub fn new(id: impl Into<String>, secret: impl Into<String>, note: impl Into<String>) -> Self {
        Self { id: id.into(), secret: secret.into(), note: note.into() }
    }
}
