use std::fmt;

use super::link::SetupLink;
use super::render;
use super::scope::SetupScope;
use crate::values::base_url::BaseUrl;
use crate::values::callback_url::CallbackUrl;

/// Everything that an administrator must see and copy to create the OAuth application.
///
/// All texts are plain text, which the renderings escape. [`Display`](fmt::Display) is for a terminal: each value to copy is
/// on a line of its own.
///
/// # Example: a guide for another platform
///
/// ```
/// use codehost_oauth::setup::{SetupField, SetupGuide};
/// use codehost_oauth::{transport::Network, BaseUrl, CallbackUrl};
///
/// let base = BaseUrl::parse("https://code.example.com", &Network::public_only())?;
/// let callback = CallbackUrl::new(&"https://packages.example.com".parse()?, "sourcehut", &"demo".parse()?);
///
/// let mut guide = SetupGuide::new("sourcehut", "SourceHut", base, callback);
/// guide.steps.push("Open the settings of your account, then \"Applications\".".into());
/// guide.fields.push(SetupField::copy("Redirect URIs", guide.callback_url.as_str()).note("One on each line."));
///
/// let copied = "    https://packages.example.com/oauth/callback/sourcehut/demo\n";
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
    /// The base URL of the code host.
    pub base_url: BaseUrl,
    /// The heading.
    pub title: String,
    /// The pages at which to create the application, the best first.
    pub links: Vec<SetupLink>,
    /// What to do, in order.
    pub steps: Vec<String>,
    /// Every field of the platform's form, in its order.
    pub fields: Vec<SetupField>,
    /// The scopes that logins ask for, and those that come with them.
    pub scopes: Vec<SetupScope>,
    /// Whether the platform's form has a check box for each scope. If not, there is nothing to tick: logins ask for the scopes.
    pub has_scope_boxes: bool,
    /// The labels of the client id and secret. More than one if the platform's pages use different labels.
    pub credentials: Vec<SetupCredentials>,
    /// Frequent mistakes, and what to decide before users log in.
    pub warnings: Vec<String>,
    /// The callback URL, byte for byte as it will be sent. It is also the value of a field.
    pub callback_url: CallbackUrl,
}

impl SetupGuide {
    /// A guide with a title, without steps.
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
            has_scope_boxes: true,
            credentials: Vec::new(),
            warnings: Vec::new(),
            callback_url,
        }
    }

    /// The sentence about a scope that another one includes: which one, and who ticks it. `None` for a scope to tick.
    ///
    /// ```
    /// # use codehost_oauth::setup::{SetupGuide, SetupScope};
    /// # use codehost_oauth::{transport::Network, BaseUrl, CallbackUrl, Scope, ScopeDescription};
    /// # let base = BaseUrl::parse("https://code.example.com", &Network::public_only())?;
    /// # let callback = CallbackUrl::new(&"https://packages.example.com".parse()?, "sourcehut", &"demo".parse()?);
    /// # let describe = |scope: &Scope| {
    /// #     let mut description = ScopeDescription::new(scope.clone(), scope.to_string(), "An example.");
    /// #     if scope.as_str() == "account" {
    /// #         description.implies = "email".parse().unwrap_or_default();
    /// #     }
    /// #     description
    /// # };
    /// let mut guide = SetupGuide::new("sourcehut", "SourceHut", base, callback);
    /// guide.scopes = SetupScope::list(&"account email".parse()?, describe);
    /// assert_eq!(guide.scope_note(&guide.scopes[0]), None);
    /// let note = guide.scope_note(&guide.scopes[1]);
    /// assert_eq!(note.as_deref(), Some("Included in account: the form ticks it too."));
    /// # Ok::<(), codehost_oauth::error::Error>(())
    /// ```
    pub fn scope_note(&self, scope: &SetupScope) -> Option<String> {
        let by = scope.implied_by.as_ref()?;
        Some(match (scope.requested, self.has_scope_boxes) {
            (true, true) => format!("Included in {by}: the form ticks it too."),
            (true, false) => format!("Included in {by}."),
            (false, _) => format!("Included in {by}. Logins do not ask for it."),
        })
    }

    /// CommonMark. Texts are escaped, so none becomes a link, HTML or another block.
    ///
    /// ```
    /// # use codehost_oauth::{setup::SetupGuide, transport::Network, BaseUrl, CallbackUrl};
    /// # let base = BaseUrl::parse("https://code.example.com", &Network::public_only())?;
    /// # let callback = CallbackUrl::new(&"https://packages.example.com".parse()?, "sourcehut", &"demo".parse()?);
    /// let mut guide = SetupGuide::new("sourcehut", "SourceHut", base, callback);
    /// guide.title = "[Demo](javascript:alert)".into();
    /// assert!(guide.to_markdown().starts_with(r"## \[Demo\]\(javascript:alert\)"));
    /// # Ok::<(), codehost_oauth::error::Error>(())
    /// ```
    pub fn to_markdown(&self) -> String {
        render::markdown(self)
    }

    /// An HTML fragment for the app's own page: headings from `h2` on, lists and `code`; no script, style, class or id. Only
    /// `http` and `https` addresses without a placeholder become links.
    ///
    /// ```
    /// # use codehost_oauth::{setup::SetupGuide, transport::Network, BaseUrl, CallbackUrl};
    /// # let base = BaseUrl::parse("https://code.example.com", &Network::public_only())?;
    /// # let callback = CallbackUrl::new(&"https://packages.example.com".parse()?, "sourcehut", &"demo".parse()?);
    /// let mut guide = SetupGuide::new("sourcehut", "SourceHut", base, callback);
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
    /// A note below the field.
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

/// The platform's labels of the client id and the client secret.
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
    /// The two labels, and where they are shown.
    pub fn new(id: impl Into<String>, secret: impl Into<String>, note: impl Into<String>) -> Self {
        Self { id: id.into(), secret: secret.into(), note: note.into() }
    }
}
