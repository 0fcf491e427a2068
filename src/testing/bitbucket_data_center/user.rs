use crate::testing::wire::json_string;

/// A user with an account at a fake Bitbucket Data Center.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FakeUser {
    /// The id, which never changes.
    pub id: u64,
    /// The user name, for [`authorize`](crate::testing::FakeBitbucketDataCenter::authorize) and the header `X-AUSERNAME`.
    pub name: String,
    /// The user name as it is in URLs. It often differs from the name.
    pub slug: String,
    /// The display name.
    pub display_name: String,
    /// The e-mail address. It may be empty, or left out of responses.
    pub email: Option<String>,
    /// Whether the account is active.
    pub active: bool,
    /// Whether it is a service user, as which access tokens of a project or repository act.
    pub service: bool,
    /// The avatar's URL, which responses have only if the request asks for a size. `$PATH` is the fake's context path.
    pub avatar_url: Option<String>,
    /// Refuses the user's requests with this status until a CAPTCHA is answered: 401, or 403 as some versions do.
    pub captcha: Option<u16>,
    /// Whether the user is an administrator, with all rights in all projects.
    pub admin: bool,
}

impl FakeUser {
    /// An active user. The slug is made from the name: in lower case, with `_` for what a slug may not contain.
    pub fn new(id: u64, name: &str, display_name: &str, email: &str) -> Self {
        Self {
            id,
            name: name.to_owned(),
            slug: slug(name),
            display_name: display_name.to_owned(),
            email: Some(email.to_owned()),
            active: true,
            service: false,
            avatar_url: None,
            captcha: None,
            admin: false,
        }
    }

    /// `jdoe`, id 42: active, with an avatar whose URL is relative. Has write access to the project `PROJ`, and is an
    /// administrator of the project `EMPTY`.
    pub fn jdoe() -> Self {
        Self {
            avatar_url: Some("$PATH/users/jdoe/avatar.png".to_owned()),
            ..Self::new(42, "jdoe", "Jane Doe", "jdoe@example.com")
        }
    }

    /// `jdoe2`, id 43: no member of any project. A search for `jdoe` finds this user, too.
    pub fn jdoe2() -> Self {
        Self::new(43, "jdoe2", "John Doe", "john@example.com")
    }

    /// `ann.lee@example.com`, id 44: the slug is `ann.lee_example.com`. Administrator of the project `PROJ`.
    pub fn at_sign() -> Self {
        Self::new(44, "ann.lee@example.com", "Ann Lee", "ann.lee@example.com")
    }

    /// `CORP\kim`, id 45: the slug is `corp_kim`. Has write access to the repository `PROJ/web` only.
    pub fn backslash() -> Self {
        Self::new(45, "CORP\\kim", "Kim", "kim@example.com")
    }

    /// `Åsa Lind`, id 46: a name with a blank and a letter outside ASCII. Has read access to the project `PROJ`.
    pub fn blank() -> Self {
        Self {
            avatar_url: Some("https://www.gravatar.com/avatar/0123456789abcdef0123456789abcdef".to_owned()),
            ..Self::new(46, "Åsa Lind", "Åsa <Lind>", "asa@example.com")
        }
    }

    /// `nomail`, id 47: responses have no address.
    pub fn no_email() -> Self {
        Self { email: None, ..Self::new(47, "nomail", "No Mail", "") }
    }

    /// `emptymail`, id 48: the address is empty, as with federated identities.
    pub fn empty_email() -> Self {
        Self::new(48, "emptymail", "Empty Mail", "")
    }

    /// `ina`, id 49: deactivated.
    pub fn inactive() -> Self {
        Self { active: false, ..Self::new(49, "ina", "Ina Ctive", "ina@example.com") }
    }

    /// `access-token-user/1/2`, id 50: a service user.
    pub fn service() -> Self {
        Self { service: true, email: None, ..Self::new(50, "access-token-user/1/2", "Deploy token", "") }
    }

    /// `cap`, id 51: must answer a CAPTCHA.
    pub fn captcha() -> Self {
        Self { captcha: Some(401), ..Self::new(51, "cap", "Cap Tcha", "cap@example.com") }
    }

    /// `admin`, id 1: an administrator.
    pub fn admin() -> Self {
        Self { admin: true, ..Self::new(1, "admin", "Administrator", "admin@example.com") }
    }

    pub(super) fn presets() -> Vec<Self> {
        vec![
            Self::jdoe(),
            Self::jdoe2(),
            Self::at_sign(),
            Self::backslash(),
            Self::blank(),
            Self::no_email(),
            Self::empty_email(),
            Self::inactive(),
            Self::service(),
            Self::captcha(),
            Self::admin(),
        ]
    }

    /// A new name gives a new slug.
    pub(super) fn rename(&mut self, name: &str) {
        name.clone_into(&mut self.name);
        self.slug = slug(name);
    }

    /// Whether the filter of a search finds the user.
    pub(super) fn matches(&self, filter: &str) -> bool {
        let filter = filter.to_lowercase();
        let email = self.email.as_deref().unwrap_or_default();
        [self.name.as_str(), &self.display_name, email].iter().any(|text| text.to_lowercase().contains(&filter))
    }

    /// The members are in Bitbucket's order.
    pub(super) fn json(&self, base_url: &str, context_path: &str, avatar_size: Option<&str>) -> String {
        let email = self.email.as_deref().map(|email| format!("\"emailAddress\":{},", json_string(email)));
        let avatar = self.avatar_url.as_deref().zip(avatar_size).map(|(url, size)| {
            let url = format!("{}?s={size}", url.replace("$PATH", context_path));
            format!(",\"avatarUrl\":{}", json_string(&url))
        });
        format!(
            "{{\"name\":{},{}\"active\":{},\"displayName\":{},\"id\":{},\"slug\":{},\"type\":\"{}\",\
             \"links\":{{\"self\":[{{\"href\":{}}}]}}{}}}",
            json_string(&self.name),
            email.unwrap_or_default(),
            self.active,
            json_string(&self.display_name),
            self.id,
            json_string(&self.slug),
            if self.service { "SERVICE" } else { "NORMAL" },
            json_string(&format!("{base_url}/users/{}", self.slug)),
            avatar.unwrap_or_default(),
        )
    }
}

fn slug(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ['-', '.', '_'].contains(&c);
    name.to_lowercase().chars().map(|c| if allowed(c) { c } else { '_' }).collect()
}
