//! The example app in headless Chromium. Browser and driver are Debian's packages (`scripts/test` installs them).

mod changes;
mod doorkeeper;
mod guides;
mod hands;
mod page;
mod survives;

use std::future::Future;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use self::page::{DESKTOP, PHONE};
use super::directory;

/// One browser. Driver and browser are one process group, which is killed when this value is dropped.
pub(crate) struct Browser {
    driver: Child,
    pub(crate) client: Client,
    screenshots: PathBuf,
    has_script: bool,
    has_mouse: bool,
    width: u32,
    scheme: &'static str,
    /// What no page may show.
    secrets: Mutex<Vec<String>>,
}

impl Browser {
    /// With the keyboard alone, and no mouse.
    async fn start_with_keyboard(name: &str) -> Self {
        let mut browser = Self::start(name, true, false).await;
        browser.has_mouse = false;
        browser
    }

    /// A phone without scripts.
    async fn start_phone(name: &str) -> Self {
        let mut browser = Self::start(name, false, true).await;
        browser.width = PHONE;
        browser.show_at(browser.width, browser.scheme).await;
        browser
    }

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
        let scheme = if dark { "dark" } else { "light" };
        let secrets = Mutex::default();
        Self { driver, client, screenshots, has_script: script, has_mouse: true, width: DESKTOP, scheme, secrets }
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

    pub(crate) async fn value(&self, css: &str) -> String {
        self.element(Locator::Css(css), async |field| field.prop("value").await).await.unwrap_or_default()
    }

    /// Runs a script in the page, also if the page may have none.
    async fn script(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.unwrap()
    }

    async fn path(&self) -> String {
        self.client.current_url().await.unwrap().path().to_owned()
    }

    /// The id of the element that has the focus.
    async fn focus(&self) -> String {
        self.script("return document.activeElement.id").await.as_str().unwrap().to_owned()
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

/// How long a page may take on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(120);
