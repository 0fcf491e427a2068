use super::email::FakeEmail;
use super::membership::{FakeMembership, FakeTeamMembership};
use super::user::FakeUser;

impl FakeUser {
    /// `janedoe`, id 12345678: has no display name, a verified primary address, an old one that was never verified and a
    /// no-reply address. She is a member of `acme` and of its team `compilers`.
    pub fn jane() -> Self {
        Self {
            name: None,
            emails: vec![
                FakeEmail::new("jane@example.com", true, true),
                FakeEmail::new("old@example.org", false, false),
                FakeEmail::new("12345678+janedoe@users.noreply.github.com", false, true),
            ],
            memberships: vec![FakeMembership::new("acme", "member")],
            teams: vec![FakeTeamMembership::new("acme", "compilers", "member")],
            ..Self::new(12_345_678, "janedoe", "", "jane@example.com")
        }
    }

    /// `owner`, id 101: an owner of `acme` and of `closed`, maintainer of the team `tools`, with two-factor authentication, a
    /// public address and letters outside ASCII.
    pub fn owner() -> Self {
        let mut email = FakeEmail::new("olle@example.com", true, true);
        email.visibility = Some("public".to_owned());
        Self {
            public_email: Some("olle@example.com".to_owned()),
            emails: vec![email],
            two_factor: true,
            memberships: vec![FakeMembership::new("acme", "admin"), FakeMembership::new("closed", "admin")],
            teams: vec![FakeTeamMembership::new("acme", "tools", "maintainer")],
            ..Self::new(101, "owner", "Olle Öwner", "olle@example.com")
        }
    }

    /// `una`, id 102: her primary address was never verified; another one was.
    pub fn unverified() -> Self {
        let emails =
            vec![FakeEmail::new("una@example.com", true, false), FakeEmail::new("una.other@example.com", false, true)];
        Self { emails, ..Self::new(102, "una", "Una Verified", "una@example.com") }
    }

    /// `nomail`, id 103: has no address at all.
    pub fn no_emails() -> Self {
        Self { emails: Vec::new(), ..Self::new(103, "nomail", "No Mail", "") }
    }

    /// `noreply`, id 104: only a no-reply address, which is verified and public.
    pub fn no_reply() -> Self {
        let address = "104+noreply@users.noreply.github.com";
        let mut email = FakeEmail::new(address, true, true);
        email.visibility = Some("public".to_owned());
        Self {
            public_email: Some(address.to_owned()),
            emails: vec![email],
            ..Self::new(104, "noreply", "Nora Reply", address)
        }
    }

    /// `many`, id 105: has this many addresses, the primary one last.
    pub fn many_emails(count: usize) -> Self {
        let entry = |number| FakeEmail::new(&format!("many{number}@example.com"), number == count, true);
        Self { emails: (1..=count).map(entry).collect(), ..Self::new(105, "many", "Many Addresses", "") }
    }

    /// `sue`, id 106: suspended after she authorized the application.
    pub fn suspended() -> Self {
        Self { suspended: true, ..Self::new(106, "sue", "Sue Spended", "sue@example.com") }
    }

    /// `build[bot]`, id 107: a bot.
    pub fn bot() -> Self {
        Self { kind: "Bot".to_owned(), emails: Vec::new(), ..Self::new(107, "build[bot]", "Build", "") }
    }

    /// `old-company`, id 108: an organization rather than a user.
    pub fn organization() -> Self {
        Self { kind: "Organization".to_owned(), emails: Vec::new(), ..Self::new(108, "old-company", "Old Company", "") }
    }

    /// `mona-import`, id 109: a mannequin, which stands for the author of imported data.
    pub fn mannequin() -> Self {
        Self { kind: "Mannequin".to_owned(), emails: Vec::new(), ..Self::new(109, "mona-import", "Mona", "") }
    }

    /// `emma_acme`, id 110: an account that the identity provider of an enterprise manages.
    pub fn managed() -> Self {
        Self {
            memberships: vec![FakeMembership::new("acme", "member")],
            ..Self::new(110, "emma_acme", "Emma Managed", "emma@acme.example")
        }
    }

    /// `pete`, id 111: has not accepted his invitations to `acme` and its team `tools`.
    pub fn pending() -> Self {
        Self {
            memberships: vec![FakeMembership::pending("acme", "member")],
            teams: vec![FakeTeamMembership::pending("acme", "tools", "member")],
            ..Self::new(111, "pete", "Pete Pending", "pete@example.com")
        }
    }

    /// `bill`, id 112: billing manager of `acme`.
    pub fn billing_manager() -> Self {
        Self {
            memberships: vec![FakeMembership::new("acme", "billing_manager")],
            ..Self::new(112, "bill", "Bill Ing", "bill@example.com")
        }
    }

    /// `sam`, id 113: a member of `signed` with a SAML session.
    pub fn with_saml_session() -> Self {
        Self { saml_sessions: vec!["signed".to_owned()], ..Self::member_of_signed(113, "sam", "Sam Signed-In") }
    }

    /// `nils`, id 114: a member of `signed` without a SAML session, and of `acme`.
    pub fn without_saml_session() -> Self {
        let mut user = Self::member_of_signed(114, "nils", "Nils Session");
        user.memberships.push(FakeMembership::new("acme", "member"));
        user
    }

    /// `clara`, id 115: a member of `closed` and its team `inner`, and a public member of `acme`.
    pub fn in_restricted_organization() -> Self {
        let mut acme = FakeMembership::new("acme", "member");
        acme.public = true;
        Self {
            memberships: vec![FakeMembership::new("closed", "member"), acme],
            teams: vec![FakeTeamMembership::new("closed", "inner", "member")],
            ..Self::new(115, "clara", "Clara Closed", "clara@example.com")
        }
    }

    /// `root`, id 1: an administrator of the server, from LDAP.
    pub fn site_admin() -> Self {
        Self {
            site_admin: true,
            ldap_dn: Some("cn=root,dc=example,dc=com".to_owned()),
            ..Self::new(1, "root", "Administrator", "root@example.com")
        }
    }

    /// `enid`, id 116: a member of `acme` through a team of the enterprise.
    pub fn indirect_member() -> Self {
        let mut acme = FakeMembership::new("acme", "member");
        acme.direct = false;
        Self { memberships: vec![acme], ..Self::new(116, "enid", "Enid Terprise", "enid@example.com") }
    }

    pub(super) fn presets() -> Vec<Self> {
        vec![
            Self::jane(),
            Self::owner(),
            Self::unverified(),
            Self::no_emails(),
            Self::no_reply(),
            Self::many_emails(101),
            Self::suspended(),
            Self::bot(),
            Self::organization(),
            Self::mannequin(),
            Self::managed(),
            Self::pending(),
            Self::billing_manager(),
            Self::with_saml_session(),
            Self::without_saml_session(),
            Self::in_restricted_organization(),
            Self::site_admin(),
            Self::indirect_member(),
        ]
    }

    fn member_of_signed(id: u64, login: &str, name: &str) -> Self {
        Self {
            memberships: vec![FakeMembership::new("signed", "member")],
            teams: vec![FakeTeamMembership::new("signed", "core", "member")],
            ..Self::new(id, login, name, &format!("{login}@example.com"))
        }
    }
}
