use crate::values::scope::{Scope, ScopeDescription, Scopes};

/// One check box of the scopes, and whether to tick it.
///
/// ```
/// use codehost_oauth::{setup::SetupScope, Scope, ScopeDescription};
///
/// let describe = |scope: &Scope| {
///     let mut description = ScopeDescription::new(scope.clone(), scope.to_string(), "An example.");
///     if scope.as_str() == "account" {
///         description.implies = "email".parse().unwrap_or_default();
///     }
///     description
/// };
/// let list = SetupScope::list(&"account email".parse()?, describe);
/// assert!(list[0].must_tick());
/// assert_eq!(list[1].implied_by, Some("account".parse()?));
/// # Ok::<(), codehost_oauth::error::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct SetupScope {
    /// The scope, its label and what it is for.
    #[serde(flatten)]
    pub description: ScopeDescription,
    /// Whether a login asks for it. If not, a requested scope includes it.
    pub requested: bool,
    /// The scope whose check box ticks this one too, and disables it.
    pub implied_by: Option<Scope>,
}

impl SetupScope {
    /// The check boxes for `requested`: first these, in order, then the others that they tick.
    pub fn list(requested: &Scopes, describe: impl Fn(&Scope) -> ScopeDescription) -> Vec<Self> {
        let descriptions: Vec<_> = requested.iter().map(&describe).collect();
        let mut rows = Vec::with_capacity(descriptions.len());
        for (index, description) in descriptions.iter().enumerate() {
            // If two scopes imply each other, the first one must be ticked.
            let implies_this = |(at, other): &(usize, &ScopeDescription)| {
                *at != index
                    && other.implies.contains(&description.scope)
                    && (*at < index || !description.implies.contains(&other.scope))
            };
            let implied_by = descriptions.iter().enumerate().find(implies_this).map(|(_, other)| other.scope.clone());
            rows.push(Self { description: description.clone(), requested: true, implied_by });
        }
        for description in &descriptions {
            for scope in &description.implies {
                if rows.iter().all(|row| row.description.scope != *scope) {
                    let implied_by = Some(description.scope.clone());
                    rows.push(Self { description: describe(scope), requested: false, implied_by });
                }
            }
        }
        rows
    }

    /// Whether the administrator must tick the box. If not, the platform ticks it.
    pub fn must_tick(&self) -> bool {
        self.implied_by.is_none()
    }
}
