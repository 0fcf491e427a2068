//! What a person does: with the mouse, or with the keyboard alone.

use std::time::Duration;

use fantoccini::Locator;
use fantoccini::key::Key;
use fantoccini::wd::WindowHandle;

use super::Browser;
use crate::secrets::leak_check;

impl Browser {
    /// Presses a button or link with this text.
    pub(crate) async fn click(&self, label: &str) {
        if !self.has_mouse {
            let is_it = format!(
                "const at = document.activeElement; return at.matches('a, button, summary') && at.innerText.trim() === {label:?}"
            );
            self.tab_until(label, &is_it).await;
            return self.press(&Key::Enter.to_string()).await;
        }
        let is_it = format!("[normalize-space()='{label}']");
        let button = format!("//button{is_it} | //a{is_it} | //summary{is_it}");
        self.element(Locator::XPath(&button), async |button| button.click().await).await;
    }

    /// Presses the first element that a selector finds.
    pub(super) async fn press_at(&self, css: &str) {
        if self.has_mouse {
            return self.element(Locator::Css(css), async |one| one.click().await).await;
        }
        self.tab_to(css).await;
        self.press(&Key::Enter.to_string()).await;
    }

    pub(crate) async fn fill(&self, id: &str, value: &str) {
        if !self.has_mouse {
            self.tab_to(&format!("#{id}")).await;
            // All of it is selected.
            let all = format!("{}a{}{}", char::from(Key::Control), char::from(Key::Null), char::from(Key::Backspace));
            self.press(&all).await;
            return self.press(value).await;
        }
        self.element(Locator::Id(id), async |field| {
            field.clear().await?;
            field.send_keys(value).await
        })
        .await;
    }

    /// Chooses a radio button.
    pub(super) async fn choose(&self, name: &str, value: &str) {
        let css = format!("input[name={name}][value='{value}']");
        if self.has_mouse {
            return self.element(Locator::Css(&css), async |radio| radio.click().await).await;
        }
        // The tab key reaches one of the group, the arrows the others.
        self.tab_to(&format!("input[name={name}]")).await;
        self.press(" ").await;
        for _ in 0..20 {
            if self.is_at(&css).await {
                return;
            }
            self.press(&Key::Down.to_string()).await;
        }
        panic!("{css} cannot be reached by the keyboard");
    }

    /// Logs in at a fake.
    pub(super) async fn authorize(&self, username: &str) {
        self.wait_for_text("Continue as").await;
        self.element(Locator::Css("select[name=user]"), async |list| {
            let option = format!("option[value='{username}']");
            list.find(Locator::Css(&option)).await?.click().await
        })
        .await;
        // The fake is no page of ours.
        self.element(Locator::XPath("//button[normalize-space()='Authorize']"), async |button| button.click().await)
            .await;
    }

    /// Follows the setup link to the fake, creates the application there, and ticks the scopes that the form says. Returns ID
    /// and secret.
    pub(super) async fn create_application(&self, callback: &str) -> (String, String) {
        let form = self.client.window().await.unwrap();
        let scopes = "return [...document.querySelectorAll('#ch-guide .ch-scopes [data-ch-copy]')]
                          .map((button) => button.dataset.chCopy)";
        let scopes: Vec<String> = serde_json::from_value(self.script(scopes).await).unwrap();
        let before = self.client.windows().await.unwrap();
        self.press_at("#ch-guide a.ch-primary").await;
        self.until("a new window", async || self.client.windows().await.unwrap().len() > before.len()).await;
        let after = self.client.windows().await.unwrap();
        let page = after.into_iter().find(|window| !before.contains(window)).unwrap();
        self.client.switch_to_window(page).await.unwrap();
        self.wait_for_text("New OAuth application").await;
        self.fill("callback", callback).await;
        for scope in scopes {
            // Some platforms have no boxes.
            if self.client.find(Locator::Css("input[type=checkbox]")).await.is_ok() {
                let css = format!("input[value='{scope}']");
                self.element(Locator::Css(&css), async |scope| scope.click().await).await;
            }
        }
        self.click("Save application").await;
        self.wait_for_text("Application created").await;
        let (id, secret) = (self.value("#id").await, self.value("#secret").await);
        self.client.close_window().await.unwrap();
        self.client.switch_to_window(form).await.unwrap();
        leak_check::learn("client secret", &secret);
        self.secrets.lock().unwrap().push(secret.clone());
        (id, secret)
    }

    /// Another window of the same browser, in which the next pages open. Returns the first one.
    pub(super) async fn open_window(&self) -> WindowHandle {
        let first = self.client.window().await.unwrap();
        let second = self.client.new_window(true).await.unwrap().handle;
        self.client.switch_to_window(second).await.unwrap();
        first
    }

    /// Back to the first window.
    pub(super) async fn close_window(&self, first: WindowHandle) {
        self.client.close_window().await.unwrap();
        self.client.switch_to_window(first).await.unwrap();
    }

    /// The guide appears while the form is filled in; without scripts a button asks for it.
    pub(super) async fn guide(&self, link: &str) {
        if !self.has_script {
            self.click("Show setup link").await;
        }
        self.wait_for_text(link).await;
    }

    /// The callback URL that the guide tells to copy.
    pub(super) async fn callback(&self) -> String {
        self.value("#ch-guide input[readonly][value*='/oauth/callback/']").await
    }

    async fn tab_to(&self, css: &str) {
        self.tab_until(css, &format!("return document.activeElement.matches({css:?})")).await;
    }

    /// Presses the tab key until this is true of the page.
    async fn tab_until(&self, what: &str, is_there: &str) {
        let shown = format!("{what:?} to be shown");
        self.until(&shown, async || self.script("return document.readyState").await == "complete").await;
        for _ in 0..200 {
            if self.script(is_there).await == true {
                return;
            }
            self.press(&Key::Tab.to_string()).await;
        }
        panic!("{what:?} cannot be reached by the keyboard in: {}", self.text().await);
    }

    async fn is_at(&self, css: &str) -> bool {
        self.script(&format!("return document.activeElement.matches({css:?})")).await == true
    }

    /// Presses keys where the focus is. While a page is being replaced, nothing takes them.
    pub(super) async fn press(&self, keys: &str) {
        for _ in 0..200 {
            let pressed = match self.client.active_element().await {
                Ok(element) => element.send_keys(keys).await,
                Err(error) => Err(error),
            };
            match pressed {
                Ok(()) => return,
                Err(_) => tokio::time::sleep(Duration::from_millis(25)).await,
            }
        }
        panic!("no element takes keys in: {}", self.text().await);
    }
}
