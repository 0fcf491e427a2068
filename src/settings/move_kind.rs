use super::integration_settings::IntegrationSettings;

/// What a change means for the accounts of users and their connections.
///
/// ```
/// use codehost_oauth::settings::{IntegrationSettings, MoveKind};
/// use codehost_oauth::Access;
///
/// let old = IntegrationSettings::new("gitlab", "https://git.example.com", Access::SignIn).named("GitLab").with_client_id("app-id");
/// let mut new = old.clone();
/// new.name = "Our GitLab".to_owned();
/// assert_eq!(MoveKind::of(&old, &new), None);
/// new.client_id = "other-id".to_owned();
/// assert_eq!(MoveKind::of(&old, &new), Some(MoveKind::NewApplication));
/// new.base_url = "https://code.example.com".to_owned();
/// assert_eq!(MoveKind::of(&old, &new), Some(MoveKind::NewServer));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MoveKind {
    /// To another server: the same user ids belong to other users there. The app must forget the accounts and connections.
    NewServer,
    /// To another OAuth application at the same server: the accounts stay, the connections end.
    NewApplication,
    /// To another name of the same server, as a test login has proved: accounts and connections stay.
    SameServer,
}

impl MoveKind {
    /// `None` if it is not a move. Never [`SameServer`](Self::SameServer), which needs a proof.
    pub fn of(old: &IntegrationSettings, new: &IntegrationSettings) -> Option<Self> {
        if old.base_url != new.base_url {
            Some(Self::NewServer)
        } else if old.client_id != new.client_id {
            Some(Self::NewApplication)
        } else {
            None
        }
    }
}
