//! Hostile and odd texts in the renderings of a setup guide, and the checks of a request.

use codehost_oauth::error::ConfigError;
use codehost_oauth::setup::{
    AppOwner, LinkAddress, SetupCredentials, SetupField, SetupGuide, SetupLink, SetupRequest, SetupScope,
};
use codehost_oauth::transport::Network;
use codehost_oauth::{Access, BaseUrl, CallbackUrl, Scope, ScopeDescription, Scopes};

type Result = std::result::Result<(), Box<dyn std::error::Error>>;

/// A guide with `text` in every place.
fn guide(text: &str) -> std::result::Result<SetupGuide, Box<dyn std::error::Error>> {
    let base = BaseUrl::parse("https://code.example.com/sub", &Network::public_only())?;
    let callback = CallbackUrl::new(&"https://packages.example.com".parse()?, "forgejo", &"demo".parse()?);
    let mut guide = SetupGuide::new(text, text, base, callback);
    guide.title = text.into();
    let template = LinkAddress::Template(text.into());
    guide.links = vec![
        SetupLink::new(LinkAddress::Url("https://code.example.com/a'b(c)?d=<&e".parse()?), text, text).note(text),
        SetupLink::new(LinkAddress::Url("javascript:alert(1)".parse()?), text, text),
        SetupLink::new(template, text, text),
    ];
    guide.steps = vec![text.into()];
    guide.fields = vec![SetupField::copy(text, text).note(text), SetupField::set(text, text)];
    let describe = |scope: &Scope| ScopeDescription::new(scope.clone(), text.to_owned(), text.to_owned());
    guide.scopes = SetupScope::list(&"read".parse()?, describe);
    guide.credentials = vec![SetupCredentials::new(text, text, text)];
    guide.warnings = vec![text.into()];
    Ok(guide)
}

#[test]
fn html_escapes_all_texts() -> Result {
    for text in
        ["<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "' onmouseover='x", "</code></dl></li>"]
    {
        let html = guide(text)?.to_html();
        let allowed_tags = ["h2", "h3", "p", "ol", "ul", "li", "dl", "dt", "dd", "code", "small", "strong", "br", "a"];
        for tag in html.split('<').skip(1) {
            let name: String = tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
            assert!(allowed_tags.contains(&name.as_str()), "<{tag}");
        }
        assert!(!html.contains(text));
        // The only quotes are those of the only link's three attributes.
        assert_eq!(html.matches('"').count(), 6);
        assert_eq!(html.matches('\'').count(), 0);
    }
    Ok(())
}

#[test]
fn only_web_addresses_become_links() -> Result {
    let guide = guide("https://evil.example/<GROUP>")?;
    let html = guide.to_html();
    assert_eq!(html.matches("<a ").count(), 1);
    let link =
        "<a href=\"https://code.example.com/a&#39;b(c)?d=%3C&amp;e\" target=\"_blank\" rel=\"noopener noreferrer\">";
    assert!(html.contains(link), "{html}");
    assert!(html.contains("<code>javascript:alert(1)</code>"));
    assert!(html.contains("<code>https://evil.example/&lt;GROUP&gt;</code>"));

    let markdown = guide.to_markdown();
    assert_eq!(markdown.matches("<https").count(), 1);
    assert!(markdown.contains(": <https://code.example.com/a'b(c)?d=%3C&e>\\\n"));
    assert!(markdown.contains("`javascript:alert(1)`"));
    assert!(markdown.contains("`https://evil.example/<GROUP>`"));
    Ok(())
}

#[test]
fn markdown_escapes_all_special_characters() -> Result {
    for (text, escaped) in [
        ("](javascript:alert(1))", r"\]\(javascript:alert\(1\)\)"),
        ("![x](//evil.example)", r"\!\[x\]\(//evil.example\)"),
        ("<b>&amp;", r"\<b\>\&amp;"),
        ("**_`~|", r"\*\*\_\`\~\|"),
        ("# Title", r"\# Title"),
        ("- item-one", r"\- item-one"),
        ("1. one", r"1\. one"),
        ("see WWW.evil.example", r"see WWW\.evil.example"),
        ("see https://evil.example", r"see https\://evil.example"),
        ("a\n\n# b", r"a  \# b"),
        (r"\<b>", r"\\\<b\>"),
        ("@everyone $x$", r"\@everyone \$x\$"),
        ("GitLab 16.7, it's \"fine\".", "GitLab 16.7, it's \"fine\"."),
    ] {
        let markdown = guide(text)?.to_markdown();
        assert!(markdown.starts_with(&format!("## {escaped}\n")), "{markdown}");
        assert!(markdown.contains(&format!("\n- {escaped}\n")), "{markdown}");
    }
    Ok(())
}

/// A name to enter is a code span, so that the Markdown source shows it as it must be entered.
#[test]
fn names_in_markdown_are_code_spans() -> Result {
    for (text, rendered) in [
        ("Tick read_api, or api.", "Tick `read_api`, or api."),
        ("It comes with pullrequest:write.", "It comes with `pullrequest:write`."),
        ("repository:write (read_user) read_user", r"`repository:write` \(read\_user\) `read_user`"),
        ("Replace <GROUP_PATH> with the path", "Replace `<GROUP_PATH>` with the path"),
        ("read_user", "`read_user`"),
        // Text that only looks like a name is escaped.
        (
            "javascript:alert(1) http://x.example read_[x](y)",
            r"javascript:alert\(1\) http\://x.example read\_\[x\]\(y\)",
        ),
        ("<b> <GROUP_PATH onclick=x> <> a_`b_c", r"\<b\> \<GROUP\_PATH onclick=x\> \<\> a\_\`b\_c"),
    ] {
        let markdown = guide(text)?.to_markdown();
        assert!(markdown.contains(&format!("\n1. {rendered}\n")), "{markdown}");
        assert!(markdown.ends_with(&format!("\n- {rendered}\n")), "{markdown}");
    }
    let mut guide = guide("text")?;
    let describe = |scope: &Scope| ScopeDescription::new(scope.clone(), scope.to_string(), "Reads.");
    guide.scopes = SetupScope::list(&"read_user a`b c``d`".parse()?, describe);
    let markdown = guide.to_markdown();
    for span in ["- Tick `read_user`: Reads.\n", "- Tick ``a`b``: Reads.\n", "- Tick ``` c``d` ```: Reads.\n"] {
        assert!(markdown.contains(span), "{markdown}");
    }
    assert!(guide.to_html().contains("<li>Tick <code>read_user</code>: Reads.</li>"));
    Ok(())
}

#[test]
fn a_value_cannot_close_its_code_span() -> Result {
    for (text, span) in [
        ("a`b", "``a`b``"),
        ("a``b", "```a``b```"),
        ("`", "`` ` ``"),
        ("``` <b>", "```` ``` <b> ````"),
        ("a\n\nb", "`a  b`"),
        ("<script>", "`<script>`"),
    ] {
        let markdown = guide(text)?.to_markdown();
        assert!(markdown.contains(&format!("**: {span}\\\n")), "{markdown}");
    }
    Ok(())
}

#[test]
fn text_has_no_terminal_control_characters() -> Result {
    let text = guide("a\u{1b}[31m\u{202e}b\rc\nd")?.to_string();
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
    assert!(!text.contains('\u{202e}'));
    assert!(text.starts_with("a\u{fffd}[31m\u{fffd}b c d\n"));
    Ok(())
}

#[test]
fn text_is_wrapped_except_values_to_copy() -> Result {
    let words = "word ".repeat(60);
    let mut guide = guide(words.trim())?;
    guide.fields = vec![SetupField::copy("Redirect URI", "https://example.com/".repeat(10))];
    guide.links.clear();
    guide.scopes.clear();
    guide.credentials.clear();
    guide.platform_name = "Forgejo".into();
    let text = guide.to_string();
    let (long, short): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.chars().count() > 80);
    assert_eq!(long, [format!("    {}", "https://example.com/".repeat(10))]);
    assert!(short.iter().any(|line| line.chars().count() > 75));
    Ok(())
}

#[test]
fn json_has_all_members() -> Result {
    let mut guide = guide("text")?;
    guide.links.truncate(1);
    guide.links.push(SetupLink::new(LinkAddress::Template("https://x/<GROUP>".into()), "text", "text"));
    let expected = serde_json::json!({
        "platform_id": "text",
        "platform_name": "text",
        "base_url": "https://code.example.com/sub",
        "title": "text",
        "links": [
            {"address": {"url": "https://code.example.com/a'b(c)?d=%3C&e"}, "label": "text", "who": "text", "note": "text"},
            {"address": {"template": "https://x/<GROUP>"}, "label": "text", "who": "text", "note": null},
        ],
        "steps": ["text"],
        "fields": [
            {"label": "text", "value": "text", "note": "text", "copy": true},
            {"label": "text", "value": "text", "note": null, "copy": false},
        ],
        "scopes": [
            {"scope": "read", "label": "text", "reason": "text", "implies": [], "requested": true, "implied_by": null,
             "never_listed": false},
        ],
        "has_scope_boxes": true,
        "credentials": [{"id": "text", "secret": "text", "note": "text"}],
        "warnings": ["text"],
        "callback_url": "https://packages.example.com/oauth/callback/forgejo/demo",
    });
    assert_eq!(serde_json::to_value(&guide)?, expected);
    Ok(())
}

#[test]
fn an_empty_guide_has_no_empty_sections() -> Result {
    let base = BaseUrl::parse("https://code.example.com", &Network::public_only())?;
    let callback = CallbackUrl::new(&"https://packages.example.com".parse()?, "forgejo", &"demo".parse()?);
    let guide = SetupGuide::new("forgejo", "Forgejo", base, callback);
    assert_eq!(guide.to_string(), "Create an OAuth application on Forgejo\nForgejo: https://code.example.com\n");
    assert_eq!(
        guide.to_html(),
        "<h2>Create an OAuth application on Forgejo</h2>\n<p>Forgejo: <code>https://code.example.com</code></p>\n"
    );
    assert_eq!(
        guide.to_markdown(),
        "## Create an OAuth application on Forgejo\n\nForgejo: `https://code.example.com`\n"
    );
    Ok(())
}

#[test]
fn of_scopes_that_imply_each_other_one_must_be_ticked() -> Result {
    let describe = |scope: &Scope| {
        let mut description = ScopeDescription::new(scope.clone(), "label", "reason");
        description.implies = "a b".parse().unwrap_or_default();
        description
    };
    let list = SetupScope::list(&"a b".parse()?, describe);
    assert_eq!(list.iter().map(SetupScope::must_tick).collect::<Vec<_>>(), [true, false]);
    Ok(())
}

#[test]
fn a_name_must_be_one_printable_line() -> Result {
    let request = |name: &str| {
        let public_url = "https://packages.example.com".parse()?;
        SetupRequest::new(public_url, "demo".parse()?, name, Access::SignIn).map(|request| request.name)
    };
    assert_eq!(request("  On-premise GitLab ")?, "On-premise GitLab");
    assert_eq!(request(&"ü".repeat(200))?, "ü".repeat(200));
    let bad = ["", " \n", "a\nb", "a\u{7f}", "a\u{9b}31m", "a\u{202e}b", "a\u{2028}b", &"ü".repeat(201)];
    for name in bad {
        assert!(matches!(request(name), Err(ConfigError::Name(_))), "{name:?}");
    }
    Ok(())
}

#[test]
fn a_custom_access_needs_a_scope() -> Result {
    let public_url = "https://packages.example.com".parse()?;
    let request = SetupRequest::new(public_url, "demo".parse()?, "Demo", Access::Custom(Scopes::default()));
    assert_eq!(request.map(|request| request.owner(AppOwner::Instance)), Err(ConfigError::NoScopes));
    Ok(())
}
