//! Headless Chromium, with and without scripts. The tests of the example app's new pages are to be written. Browser and driver are Debian's packages (`scripts/test`
//! installs them). Each page is checked for labels and contrast, and its screenshot is saved below the target directory.

use std::future::Future;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::key::Key;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::directory;

/// One browser. Driver and browser are one process group, which is killed when this value is dropped.
pub(crate) struct Browser {
    driver: Child,
    pub(crate) client: Client,
    screenshots: PathBuf,
    #[allow(dead_code, reason = "the tests of the new pages are to be written")]
    script: bool,
}

#[allow(dead_code, reason = "the tests of the new pages are to be written")]
impl Browser {
    pub(crate) async fn start(name: &str, script: bool, dark: bool) -> Self {
        let profile = directory(&format!("browser_{name}"));
        let screenshots = profile.parent().unwrap().join("screenshots").join(name);
        std::fs::create_dir_all(&screenshots).unwrap();
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
        Self { driver, client, screenshots, script }
    }

    pub(crate) async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// Waits until the page has this text.
    pub(crate) async fn wait_for_text(&self, text: &str) {
        self.until(text, async || self.text().await.contains(text)).await;
    }

    pub(crate) async fn text(&self) -> String {
        match self.client.find(Locator::Css("body")).await {
            Ok(body) => body.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    pub(crate) async fn until<F: Future<Output = bool>>(&self, what: &str, mut done: impl FnMut() -> F) {
        let started = Instant::now();
        while !done().await {
            assert!(started.elapsed() < TIMEOUT, "no {what:?} in: {}", self.text().await);
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    }

    /// Waits for an element and uses it. On a busy machine the page may have changed meanwhile; then it looks for the element
    /// again.
    async fn element<T>(&self, locator: Locator<'_>, used: impl AsyncFn(Element) -> Result<T, CmdError>) -> T {
        let started = Instant::now();
        loop {
            let result = match self.client.find(locator).await {
                Ok(element) => used(element).await,
                Err(error) => Err(error),
            };
            match result {
                Ok(value) => return value,
                Err(error) if error.is_no_such_element() || error.is_stale_element_reference() => {
                    assert!(started.elapsed() < TIMEOUT, "no {locator:?} in: {}", self.text().await);
                    tokio::time::sleep(Duration::from_millis(40)).await;
                }
                Err(error) => panic!("{locator:?}: {error}"),
            }
        }
    }

    pub(crate) async fn click(&self, label: &str) {
        let button = format!("//button[normalize-space()='{label}'] | //a[normalize-space()='{label}']");
        self.element(Locator::XPath(&button), async |button| button.click().await).await;
    }

    pub(crate) async fn fill(&self, id: &str, value: &str) {
        self.element(Locator::Id(id), async |field| {
            field.clear().await?;
            field.send_keys(value).await
        })
        .await;
    }

    async fn choose(&self, id: &str, value: &str) {
        let css = format!("#{id} option[value='{value}']");
        self.element(Locator::Css(&css), async |option| option.click().await).await;
    }

    pub(crate) async fn value(&self, css: &str) -> String {
        self.element(Locator::Css(css), async |field| field.prop("value").await).await.unwrap_or_default()
    }

    /// Saves a screenshot and checks the page for accessibility faults.
    pub(crate) async fn check_page(&self, name: &str) {
        self.client.set_window_size(1280, 800).await.unwrap();
        let height = self.client.execute("return document.documentElement.scrollHeight", vec![]).await;
        if let Ok(height) = height {
            let height = u32::try_from(height.as_u64().unwrap_or(900)).unwrap_or(900).clamp(600, 4000);
            self.client.set_window_size(1280, height + 140).await.unwrap();
        }
        let screenshot = self.client.screenshot().await.unwrap();
        std::fs::write(self.screenshots.join(format!("{name}.png")), screenshot).unwrap();
        let faults = self.client.execute(FAULTS, vec![]).await.unwrap();
        assert_eq!(faults, json!([]), "{name}");
    }

    /// Presses the tab key until an element with this text has the focus.
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

    /// Submits "Authorize" on the page of a fake.
    async fn authorize(&self, username: &str) {
        self.wait_for_text("Continue as").await;
        self.choose("user", username).await;
        self.click("Authorize").await;
    }

    pub(crate) async fn end(mut self) {
        let _ = self.client.clone().close().await;
        let _ = self.driver.kill().await;
    }
}

/// The driver and its port. The driver needs one port for two address families and exits if the second is not free, so this
/// tries again.
async fn start_driver() -> (Child, String) {
    let mut output = Vec::new();
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
            output.push(line);
        }
    }
    panic!("chromedriver does not start: {output:#?}");
}

/// Kills driver and browser, also after a panic.
impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(id) = self.driver.id() {
            let _ = std::process::Command::new("kill").args(["-KILL", "--", &format!("-{id}")]).status();
        }
    }
}

const TIMEOUT: Duration = Duration::from_secs(120);

/// Finds accessibility faults: fields without a label, buttons without text, text with less contrast than WCAG 2.2 requires
/// (1.4.3), a page without a title, language or heading.
const FAULTS: &str = r#"
const faults = [];
const visible = (element) => element.getClientRects().length > 0 && getComputedStyle(element).visibility !== "hidden";
for (const field of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
    if (visible(field) && field.labels.length === 0 && !field.getAttribute("aria-label")) faults.push("no label: " + field.outerHTML);
}
for (const button of document.querySelectorAll("button, a")) {
    if (visible(button) && !button.textContent.trim()) faults.push("no text: " + button.outerHTML);
}
const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) faults.push("twice: " + id);
for (const element of document.querySelectorAll("[aria-describedby]")) {
    const ids = element.getAttribute("aria-describedby").split(" ");
    if (!ids.every((id) => document.getElementById(id))) faults.push("described by nothing: " + element.id);
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
const background = (element) => {
    for (let at = element; at; at = at.parentElement) {
        const { rgb, alpha } = parse(getComputedStyle(at).backgroundColor);
        if (alpha === 1) return rgb;
    }
    return matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0] : [255, 255, 255];
};
for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    const field = element.matches("input:not([type=hidden]):not([type=checkbox]):not(:disabled), textarea, select");
    if (!(own || field) || !visible(element) || element.matches(":disabled, option") || element.closest(".skip")) continue;
    const [a, b] = [luminance(parse(getComputedStyle(element).color).rgb), luminance(background(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) faults.push(`contrast ${contrast.toFixed(2)}: ${element.outerHTML.slice(0, 120)}`);
}
return faults;
"#;
