use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use codehost_oauth::error::{ConfigError, TextFault, UntrustedText};
use codehost_oauth::transport::Network;
use codehost_oauth::{
    Access, AccessToken, AccountKey, BaseUrl, CallbackUrl, ClientCredentials, Email, EmailAuthority, EmailEvidence,
    EmailTrust, IntegrationId, PublicUrl, RefreshToken, Scope, Scopes, TokenBinding, TokenSet, User,
};
use proptest::prelude::*;

use crate::values::base_url::unescape;

/// The cases of a table: lines of tab-separated cells. Lines that begin with `#` are comments.
pub(crate) fn rows(table: &str) -> impl Iterator<Item = Vec<&str>> {
    table.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect())
}

fn id(text: &str) -> IntegrationId {
    text.parse().unwrap()
}

fn base(text: &str) -> BaseUrl {
    BaseUrl::parse(text, &Network::public_only()).unwrap()
}

fn valid_id() -> impl Strategy<Value = IntegrationId> {
    "[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?".prop_map(|text| id(&text))
}

fn platform() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["gitlab", "bitbucket-cloud", "git", "gitlab-x", "a", "forgejo", "oauth", "callback"])
}

fn app() -> impl Strategy<Value = PublicUrl> {
    prop::sample::select(vec![
        "https://app.example.com",
        "https://app.example.com/sub/",
        "https://app.example.com/oauth/callback/gitlab",
        "http://localhost:9000/a",
    ])
    .prop_map(|text| text.parse().unwrap())
}

// ---- integration ids and callback URLs (F3, F4)

#[test]
fn integration_ids_have_a_strict_syntax() {
    for good in ["a", "0", "a-b", "a--b", &"a".repeat(63), "2fast", "xn--a"] {
        assert_eq!(id(good).as_str(), good);
    }
    for bad in
        ["", "-", "-a", "a-", "A", "a_b", "a.b", "a/b", "a b", " a", "a\n", "ü", "ａ", "%61", "..", &"a".repeat(64)]
    {
        assert!(matches!(bad.parse::<IntegrationId>(), Err(ConfigError::IntegrationId)), "{bad:?}");
    }
    for (name, slug) in [("On-premise GitLab", "onpremisegitlab"), ("Git (Büro) #2", "gitbro2"), ("ＧＩＴ x", "x")]
    {
        assert_eq!(IntegrationId::from_name(name).unwrap().as_str(), slug);
    }
    for name in ["", "---", "日本語", "ü", &"x".repeat(64)] {
        assert!(IntegrationId::from_name(name).is_err(), "{name:?}");
    }
    for (one, other, overlap) in
        [("git", "git-2", true), ("git", "git", true), ("git", "gi2", false), ("git", "2-git", false)]
    {
        assert_eq!((id(one).overlaps(&id(other)), id(other).overlaps(&id(one))), (overlap, overlap), "{one} {other}");
    }
    // Random ids use all of the 32 letters: 26 of them cannot be guessed.
    let letters: BTreeSet<char> =
        (0..200).map(|_| IntegrationId::random().unwrap().to_string()).collect::<String>().chars().collect();
    assert_eq!(letters, "abcdefghijklmnopqrstuvwxyz234567".chars().collect());
}

/// The router compares the path with the callback URL of the setup guide, so only the exact path may match.
#[test]
fn a_callback_url_is_only_at_its_exact_path() {
    let public_url: PublicUrl = "https://app.example.com/sub".parse().unwrap();
    let url = CallbackUrl::new(&public_url, "gitlab", &id("demo"));
    assert!(url.is_at("/sub/oauth/callback/gitlab/demo"));
    assert!(url.is_at("/oauth/callback/gitlab/demo"), "behind a proxy that strips the sub-path");
    let foreign = [
        "",
        "/",
        "demo",
        "/oauth/callback/gitlab",
        "/oauth/callback/gitlab/",
        "/oauth/callback/gitlab/demo2",
        "/oauth/callback/gitlab/dem",
        "/oauth/callback/gitlab/Demo",
        "/oauth/callback/GitLab/demo",
        "/oauth/callback/git/demo",
        "/oauth/callback/bitbucket-cloud/demo",
        "/other/oauth/callback/gitlab/demo",
        "/sub/sub/oauth/callback/gitlab/demo",
        "oauth/callback/gitlab/demo",
        "https://app.example.com/sub/oauth/callback/gitlab/demo",
    ];
    for path in foreign {
        assert!(!url.is_at(path), "{path}");
    }
    for own in ["/sub/oauth/callback/gitlab/demo", "/oauth/callback/gitlab/demo"] {
        for (before, after) in [
            ("", "/"),
            ("", "//"),
            ("", "/x"),
            ("", "/."),
            ("", "/.."),
            ("", "x"),
            ("", "-x"),
            ("", "?"),
            ("", "?code=x"),
            ("", "#"),
            ("", "%00"),
            ("", "%20"),
            ("", "%2F"),
            ("", ";x"),
            ("", " "),
            ("", "\t"),
            ("", "\n"),
            ("", "\0"),
            ("", "."),
            ("/", ""),
            ("/.", ""),
            ("/x/..", ""),
            (" ", ""),
            ("\\", ""),
            ("\t", ""),
        ] {
            assert!(!url.is_at(&format!("{before}{own}{after}")), "{before:?} {own} {after:?}");
        }
        for (plain, encoded) in [
            ("demo", "%64emo"),
            ("demo", "dem%6F"),
            ("demo", "dem%6f"),
            ("/demo", "%2Fdemo"),
            ("gitlab", "%67itlab"),
            ("/", "\\"),
            ("/o", "/./o"),
            ("/o", "//o"),
        ] {
            assert!(!url.is_at(&own.replace(plain, encoded)), "{encoded}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn callback_urls_are_prefixes_only_if_their_ids_overlap(app in app(), p in platform(), q in platform(), a in valid_id(), b in valid_id()) {
        let [one, other] = [CallbackUrl::new(&app, p, &a), CallbackUrl::new(&app, q, &b)];
        let prefix = one.as_str().starts_with(other.as_str()) || other.as_str().starts_with(one.as_str());
        if p == q {
            prop_assert_eq!(prefix, a.overlaps(&b));
            prop_assert_eq!(one == other, a == b);
        } else {
            prop_assert!(!prefix, "{} {}", one, other);
        }
    }

    #[test]
    fn random_ids_never_overlap(_ in 0..32) {
        let [a, b] = [IntegrationId::random().unwrap(), IntegrationId::random().unwrap()];
        prop_assert!(!a.overlaps(&b));
        prop_assert_eq!(id(a.as_str()), a);
    }

    #[test]
    fn a_callback_path_belongs_to_one_callback_url(app in app(), p in platform(), q in platform(), a in valid_id(), b in valid_id()) {
        let [one, other] = [CallbackUrl::new(&app, p, &a), CallbackUrl::new(&app, q, &b)];
        let path = one.as_str().splitn(4, '/').nth(3).map(|path| format!("/{path}")).unwrap();
        prop_assert!(one.is_at(&path));
        prop_assert_eq!(other.is_at(&path), p == q && a == b);
        let longer = [format!("{path}/"), format!("{path}{b}"), format!("/{path}")];
        prop_assert!(!longer.iter().any(|path| one.is_at(path)));
        prop_assert_eq!(one.is_at(&path.replace(a.as_str(), b.as_str())), a == b);
    }

    #[test]
    fn a_name_gives_a_valid_id_or_an_error(name in any::<String>()) {
        match IntegrationId::from_name(&name) {
            Ok(slug) => prop_assert_eq!(id(slug.as_str()), slug),
            Err(error) => {
                let kept = name.chars().filter(char::is_ascii_alphanumeric).count();
                prop_assert!(kept == 0 || kept > 63);
                prop_assert!(matches!(error, ConfigError::NoSlug));
            }
        }
    }
}

// ---- account keys (I1, I6)

fn subject() -> impl Strategy<Value = String> {
    prop_oneof!["[aAbB:./_ 0-9-]{0,6}", any::<String>(), "[0-9]{1,6}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn account_keys_are_injective_under_any_collation(
        p in platform(), q in platform(), a in valid_id(), b in valid_id(), x in subject(), y in subject(),
    ) {
        let [one, other] = [AccountKey::new(a, p, &*x), AccountKey::new(b, q, &*y)];
        let [first, second] = [one.to_string(), other.to_string()];
        prop_assert_eq!(one == other, first == second);
        prop_assert_eq!(one == other, first.eq_ignore_ascii_case(&second));
        // Lower-case ASCII without blanks: no collation folds, trims or ignores any of it.
        prop_assert!(first.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b':')), "{}", first);
        prop_assert_eq!(one.subject(), x.as_str());
    }

    #[test]
    fn a_stored_account_key_is_read_again(p in platform(), a in valid_id(), x in subject()) {
        let key = AccountKey::new(a, p, &*x);
        let can_be_stored = (1..=255).contains(&x.len()) && !x.contains(char::is_control);
        prop_assert_eq!(key.to_string().parse::<AccountKey>().ok(), can_be_stored.then_some(key));
    }

    #[test]
    fn each_account_key_has_one_text(text in "([a-z]{1,3}|[a-zA-Z.-]{0,3}):(demo|[a-zA-Z]{0,3}):([0-9]{1,3}|[a-zA-Z0-9.:-]{0,9})") {
        if let Ok(key) = text.parse::<AccountKey>() {
            prop_assert_eq!(key.to_string(), text);
        }
    }

    #[test]
    fn different_subjects_have_different_keys(x in subject(), y in subject()) {
        prop_assume!(x != y);
        let [one, other] = [AccountKey::new(id("demo"), "p", &*x), AccountKey::new(id("demo"), "p", &*y)];
        prop_assert_ne!(one.to_string(), other.to_string());
        // A subject cannot be the encoding of another subject.
        let encoded = one.to_string().replacen("p:demo:", "", 1);
        let respelled = AccountKey::new(id("demo"), "p", &*encoded).to_string();
        prop_assert_eq!(respelled == one.to_string(), encoded == x);
    }
}

#[test]
fn account_keys_are_stable_texts() {
    // These texts are in databases: they never change.
    for (subject, expected) in [
        ("42", "gitlab:demo:42"),
        ("", "gitlab:demo:"),
        ("aB", "gitlab:demo:a.42"),
        ("Ab", "gitlab:demo:.41b"),
        ("a:b", "gitlab:demo:a.3ab"),
        ("a.b", "gitlab:demo:a.2eb"),
        ("ü", "gitlab:demo:.c3.bc"),
        ("a\0", "gitlab:demo:a.00"),
        ("{9484702e-c663-4afd-aefb-c93a8cd31c28}", "gitlab:demo:.7b9484702e-c663-4afd-aefb-c93a8cd31c28.7d"),
    ] {
        assert_eq!(AccountKey::new(id("demo"), "gitlab", subject).to_string(), expected);
    }
}

#[test]
fn other_texts_are_no_account_keys() {
    let too_long = format!("gitlab:demo:{}", "1".repeat(256));
    for text in [
        "",
        "gitlab",
        "gitlab:demo",
        "gitlab:demo:",
        ":demo:1",
        "gitlab::1",
        "gitlab:demo:1:2",
        "GitLab:demo:1",
        "gitlab:Demo:1",
        "gitlab:demo:A",
        "gitlab:demo:a b",
        "gitlab:demo:.4",
        "gitlab:demo:.zz",
        "gitlab:demo:.+1",
        "gitlab:demo:.61",
        "gitlab:demo:.2E",
        "gitlab:demo:.ff",
        "gitlab:demo:.0a",
        "gitlab:demo:ü",
        "gitlab:demo:.ü",
        " gitlab:demo:1",
        &too_long,
    ] {
        let error = text.parse::<AccountKey>().unwrap_err();
        assert_eq!(error.code(), "account_key_text", "{text:?}");
    }
    assert_eq!(too_long[..too_long.len() - 1].parse::<AccountKey>().unwrap().subject(), "1".repeat(255));
}

// ---- secrets (T1, T7, T8, T9)

fn binding(url: &str) -> TokenBinding {
    TokenBinding::new(id("demo"), base(url))
}

fn tokens(access: &str, refresh: &str) -> TokenSet {
    let here = binding("https://git.example.com");
    let mut set = TokenSet::new(AccessToken::new(access.to_owned(), &here).unwrap());
    set.refresh_token = RefreshToken::new(refresh.to_owned(), &here);
    set.scopes = Some("read_user".parse().unwrap());
    set.expires_in = Some(Duration::from_secs(7200));
    set.received_at = SystemTime::UNIX_EPOCH;
    set
}

proptest! {
    #[test]
    fn no_part_of_a_secret_is_in_any_debug(secret in "[A-Z!#$%&*+=@^|~]{4,40}", other in "[!-~]{1,60}") {
        let here = binding("https://git.example.com");
        let text_of = |secret: &str| {
            let client = ClientCredentials::new(here.base_url(), "my-id", secret).unwrap();
            let set = tokens(secret, secret);
            format!(
                "{client:?} {client:#?} {set:?} {set:#?} {:?} {:#?} {:?} {:?}",
                set.access_token, set.refresh_token, set.access_token.duplicate(), client.expose_for(&base("https://x.example")),
            )
        };
        let text = text_of(&secret);
        for window in secret.as_bytes().windows(4) {
            let part = std::str::from_utf8(window).unwrap();
            prop_assert!(!text.contains(part), "{} in {}", part, text);
        }
        // The length of the secret is not shown either.
        prop_assert_eq!(text, text_of(&other));
    }

    #[test]
    fn secrets_must_be_visible_ascii(text in any::<String>()) {
        let here = binding("https://git.example.com");
        let visible = |text: &str| !text.is_empty() && text.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
        prop_assert_eq!(AccessToken::new(text.clone(), &here).is_some(), visible(&text));
        prop_assert_eq!(RefreshToken::new(text.clone(), &here).is_some(), visible(&text));
        let trimmed = text.trim();
        prop_assert_eq!(ClientCredentials::new(here.base_url(), "id", &text).is_ok(), visible(trimmed));
        prop_assert_eq!(ClientCredentials::new(here.base_url(), &text, "secret").is_ok(), visible(trimmed));
    }

    #[test]
    fn no_token_lifetime_panics(seconds in any::<u64>(), nanos in 0..1_000_000_000_u32, offset in any::<u32>()) {
        let mut set = tokens("a", "b");
        set.received_at = SystemTime::UNIX_EPOCH + Duration::from_secs(offset.into());
        set.expires_in = Some(Duration::new(seconds, nanos));
        prop_assert_eq!(set.expires_at(), set.received_at.checked_add(Duration::new(seconds, nanos)));
    }
}

#[test]
fn debug_shows_values_as_text_and_redacts_secrets() {
    let base = base("https://git.example.com/gitlab");
    let client = ClientCredentials::new(&base, "my-id", "client-secret").unwrap();
    for part in
        ["base_url: BaseUrl(https://git.example.com/gitlab)", r#"client_id: "my-id""#, "client_secret: [redacted]"]
    {
        assert!(format!("{client:?}").contains(part), "{client:?}");
    }
    let access = AccessToken::new("access".to_owned(), &binding("https://git.example.com")).unwrap();
    assert_eq!(format!("{access:?} {:?}", access.duplicate()), "AccessToken([redacted]) AccessToken([redacted])");

    let public_url: PublicUrl = "https://app.example.com/sub/".parse().unwrap();
    let callback_url = CallbackUrl::new(&public_url, "gitlab", &id("demo"));
    for (debug, display, json, text) in [
        (format!("{base:?}"), base.to_string(), serde_json::to_value(&base), "https://git.example.com/gitlab"),
        (
            format!("{public_url:?}"),
            public_url.to_string(),
            serde_json::to_value(&public_url),
            "https://app.example.com/sub",
        ),
        (format!("{:?}", id("demo")), id("demo").to_string(), serde_json::to_value(id("demo")), "demo"),
        (
            format!("{callback_url:?}"),
            callback_url.to_string(),
            serde_json::to_value(&callback_url),
            "https://app.example.com/sub/oauth/callback/gitlab/demo",
        ),
    ] {
        assert!(debug.contains(text), "{debug}");
        assert_eq!((display.as_str(), json.unwrap()), (text, text.into()));
    }
    assert_eq!(base.as_ref(), base.as_str());
}

#[test]
fn malformed_secrets_are_refused() {
    let here = binding("https://git.example.com");
    for byte in 0..=0x20_u8 {
        for text in
            [format!("{}abc", char::from(byte)), format!("a{}c", char::from(byte)), format!("abc{}", char::from(byte))]
        {
            assert!(AccessToken::new(text.clone(), &here).is_none(), "{text:?}");
        }
        assert!(ClientCredentials::new(here.base_url(), "id", &format!("a{}c", char::from(byte))).is_err());
    }
    for text in ["", "a\u{7f}", "ü", "ü\u{a0}", "a\u{200b}", "a\r\nX-Evil: 1", "a\u{2028}b"] {
        assert!(AccessToken::new(text.to_owned(), &here).is_none(), "{text:?}");
        let credentials = ClientCredentials::new(here.base_url(), "id", text);
        assert!(matches!(credentials, Err(ConfigError::ClientSecret(_))), "{text:?}");
    }
    // Space around a pasted secret is cut off, that around a token from a server is not.
    assert!(AccessToken::new("a\u{a0}".to_owned(), &here).is_none());
    assert!(ClientCredentials::new(here.base_url(), "id", "a\u{a0}").is_ok());
    assert!(AccessToken::new("a".repeat(16 * 1024), &here).is_some());
    assert!(AccessToken::new("a".repeat(16 * 1024 + 1), &here).is_none());
    assert!(ClientCredentials::new(here.base_url(), "id", &"a".repeat(4096)).is_ok());
    assert!(ClientCredentials::new(here.base_url(), "id", &"a".repeat(4097)).is_err());
    assert!(matches!(ClientCredentials::new(here.base_url(), "", "x"), Err(ConfigError::ClientId(_))));
    let pasted = ClientCredentials::new(here.base_url(), " my-id\n", "\tsecret\r\n").unwrap();
    assert_eq!((pasted.client_id(), pasted.expose_for(here.base_url()).unwrap()), ("my-id", "secret"));
}

/// T7: no secret is given for another base URL, however similar.
#[test]
fn secrets_are_given_for_their_base_url_only() {
    let here = binding("https://git.example.com/gitlab");
    let client = ClientCredentials::new(here.base_url(), "id", "canary-client-secret").unwrap();
    let access = AccessToken::new("access".to_owned(), &here).unwrap();
    let refresh = RefreshToken::new("refresh".to_owned(), &here).unwrap();
    for same in ["https://git.example.com/gitlab", "https://GIT.example.com:443/gitlab/"] {
        let same = base(same);
        assert_eq!(client.expose_for(&same).unwrap(), "canary-client-secret");
        assert_eq!(access.expose_for(&same).unwrap(), "access");
        assert_eq!(refresh.expose_for(&same).unwrap(), "refresh");
        assert_eq!(access.duplicate().expose_for(&same).unwrap(), "access");
    }
    let network = Network::any().danger_allow_http();
    for other in [
        "https://git.example.com",
        "https://git.example.com/gitlab2",
        "https://git.example.com/GitLab",
        "https://git.example.com/gitlab/x",
        "https://git.example.com:8443/gitlab",
        "http://git.example.com/gitlab",
        "https://evil.test/gitlab",
        "https://git.example.com.evil.test/gitlab",
        "https://10.0.0.5/gitlab",
    ] {
        let other = BaseUrl::parse(other, &network).unwrap();
        let errors = [client.expose_for(&other), access.expose_for(&other), refresh.expose_for(&other)];
        for error in errors.map(Result::unwrap_err) {
            assert!(matches!(error, ConfigError::OtherBinding { .. }), "{other}");
            assert_eq!(error.code(), "other_binding");
        }
        assert!(access.duplicate().expose_for(&other).is_err());
    }
}

#[test]
fn token_lifetimes_at_the_edges() {
    let mut set = tokens("a", "b");
    for (expires_in, expected) in [
        (None, None),
        (Some(Duration::ZERO), Some(SystemTime::UNIX_EPOCH)),
        (Some(Duration::from_secs(7200)), SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(7200))),
        (Some(Duration::MAX), None),
        (Some(Duration::from_secs(u64::MAX)), None),
    ] {
        set.expires_in = expires_in;
        assert_eq!(set.expires_at(), expected);
    }
}

// ---- untrusted text (C3)

const INVISIBLE: [char; 24] = [
    '\u{ad}',
    '\u{61c}',
    '\u{180e}',
    '\u{200b}',
    '\u{200c}',
    '\u{200d}',
    '\u{200e}',
    '\u{200f}',
    '\u{2028}',
    '\u{2029}',
    '\u{202a}',
    '\u{202b}',
    '\u{202c}',
    '\u{202d}',
    '\u{202e}',
    '\u{2060}',
    '\u{2066}',
    '\u{2069}',
    '\u{206f}',
    '\u{feff}',
    '\u{fff9}',
    '\u{fffb}',
    '\u{e0001}',
    '\u{e007f}',
];

#[test]
fn untrusted_text_is_sanitized_and_escaped() {
    let huge = UntrustedText::new(&"\u{1F600}".repeat(300_000));
    assert_eq!(huge.sanitized().chars().count(), 512);
    for c in (0..0x20).chain(0x7f..0xa0).filter_map(char::from_u32).chain(INVISIBLE) {
        assert_eq!(UntrustedText::new(&format!("a{c}b")).sanitized(), "a\u{FFFD}b", "{c:?}");
    }
    for kept in ["plain", "ü ß 日本語 \u{1F600}", "a/b?c=d&e", "שלום"] {
        assert_eq!(UntrustedText::new(kept).sanitized(), kept);
    }
    let hostile = UntrustedText::new("<script>alert('x')</script>\r\nSet-Cookie: \"a\"&b=\u{1b}[2J\u{202e}");
    assert_eq!(
        hostile.escaped_html(),
        "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;\u{FFFD}\u{FFFD}Set-Cookie: &quot;a&quot;&amp;b=\u{FFFD}[2J\u{FFFD}"
    );
    assert_eq!(UntrustedText::new("").sanitized(), "");
}

proptest! {
    #[test]
    fn untrusted_text_is_bounded_and_on_one_line(text in any::<String>(), times in 1..200_usize) {
        let untrusted = UntrustedText::new(&text.repeat(times));
        let sanitized = untrusted.sanitized();
        prop_assert!(sanitized.chars().count() <= 512);
        prop_assert!(!sanitized.chars().any(|c| c.is_control() || INVISIBLE.contains(&c)));
        prop_assert_eq!(sanitized.lines().count(), usize::from(!sanitized.is_empty()));
        let html = untrusted.escaped_html();
        prop_assert!(!html.contains(['<', '>', '"', '\'']));
        prop_assert!(html.split('&').skip(1).all(|rest| ["amp;", "lt;", "gt;", "quot;", "#39;"].iter().any(|e| rest.starts_with(e))));
        let debug = format!("{untrusted:?}");
        prop_assert_eq!(debug, format!("UntrustedText({} chars)", sanitized.chars().count()));
    }
}

// ---- e-mail addresses (I5)

#[test]
fn every_email_of_the_table_has_its_result() {
    let mut count = 0;
    let mut wrong = Vec::new();
    for row in rows(include_str!("../../fixtures/values/emails.tsv")) {
        let address = unescape(row[1]);
        let expected = row.get(2).map_or_else(|| address.clone(), |kept| unescape(kept));
        let email = Email::new(&address, EmailEvidence::Confirmed, EmailAuthority::Platform, true);
        let mut user = User::new(AccountKey::new(id("demo"), "gitlab", "42"));
        user.emails.extend(email.clone());
        let (kept, why) = match row[0] {
            "yes" => (Some(expected.as_str()), Ok(expected.as_str())),
            "listed" => (Some(expected.as_str()), Err("email_not_ascii")),
            _ => (None, Err("no_trusted_email")),
        };
        for trust in [EmailTrust::Platform, EmailTrust::ThisInstance, EmailTrust::WithoutVerification] {
            let found = user.require_trusted_email(trust).map_err(|error| error.code());
            if email.as_ref().map(|email| email.address()) != kept || found != why {
                wrong.push(format!("{row:?}: {email:?} {found:?}"));
            }
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(count, 116, "the table has changed: update this count");
}

proptest! {
    #[test]
    fn an_accepted_email_is_one_address(text in "[a-z<>,;:\"()@. \\[\\]\\\\]{0,12}@?[a-z.@<>,-]{0,8}", other in any::<String>()) {
        for text in [text, other] {
            if let Some(email) = Email::new(&text, EmailEvidence::Unknown, EmailAuthority::SelfManaged, false) {
                prop_assert_eq!(email.address().matches('@').count(), 1);
                let (local, domain) = email.address().split_once('@').unwrap();
                prop_assert!(domain.bytes().all(|byte| byte.is_ascii_graphic()));
                prop_assert!(!local.chars().any(|c| c.is_control() || c.is_whitespace()));
                prop_assert!(local.split('.').all(|word| !word.is_empty()));
                let marks = ['<', '>', ',', ';', ':', '"', '(', ')', '[', ']', '\\', '%', '!'];
                prop_assert!(!email.address().contains(marks));
                prop_assert!(email.address().len() <= 254 && domain.parse::<std::net::IpAddr>().is_err());
            }
        }
    }

    /// The accepted address is the one that a mail system gets, so parsing it again must not change it.
    #[test]
    fn an_accepted_email_parses_to_itself(local in "[a-z\u{e0}-\u{ff}]{1,4}", domain in "[a-zA-Z\u{e0}-\u{ff}\u{430}-\u{44f}]{1,6}\\.example") {
        let new = |text: &str| Email::new(text, EmailEvidence::Unknown, EmailAuthority::SelfManaged, false);
        if let Some(email) = new(&format!("{local}@{domain}")) {
            let again = new(email.address());
            prop_assert_eq!(Some(email), again);
        }
    }
}

/// `raw` keeps the provider's response for the app; no log shows it.
#[test]
fn debug_of_a_user_does_not_show_the_response() {
    let mut user = User::new(AccountKey::new(id("demo"), "gitlab", "42"));
    user.raw = "{\"private\":\"CANARY\"}".into();
    user.username = Some("CANARY".into());
    user.display_name = Some("CANARY".into());
    assert!(!format!("{user:?} {user:#?}").contains("CANARY"));
}

// ---- scopes

#[test]
fn scopes_have_a_strict_syntax() {
    for bad in ["", " ", "a b", "a\"b", "a\\b", "a,b", "ü", "a\n", "\0", &"a".repeat(257)] {
        assert!(matches!(bad.parse::<Scope>(), Err(ConfigError::Scope(_))), "{bad:?}");
    }
    for good in ["read_user", "pullrequest:write", "https://x.example/scope", "!#[]~", &"a".repeat(256)] {
        assert_eq!(good.parse::<Scope>().unwrap().as_str(), good);
    }
    for (text, expected) in [("", ""), (" ", ""), ("a", "a"), ("a  b", "a b"), ("a,b", "a b"), ("b a, b ,a", "b a")] {
        assert_eq!(text.parse::<Scopes>().unwrap().to_string(), expected, "{text:?}");
    }
    for bad in ["a\tb", "a \"b\"", "a b\n"] {
        assert!(bad.parse::<Scopes>().is_err(), "{bad:?}");
    }
}

#[test]
fn access_levels_and_email_trust_round_trip_through_text() {
    let custom = Access::Custom("api read_user".parse().unwrap());
    let levels = [
        (Access::SignIn, "sign-in"),
        (Access::Read, "read"),
        (Access::Write, "write"),
        (custom, "scopes:api read_user"),
    ];
    for (access, text) in levels {
        assert_eq!((access.to_string(), text.parse().as_ref()), (text.to_owned(), Ok(&access)));
        let json = serde_json::to_string(&access).unwrap();
        assert_eq!(json, format!("{text:?}"));
        assert_eq!(serde_json::from_str::<Access>(&json).unwrap(), access);
    }
    for bad in ["", "Read", " read", "sign_in", "integration", "scopes"] {
        assert_eq!(bad.parse::<Access>(), Err(ConfigError::Access), "{bad:?}");
    }
    assert_eq!("scopes: ".parse::<Access>(), Err(ConfigError::NoScopes));
    assert_eq!("scopes:a\"b".parse::<Access>(), Err(ConfigError::Scope(TextFault::Character)));

    let trusts = [
        (EmailTrust::Platform, "platform"),
        (EmailTrust::ThisInstance, "this-instance"),
        (EmailTrust::WithoutVerification, "without-verification"),
    ];
    for (trust, text) in trusts {
        assert_eq!((trust.to_string(), text.parse()), (text.to_owned(), Ok(trust)));
        let json = serde_json::to_string(&trust).unwrap();
        assert_eq!(json, format!("{text:?}"));
        assert_eq!(serde_json::from_str::<EmailTrust>(&json).unwrap(), trust);
    }
    for bad in ["", "Platform", "this_instance"] {
        assert_eq!(bad.parse::<EmailTrust>(), Err(ConfigError::EmailTrust), "{bad:?}");
    }
    // The error names the possible values, and does not repeat the text.
    let error = serde_json::from_str::<Access>("\"text\"").unwrap_err().to_string();
    assert!(error.contains("sign-in, read, write") && !error.contains("text"), "{error}");
}

/// As many as fit into a token response of 256 KiB. With quadratic time they would take minutes.
#[test]
fn many_scopes_are_parsed_quickly() {
    let text: String = (0..60_000).map(|number| format!("{number:x} ")).collect();
    let started = std::time::Instant::now();
    assert_eq!(text.parse::<Scopes>().unwrap().len(), 60_000);
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

proptest! {
    #[test]
    fn the_order_of_scopes_does_not_matter(mut names in prop::collection::vec("[a-c]{1,2}", 0..6)) {
        let one: Scopes = names.join(" ").parse().unwrap();
        prop_assert_eq!(&one, &one.to_string().parse().unwrap());
        names.reverse();
        let other: Scopes = names.join(",").parse().unwrap();
        prop_assert_eq!(&one, &other);
        names.push("d".to_owned());
        prop_assert_ne!(one, names.join(" ").parse::<Scopes>().unwrap());
    }
}
