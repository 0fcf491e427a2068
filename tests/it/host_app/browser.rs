//! The road in a browser, with and without a script: headless Chromium by its driver, both of Debian's packages
//! (`scripts/test` installs them). Each page is looked at for labels and contrast, and kept as a picture below the
//! target directory.

use std::future::Future;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use fantoccini::key::Key;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::{Program, directory};

/// A browser of its own. Driver and browser are one group of processes, which ends with this value.
struct Browser {
    driver: Child,
    client: Client,
    pictures: PathBuf,
    script: bool,
}

impl Browser {
    async fn start(name: &str, script: bool, dark: bool) -> Self {
        let profile = directory(&format!("browser_{name}"));
        let pictures = profile.parent().unwrap().join("screenshots").join(name);
        std::fs::create_dir_all(&pictures).unwrap();
        let (driver, port) = start_driver().await;
        let mut args = vec![
            "--headless".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-quic".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--window-size=1280,900".to_owned(),
            format!("--user-data-dir={}", profile.display()),
        ];
        args.push(format!("--blink-settings=preferredColorScheme={}", if dark { 0 } else { 1 }));
        // 2 is "block".
        let javascript = if script { 1 } else { 2 };
        let options = json!({
            "args": args,
            "prefs": { "profile.managed_default_content_settings.javascript": javascript },
        });
        let capabilities = [("goog:chromeOptions".to_owned(), options)].into_iter().collect();
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let client = builder.capabilities(capabilities).connect(&format!("http://127.0.0.1:{port}")).await.unwrap();
        Self { driver, client, pictures, script }
    }

    async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// Waits until the page has this text.
    async fn says(&self, text: &str) {
        self.until(text, async || self.text().await.contains(text)).await;
    }

    async fn text(&self) -> String {
        match self.client.find(Locator::Css("body")).await {
            Ok(body) => body.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    async fn until<F: Future<Output = bool>>(&self, what: &str, mut done: impl FnMut() -> F) {
        let started = Instant::now();
        while !done().await {
            assert!(started.elapsed() < Duration::from_secs(120), "no {what:?} in: {}", self.text().await);
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    }

    async fn click(&self, label: &str) {
        let button = format!("//button[normalize-space()='{label}'] | //a[normalize-space()='{label}']");
        self.client.wait().for_element(Locator::XPath(&button)).await.unwrap().click().await.unwrap();
    }

    async fn fill(&self, id: &str, value: &str) {
        let field = self.client.find(Locator::Id(id)).await.unwrap();
        field.clear().await.unwrap();
        field.send_keys(value).await.unwrap();
    }

    async fn choose(&self, id: &str, value: &str) {
        let css = format!("#{id} option[value='{value}']");
        self.client.find(Locator::Css(&css)).await.unwrap().click().await.unwrap();
    }

    async fn value(&self, css: &str) -> String {
        let field = self.client.wait().for_element(Locator::Css(css)).await.unwrap();
        field.prop("value").await.unwrap().unwrap_or_default()
    }

    /// Keeps a picture, and looks for what keeps people from using the page.
    async fn look(&self, name: &str) {
        self.client.set_window_size(1280, 800).await.unwrap();
        let height = self.client.execute("return document.documentElement.scrollHeight", vec![]).await;
        if let Ok(height) = height {
            let height = u32::try_from(height.as_u64().unwrap_or(900)).unwrap_or(900).clamp(600, 4000);
            self.client.set_window_size(1280, height + 140).await.unwrap();
        }
        let picture = self.client.screenshot().await.unwrap();
        std::fs::write(self.pictures.join(format!("{name}.png")), picture).unwrap();
        let faults = self.client.execute(FAULTS, vec![]).await.unwrap();
        assert_eq!(faults, json!([]), "{name}");
    }

    /// Moves on by the keyboard alone until something of this text has the focus.
    async fn tab_to(&self, text: &str) {
        for _ in 0..60 {
            let active = self.client.active_element().await.unwrap();
            if active.text().await.unwrap().trim() == text {
                return;
            }
            active.send_keys(&Key::Tab.to_string()).await.unwrap();
        }
        panic!("{text:?} cannot be reached by the keyboard");
    }

    async fn press_enter(&self) {
        self.client.active_element().await.unwrap().send_keys(&Key::Enter.to_string()).await.unwrap();
    }

    /// Authorizes at a fake's page.
    async fn authorize(&self, person: &str) {
        self.says("Continue as").await;
        self.choose("person", person).await;
        self.click("Authorize").await;
    }

    /// Follows the note of the demo to the stand-in for the code host's own page: id and secret.
    async fn create_application(&self) -> (String, String) {
        let form = self.client.window().await.unwrap();
        let before = self.client.windows().await.unwrap();
        self.click("Create the application at the fake").await;
        let mut page = None;
        while page.is_none() {
            let windows = self.client.windows().await.unwrap();
            page = windows.into_iter().find(|window| !before.contains(window));
        }
        self.client.switch_to_window(page.unwrap()).await.unwrap();
        self.says("Application created").await;
        let fields = self.client.find_all(Locator::Css(".copyable textarea")).await.unwrap();
        let mut values = Vec::new();
        for field in fields {
            values.push(field.prop("value").await.unwrap().unwrap());
        }
        self.client.close_window().await.unwrap();
        self.client.switch_to_window(form).await.unwrap();
        (values[0].clone(), values[1].clone())
    }

    /// The guide appears while the form is filled in; without a script, a button asks for it.
    async fn guide(&self, callback: &str) {
        if !self.script {
            self.click("Show setup guide").await;
        }
        self.until("callback URL", async || {
            let fields = self.client.find_all(Locator::Css("#guide .copyable textarea")).await.unwrap();
            let mut found = false;
            for field in fields {
                // The guide may be exchanged at any moment.
                found |= field.prop("value").await.ok().flatten().is_some_and(|value| value.ends_with(callback));
            }
            found
        })
        .await;
    }

    async fn end(mut self) {
        let _ = self.client.clone().close().await;
        let _ = self.driver.kill().await;
    }
}

/// The driver and its port. It takes one port for two address families, and ends if the second is not free: then again.
async fn start_driver() -> (Child, String) {
    let mut said = Vec::new();
    for _ in 0..10 {
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").process_group(0).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut driver = command.spawn().expect("no chromedriver; scripts/test installs it, with the browser");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some(port) = line.split("successfully on port ").nth(1) {
                let port = port.trim_end_matches('.').to_owned();
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                return (driver, port);
            }
            said.push(line);
        }
    }
    panic!("chromedriver does not start: {said:#?}");
}

/// Whatever happened, nothing is left running.
impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(id) = self.driver.id() {
            let _ = std::process::Command::new("kill").args(["-KILL", "--", &format!("-{id}")]).status();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_road_with_a_script() {
    let program = Program::demo(None).await;
    let browser = Browser::start("script", true, false).await;
    road(&program, &browser).await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_road_without_a_script_and_in_the_dark() {
    let program = Program::demo(None).await;
    let browser = Browser::start("plain", false, true).await;
    road(&program, &browser).await;
    browser.end().await;
}

async fn road(program: &Program, browser: &Browser) {
    browser.open(&program.url).await;
    browser.says("Setup mode.").await;
    browser.look("01-setup-mode").await;
    browser.fill("token", &program.token).await;
    browser.click("Go on").await;

    // GitLab: the guide while ID and secret are empty, a wrong secret, the right one.
    browser.click("Add integration").await;
    browser.says("Setup guide").await;
    browser.choose("platform", "gitlab").await;
    browser.fill("name", "On-premise GitLab").await;
    browser.guide("/oauth/callback/gitlab/main-onpremisegitlab").await;
    browser.says("Application ID").await;
    browser.look("02-gitlab-guide").await;
    let (id, secret) = browser.create_application().await;
    browser.fill("client_id", &id).await;
    browser.fill("client_secret", "wrong").await;
    browser.click("Check").await;
    browser.says("nobody could log in like this").await;
    browser.says("The client id or the secret is wrong").await;
    browser.look("03-check-wrong").await;
    browser.fill("client_secret", &secret).await;
    browser.click("Check").await;
    browser.says("All right, as far as can be known").await;
    browser.look("04-check-right").await;
    // Without a script the secret is not in the page any more, and not asked for again.
    browser.click("Create integration").await;
    browser.says("The integration On-premise GitLab is saved.").await;
    browser.says("You are here with the one-time token.").await;
    browser.look("05-list").await;

    // Two tabs at once: denied in one, allowed in the other.
    browser.click("Open login link").await;
    browser.says("Log in with On-premise GitLab").await;
    browser.look("06-login-link").await;
    let link = browser.client.current_url().await.unwrap();
    let first = browser.client.window().await.unwrap();
    browser.tab_to("Log in with On-premise GitLab").await;
    browser.press_enter().await;
    browser.says("Continue as").await;
    let second = browser.client.new_window(true).await.unwrap().handle;
    browser.client.switch_to_window(second.clone()).await.unwrap();
    browser.open(link.as_str()).await;
    browser.click("Log in with On-premise GitLab").await;
    browser.says("Continue as").await;
    browser.click("Deny").await;
    browser.says("You did not allow the login.").await;
    let address = browser.client.current_url().await.unwrap();
    assert_eq!((address.path(), address.query()), ("/failed", None));
    browser.look("07-denied").await;
    browser.client.close_window().await.unwrap();
    browser.client.switch_to_window(first).await.unwrap();
    browser.authorize("alice").await;
    browser.says("you are the administrator from now on").await;
    browser.says("gitlab:main-onpremisegitlab:2").await;
    browser.look("08-account").await;

    // Bitbucket, with the workspace filled in.
    browser.click("Integrations").await;
    browser.click("Add integration").await;
    browser.choose("platform", "bitbucket-cloud").await;
    browser.fill("base_url", &program.bitbucket).await;
    browser.fill("name", "Bitbucket").await;
    browser.guide("/oauth/callback/bitbucket-cloud/main-bitbucket").await;
    browser.says("<WORKSPACE_NAME>").await;
    browser.fill("owner", "acme").await;
    if !browser.script {
        browser.click("Show setup guide").await;
    }
    browser.says("/acme/workspace/settings/oauth-clients").await;
    browser.look("09-bitbucket-guide").await;
    let (id, secret) = browser.create_application().await;
    browser.fill("client_id", &id).await;
    browser.fill("client_secret", &secret).await;
    browser.click("Create integration").await;
    browser.says("The integration Bitbucket is saved.").await;
    browser.look("10-list-of-two").await;

    // A second account is connected, and logs in.
    browser.open(&format!("{}/account", program.url)).await;
    browser.click("Connect Bitbucket").await;
    browser.authorize("jane").await;
    browser.says("The account is connected.").await;
    browser.look("11-two-accounts").await;
    browser.click("Log out").await;
    browser.says("Log in to Main").await;
    browser.look("12-login-page").await;
    browser.click("Log in with Bitbucket").await;
    browser.authorize("jane").await;
    browser.says("Welcome back.").await;
    browser.says("gitlab:main-onpremisegitlab:2").await;

    // Failures say who must do what.
    browser.click("Log out").await;
    browser.click("Log in with On-premise GitLab").await;
    browser.authorize("carol").await;
    browser.says("unblock your account").await;
    browser.look("13-blocked").await;
    browser.open(&format!("{}/login", program.url)).await;
    browser.click("Log in with On-premise GitLab").await;
    browser.authorize("alice").await;
    browser.says("Welcome back.").await;

    // Edit and delete.
    browser.click("Integrations").await;
    browser.client.find(Locator::Css("a[href$='main-bitbucket/edit']")).await.unwrap().click().await.unwrap();
    browser.says("Edit integration").await;
    browser.says("Locked: the callback URL hangs on it.").await;
    assert_eq!(browser.value("#client_secret").await, "");
    browser.look("14-edit").await;
    browser.click("Integrations").await;
    browser.client.find(Locator::Css("a[href$='main-bitbucket/delete']")).await.unwrap().click().await.unwrap();
    browser.says("1 account hangs on it.").await;
    browser.look("15-delete").await;
    browser.click("Delete integration").await;
    browser.says("The integration Bitbucket is deleted.").await;
    let cards = browser.client.find_all(Locator::Css(".card")).await.unwrap();
    assert_eq!(cards.len(), 1);

    // On a narrow screen nothing sticks out.
    browser.client.set_window_size(500, 900).await.unwrap();
    browser.open(&format!("{}/org/main/integrations/new", program.url)).await;
    let wide = browser.client.execute("return document.documentElement.scrollWidth > window.innerWidth", vec![]).await;
    assert_eq!(wide.unwrap(), Value::Bool(false));
}

/// What a person with another way to see or to type would stumble over: fields without a label, buttons without a text,
/// text with less contrast than WCAG 2.2 asks for (1.4.3), a page without a title, language or heading.
const FAULTS: &str = r#"
const faults = [];
const shown = (element) => element.getClientRects().length > 0 && getComputedStyle(element).visibility !== "hidden";
for (const field of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
    if (shown(field) && field.labels.length === 0 && !field.getAttribute("aria-label")) faults.push("no label: " + field.outerHTML);
}
for (const button of document.querySelectorAll("button, a")) {
    if (shown(button) && !button.textContent.trim()) faults.push("no text: " + button.outerHTML);
}
const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) faults.push("twice: " + id);
for (const element of document.querySelectorAll("[aria-describedby]")) {
    if (!document.getElementById(element.getAttribute("aria-describedby"))) faults.push("described by nothing: " + element.id);
}
if (!document.title || !document.documentElement.lang) faults.push("no title or language");
if (document.querySelectorAll("h1").length !== 1) faults.push("not one h1");
const parse = (color) => {
    const numbers = color.match(/[\d.]+/g).map(Number);
    return { rgb: numbers.slice(0, 3), alpha: numbers.length > 3 ? numbers[3] : 1 };
};
const luminance = (rgb) => {
    const [r, g, b] = rgb.map((value) => {
        const part = value / 255;
        return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
        const { rgb, alpha } = parse(getComputedStyle(at).backgroundColor);
        if (alpha === 1) return rgb;
    }
    return matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0] : [255, 255, 255];
};
for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    const field = element.matches("input:not([type=hidden]):not([type=checkbox]):not(:disabled), textarea, select");
    if (!(own || field) || !shown(element) || element.matches(":disabled, option") || element.closest(".skip")) continue;
    const [a, b] = [luminance(parse(getComputedStyle(element).color).rgb), luminance(ground(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) faults.push(`contrast ${contrast.toFixed(2)}: ${element.outerHTML.slice(0, 120)}`);
}
return faults;
"#;
