//! What a client sends.

use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::admin::actions::TypedSecrets;
use crate::admin::fault::Fault;
use crate::admin::posted::Body;
use crate::admin::visit::Visit;
use crate::settings::Draft;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DraftBody {
    pub(super) draft: Draft,
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(default)]
    pub(super) signature: Option<String>,
}

/// Everything that a form has.
#[derive(Deserialize)]
#[serde(from = "Members")]
pub(super) struct SaveBody {
    pub(super) draft: Draft,
    pub(super) secrets: TypedSecrets,
    pub(super) id: Option<String>,
    pub(super) signature: Option<String>,
    pub(super) save_anyway: bool,
    pub(super) version: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Members {
    draft: Draft,
    #[serde(default)]
    client_secret: Zeroizing<String>,
    #[serde(default)]
    client_certificate: Option<Zeroizing<String>>,
    #[serde(default)]
    headers: Option<Zeroizing<String>>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    signature: Option<String>,
    #[serde(default)]
    save_anyway: bool,
    #[serde(default)]
    version: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretBody {
    #[serde(default)]
    pub(super) client_secret: Zeroizing<String>,
    #[serde(default)]
    pub(super) save_anyway: bool,
    #[serde(default)]
    pub(super) version: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NameBody {
    pub(super) name: String,
    #[serde(default)]
    version: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VersionBody {
    #[serde(default)]
    version: Option<i64>,
}

/// A body with the version of the integration that the client has read.
pub(super) trait Versioned: DeserializeOwned + Send {
    fn version(&self) -> Option<i64>;
}

impl Versioned for NameBody {
    fn version(&self) -> Option<i64> {
        self.version
    }
}

impl Versioned for VersionBody {
    fn version(&self) -> Option<i64> {
        self.version
    }
}

impl SaveBody {
    /// Refuses members that this request does not have.
    pub(super) fn refuse(&self, names: &[&str]) -> Result<(), Fault> {
        let is_there = |name: &&&str| match **name {
            "id" => self.id.is_some(),
            "signature" => self.signature.is_some(),
            "save_anyway" => self.save_anyway,
            _ => self.version.is_some(),
        };
        match names.iter().find(is_there) {
            Some(name) => Err(Fault::Json(format!("This request has no member `{name}`."))),
            None => Ok(()),
        }
    }
}

impl From<Members> for SaveBody {
    fn from(members: Members) -> Self {
        let Members { draft, client_secret, client_certificate, headers, id, signature, save_anyway, version } =
            members;
        let secrets = TypedSecrets { client_secret, client_certificate, headers };
        Self { draft, secrets, id, signature, save_anyway, version }
    }
}

impl Visit {
    /// Reads the body of a write: JSON, sent by a page of this app. An empty body counts as `{}`.
    pub(super) async fn read<T: DeserializeOwned>(&self, body: Body) -> Result<T, Fault> {
        let token = self.head.headers.get("x-csrf-token").and_then(|token| token.to_str().ok());
        self.verify_csrf(token.unwrap_or_default()).await?;
        let body = body?;
        if body.is_empty() {
            return serde_json::from_str("{}").map_err(|error| Fault::Json(reason(&error)));
        }
        let kind = self.head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(Fault::NotJson);
        }
        serde_json::from_slice(&body).map_err(|error| Fault::Json(reason(&error)))
    }
}

pub(super) fn missing(member: &str) -> Fault {
    Fault::Json(format!("The member `{member}` is missing."))
}

/// What is wrong with the JSON. serde's own messages can quote values, and a value can be a secret.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let member = text.split('`').nth(1).filter(|name| name.len() <= MAX_NAME);
    let place = format!("line {}, column {}", error.line(), error.column());
    match (member, text.split(' ').next()) {
        (Some(member), Some("unknown")) if text.starts_with("unknown field ") => {
            format!("The member `{member}` is unknown ({place}).")
        }
        (Some(member), Some("missing")) => format!("The member `{member}` is missing."),
        (Some(member), Some("duplicate")) => format!("The member `{member}` is there twice ({place})."),
        _ if error.is_data() => format!("A value has the wrong type ({place})."),
        _ => format!("The body is not valid JSON ({place})."),
    }
}

const MAX_NAME: usize = 64;
