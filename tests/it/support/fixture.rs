use std::fs;

/// A whole response from `tests/fixtures`.
pub(crate) struct Fixture {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Fixture {
    /// `name` as in `gitlab/user_alice.http`; `base_url` replaces `$BASE`, and its authority `$HOST`.
    pub(crate) fn load(name: &str, base_url: &str) -> Self {
        let host = base_url.split('/').nth(2).unwrap_or_default();
        let text = text(name).replace("$BASE", base_url).replace("$HOST", host);
        let (head, body) = text.split_once("\n\n").unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| line.split_once(": ").unwrap());
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { status, headers, body: body.to_owned() }
    }
}

/// A file of `tests/fixtures`.
pub(crate) fn text(name: &str) -> String {
    let path = crate::support::programs::root().join("tests/fixtures").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
