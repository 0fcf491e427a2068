//! Checks a page as a whole: at two widths, in light and dark, and as a screen reader gets it.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fantoccini::wd::WebDriverCompatibleCommand;
use serde_json::{Value, json};

use super::Browser;

impl Browser {
    /// Looks for faults of this page at the width of a phone and of a desktop, in light and dark. Saves a screenshot of each below
    /// the target directory.
    pub(crate) async fn check_page(&self, name: &str) {
        self.wait_for_layout().await;
        for width in [PHONE, DESKTOP] {
            for scheme in ["light", "dark"] {
                self.show_at(width, scheme).await;
                let faults = self.client.execute(FAULTS, vec![]).await.unwrap();
                let picture = format!("{name}-{width}-{scheme}");
                self.save_screenshot(&self.screenshots.join(format!("{picture}.png")), "body", "body").await;
                assert_eq!(faults, json!([]), "{picture}");
            }
        }
        self.show_at(self.width, self.scheme).await;
        self.check_accessibility_tree(name).await;
        let source = self.client.source().await.unwrap();
        for secret in self.secrets.lock().unwrap().iter() {
            assert!(!source.contains(secret), "the secret is in the page {name}");
        }
    }

    /// Every control has a name, and the headings are in order.
    async fn check_accessibility_tree(&self, page: &str) {
        let tree = self.dev_tools("Accessibility.getFullAXTree", json!({})).await;
        let mut level = 0;
        let mut controls = 0;
        for node in tree["nodes"].as_array().unwrap() {
            if node["ignored"] == true {
                continue;
            }
            let name = node["name"]["value"].as_str().unwrap_or_default();
            match node["role"]["value"].as_str().unwrap_or_default() {
                "textbox" | "radio" | "checkbox" | "combobox" | "button" | "link" => {
                    controls += 1;
                    assert!(!name.trim().is_empty(), "a control without a name in {page}: {node}");
                }
                "heading" => {
                    let properties = node["properties"].as_array().unwrap();
                    let found = properties.iter().find(|property| property["name"] == "level").unwrap();
                    let found = found["value"]["value"].as_u64().unwrap();
                    assert!(
                        found <= level + 1 && (found > 1 || level == 0),
                        "{page}: {name:?} has level {found} after {level}"
                    );
                    level = found;
                }
                _ => {}
            }
        }
        assert!(controls > 0 && level > 0, "{page} is empty");
    }

    /// Saves a picture for the docs, from the top of one element to the end of another, if `CODEHOST_SCREENSHOTS` names a folder.
    pub(super) async fn picture(&self, name: &str, first: &str, last: &str) {
        let Ok(folder) = std::env::var("CODEHOST_SCREENSHOTS") else { return };
        self.wait_for_layout().await;
        self.script("document.activeElement.blur()").await;
        self.emulate(PICTURE_WIDTH, 2).await;
        self.save_screenshot(&Path::new(&folder).join(format!("{name}.png")), first, last).await;
        self.show_at(self.width, self.scheme).await;
    }

    pub(super) async fn show_at(&self, width: u32, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.dev_tools("Emulation.setEmulatedMedia", json!({ "features": features })).await;
        self.emulate(width, 1).await;
    }

    async fn emulate(&self, width: u32, scale: u32) {
        let metrics = json!({ "width": width, "height": 900, "deviceScaleFactor": scale, "mobile": false });
        self.dev_tools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    async fn save_screenshot(&self, path: &Path, first: &str, last: &str) {
        let places = format!(
            "const place = (css) => document.querySelector(css).getBoundingClientRect();
             return [Math.max(0, place('{first}').top + scrollY - 9), place('{last}').bottom + scrollY + 24, innerWidth]"
        );
        let places: (f64, f64, f64) = serde_json::from_value(self.script(&places).await).unwrap();
        let (top, end, width) = places;
        let clip = json!({ "x": 0, "y": top.floor(), "width": width, "height": (end - top).ceil(), "scale": 1 });
        let taken = json!({ "captureBeyondViewport": true, "clip": clip });
        let taken = self.dev_tools("Page.captureScreenshot", taken).await;
        std::fs::write(path, STANDARD.decode(taken["data"].as_str().unwrap()).unwrap()).unwrap();
    }

    /// Until the style sheets are there.
    async fn wait_for_layout(&self) {
        self.until("style sheets", async || self.script("return document.readyState").await == "complete").await;
    }

    /// A command of the Chrome DevTools Protocol.
    async fn dev_tools(&self, command: &'static str, parameters: Value) -> Value {
        self.client.issue_cmd(DevTools(command, parameters)).await.unwrap()
    }
}

/// Pixels.
pub(super) const PHONE: u32 = 390;
pub(super) const DESKTOP: u32 = 1280;
const PICTURE_WIDTH: u32 = 800;

#[derive(Debug)]
struct DevTools(&'static str, Value);

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(json!({ "cmd": self.0, "params": self.1 }).to_string()))
    }
}

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
    const described = element.getAttribute("aria-describedby").split(" ").map((id) => document.getElementById(id));
    if (described.includes(null)) faults.push("described by nothing: " + element.id);
    const hasError = described.some((text) => text?.matches(".ch-error") || text?.querySelector(".ch-error"));
    if (element.matches("[aria-invalid]") && !hasError) faults.push("an error without a text: " + element.id);
}
const { scrollWidth } = document.scrollingElement;
if (scrollWidth > innerWidth) faults.push(`${scrollWidth} of ${innerWidth} pixels wide`);
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
    const placeholder = luminance(parse(getComputedStyle(element, "::placeholder").color).rgb);
    const ofPlaceholder = (Math.max(placeholder, b) + 0.05) / (Math.min(placeholder, b) + 0.05);
    if (element.placeholder && ofPlaceholder < 4.5) faults.push(`contrast of the placeholder ${ofPlaceholder.toFixed(2)}: ${element.id}`);
    if (contrast < 4.5) faults.push(`contrast ${contrast.toFixed(2)}: ${element.outerHTML.slice(0, 120)}`);
}
return faults;
"#;
