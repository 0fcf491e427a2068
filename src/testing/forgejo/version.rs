/// Which of the two servers it is, and its version.
#[derive(Clone, Debug)]
pub(super) struct ServerVersion {
    pub(super) gitea: bool,
    pub(super) text: String,
    number: [u32; 3],
}

/// For what one of the two servers does in no version.
pub(super) const NEVER: [u32; 3] = [u32::MAX; 3];

impl ServerVersion {
    /// The number is what stands before the first `+` or `-`.
    pub(super) fn new(gitea: bool, text: Option<&str>) -> Self {
        let text = text.unwrap_or(if gitea { "1.27.2" } else { "15.0.3+gitea-1.22.0" });
        let number = text.split(['+', '-']).next().unwrap_or_default();
        let mut parts = number.split('.').map(|part| part.parse().unwrap_or(0));
        let number = [(); 3].map(|()| parts.next().unwrap_or(0));
        Self { gitea, text: text.to_owned(), number }
    }

    /// Whether it is at least the first version of a Forgejo, or the second of a Gitea.
    pub(super) fn at_least(&self, forgejo: [u32; 3], gitea: [u32; 3]) -> bool {
        self.number >= if self.gitea { gitea } else { forgejo }
    }

    pub(super) fn name(&self) -> &'static str {
        if self.gitea { "Gitea" } else { "Forgejo" }
    }
}
