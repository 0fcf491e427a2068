//! A page as its visitor sees it: texts, labels, what is focused, and forms to fill in and to submit. No JavaScript.

use http::StatusCode;

/// A page that is shown. What is typed into its forms stays in it.
#[derive(Debug)]
pub(crate) struct Screen {
    pub(crate) status: StatusCode,
    elements: Vec<Element>,
}

#[derive(Debug, Default)]
struct Element {
    tag: String,
    attributes: Vec<(String, String)>,
    parent: Option<usize>,
    content: Vec<Content>,
}

#[derive(Debug)]
enum Content {
    Text(String),
    Element(usize),
}

impl Screen {
    pub(crate) fn new(status: StatusCode, html: &str) -> Self {
        let screen = Self { status, elements: parse(html) };
        let ids: Vec<_> = screen.elements.iter().filter_map(|element| element.attribute("id")).collect();
        for (position, id) in ids.iter().enumerate() {
            assert!(!ids[..position].contains(id), "the id {id} is there twice");
        }
        for element in &screen.elements {
            for name in ["aria-describedby", "aria-labelledby", "for", "list"] {
                for id in element.attribute(name).unwrap_or_default().split_whitespace() {
                    assert!(ids.contains(&id), "{name} of {} leads nowhere: {id}", element.tag);
                }
            }
            if let Some(id) = element.attribute("href").and_then(|href| href.strip_prefix('#')) {
                assert!(ids.contains(&id), "a link to #{id} leads nowhere");
            }
        }
        screen
    }

    /// The whole text, with single spaces.
    pub(crate) fn text(&self) -> String {
        self.text_of(0)
    }

    pub(crate) fn shows(&self, text: &str) -> bool {
        self.text().contains(text)
    }

    #[track_caller]
    pub(crate) fn assert_shows(&self, text: &str) {
        assert!(self.shows(text), "{text:?} is not in: {}", self.text());
    }

    #[track_caller]
    pub(crate) fn assert_hides(&self, text: &str) {
        assert!(!self.shows(text), "{text:?} is in: {}", self.text());
    }

    /// The text of each element with this tag.
    pub(crate) fn all(&self, tag: &str) -> Vec<String> {
        let found = self.elements.iter().enumerate().filter(|(_, element)| element.tag == tag);
        found.map(|(position, _)| self.text_of(position)).collect()
    }

    /// The values of this attribute, of all elements that have it.
    pub(crate) fn attributes(&self, name: &str) -> Vec<&str> {
        self.elements.iter().filter_map(|element| element.attribute(name)).collect()
    }

    /// The text of the elements with this role.
    pub(crate) fn role(&self, role: &str) -> String {
        let found = self.elements.iter().enumerate().filter(|(_, element)| element.attribute("role") == Some(role));
        found.map(|(position, _)| self.text_of(position)).collect::<Vec<_>>().join(" ")
    }

    /// Where the link with this text leads.
    pub(crate) fn link(&self, text: &str) -> Option<&str> {
        let is_it = |(position, element): &(usize, &Element)| element.tag == "a" && self.text_of(*position) == text;
        self.elements.iter().enumerate().find(is_it)?.1.attribute("href")
    }

    /// The same for the link whose text begins so.
    pub(crate) fn link_starting(&self, text: &str) -> Option<&str> {
        let is_it = |(position, one): &(usize, &Element)| one.tag == "a" && self.text_of(*position).starts_with(text);
        self.elements.iter().enumerate().find(is_it)?.1.attribute("href")
    }

    /// The names of all fields, in their order.
    pub(crate) fn fields(&self) -> Vec<&str> {
        let mut names: Vec<_> =
            self.elements.iter().filter(|one| one.is_field()).filter_map(|one| one.attribute("name")).collect();
        names.dedup();
        names
    }

    /// What a field contains; of radio buttons, which is chosen.
    #[track_caller]
    pub(crate) fn value(&self, name: &str) -> String {
        let field = self.field(name, None).unwrap_or_else(|| panic!("no field {name} in: {}", self.text()));
        self.value_of(field)
    }

    #[track_caller]
    pub(crate) fn is_ticked(&self, name: &str) -> bool {
        self.elements[self.field(name, None).unwrap()].attribute("checked").is_some()
    }

    /// What a screen reader says before the field: the label, of radio buttons the legend.
    #[track_caller]
    pub(crate) fn label(&self, name: &str) -> String {
        let field = self.field(name, None).unwrap_or_else(|| panic!("no field {name}"));
        if self.elements[field].attribute("type") == Some("radio") {
            let fieldset = self.ancestor(field, "fieldset").expect("radio buttons are in a fieldset");
            let legend = self.children(fieldset).find(|child| self.elements[*child].tag == "legend");
            return self.text_of(legend.expect("a fieldset has a legend"));
        }
        let id = self.elements[field].attribute("id");
        let by_id = |element: &Element| element.tag == "label" && id.is_some() && element.attribute("for") == id;
        let label = self.elements.iter().position(by_id).or_else(|| self.ancestor(field, "label"));
        self.text_of(label.unwrap_or_else(|| panic!("{name} has no label")))
    }

    /// What a screen reader says after it.
    #[track_caller]
    pub(crate) fn description(&self, name: &str) -> String {
        let field = &self.elements[self.field(name, None).unwrap_or_else(|| panic!("no field {name}"))];
        let ids = field.attribute("aria-describedby").unwrap_or_default().split_whitespace();
        let texts = ids.map(|id| self.text_of(self.by_id(id).unwrap()));
        texts.collect::<Vec<_>>().join(" ")
    }

    /// The same for one of several radio buttons.
    #[track_caller]
    pub(crate) fn described_by(&self, name: &str, value: &str) -> String {
        let field = self.field(name, Some(value)).unwrap_or_else(|| panic!("no {value} for {name}"));
        let ids = self.elements[field].attribute("aria-describedby").unwrap_or_default().split_whitespace();
        ids.map(|id| self.text_of(self.by_id(id).unwrap())).collect::<Vec<_>>().join(" ")
    }

    #[track_caller]
    pub(crate) fn is_invalid(&self, name: &str) -> bool {
        self.elements[self.field(name, None).unwrap()].attribute("aria-invalid") == Some("true")
    }

    /// The name or the id of what has the focus when the page opens.
    pub(crate) fn focused(&self) -> Option<&str> {
        let found: Vec<_> = self.elements.iter().filter(|one| one.attribute("autofocus").is_some()).collect();
        assert!(found.len() < 2, "only one element can have the focus");
        found.first().and_then(|one| one.attribute("name").or(one.attribute("id")))
    }

    /// Whether the field is visible without opening anything.
    pub(crate) fn is_open(&self, name: &str) -> bool {
        let mut at = self.field(name, None).unwrap();
        while let Some(details) = self.ancestor(at, "details") {
            if self.elements[details].attribute("open").is_none() {
                return false;
            }
            at = details;
        }
        true
    }

    /// Types into a field, or chooses a radio button or an option.
    #[track_caller]
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        let field = self.field(name, None).unwrap_or_else(|| panic!("no field {name} in: {}", self.text()));
        match (self.elements[field].tag.as_str(), self.elements[field].attribute("type")) {
            ("input", Some("radio")) => {
                let chosen = self.field(name, Some(value)).unwrap_or_else(|| panic!("no {value} for {name}"));
                for one in self.elements.iter_mut().filter(|one| one.attribute("name") == Some(name)) {
                    one.attributes.retain(|(name, _)| name != "checked");
                }
                self.elements[chosen].attributes.push(("checked".to_owned(), String::new()));
            }
            ("input", kind) => {
                assert_ne!(kind, Some("hidden"), "nobody can type into {name}");
                self.elements[field].attributes.retain(|(name, _)| name != "value");
                self.elements[field].attributes.push(("value".to_owned(), value.to_owned()));
            }
            ("textarea", _) => self.elements[field].content = vec![Content::Text(value.to_owned())],
            ("select", _) => {
                let options: Vec<_> = self.children(field).collect();
                assert!(options.iter().any(|one| self.elements[*one].attribute("value") == Some(value)), "no {value}");
                for option in options {
                    let is_it = self.elements[option].attribute("value") == Some(value);
                    self.elements[option].attributes.retain(|(name, _)| name != "selected");
                    if is_it {
                        self.elements[option].attributes.push(("selected".to_owned(), String::new()));
                    }
                }
            }
            (tag, _) => panic!("{name} is a {tag}"),
        }
    }

    #[track_caller]
    pub(crate) fn tick(&mut self, name: &str, is_ticked: bool) {
        let field = self.field(name, None).unwrap_or_else(|| panic!("no field {name}"));
        assert_eq!(self.elements[field].attribute("type"), Some("checkbox"));
        self.elements[field].attributes.retain(|(name, _)| name != "checked");
        if is_ticked {
            self.elements[field].attributes.push(("checked".to_owned(), String::new()));
        }
    }

    pub(crate) fn buttons(&self) -> Vec<String> {
        self.all("button")
    }

    /// What the browser sends when this button is pressed: to where, and the fields.
    #[track_caller]
    pub(crate) fn submission(&self, button: &str) -> (String, Vec<(String, String)>) {
        let is_it = |(position, one): &(usize, &Element)| {
            one.tag == "button" && one.attribute("type") != Some("button") && self.text_of(*position) == button
        };
        let found = self.elements.iter().enumerate().find(is_it);
        let (pressed, button) = found.unwrap_or_else(|| panic!("no button {button:?} among {:?}", self.buttons()));
        let form = self.ancestor(pressed, "form").expect("the button is in a form");
        assert_eq!(self.elements[form].attribute("method"), Some("post"));
        let mut fields: Vec<_> = self.successful(form);
        if let Some(name) = button.attribute("name") {
            fields.push((name.to_owned(), button.attribute("value").unwrap_or_default().to_owned()));
        }
        (self.elements[form].attribute("action").unwrap().to_owned(), fields)
    }

    fn successful(&self, form: usize) -> Vec<(String, String)> {
        let in_form = |position: usize| self.ancestor(position, "form") == Some(form);
        let mut fields = Vec::new();
        for (position, element) in self.elements.iter().enumerate().filter(|(at, one)| one.is_field() && in_form(*at)) {
            let Some(name) = element.attribute("name").filter(|_| element.attribute("disabled").is_none()) else {
                continue;
            };
            let is_choice = matches!(element.attribute("type"), Some("radio" | "checkbox"));
            if is_choice && element.attribute("checked").is_none() {
                continue;
            }
            let value = match is_choice {
                true => element.attribute("value").unwrap_or("on").to_owned(),
                false => self.value_of(position),
            };
            fields.push((name.to_owned(), value));
        }
        fields
    }

    /// The field with this name; of radio buttons the chosen one, or the one with this value.
    fn field(&self, name: &str, value: Option<&str>) -> Option<usize> {
        let named = |one: &Element| one.is_field() && one.attribute("name") == Some(name);
        let is_chosen = |one: &Element| match value {
            Some(value) => one.attribute("value") == Some(value),
            None => one.attribute("type") != Some("radio") || one.attribute("checked").is_some(),
        };
        let exact = self.elements.iter().position(|one| named(one) && is_chosen(one));
        exact.or_else(|| self.elements.iter().position(|one| named(one) && value.is_none()))
    }

    fn value_of(&self, field: usize) -> String {
        let element = &self.elements[field];
        match (element.tag.as_str(), element.attribute("type")) {
            ("textarea", _) => {
                let text = element.content.iter().map(|content| match content {
                    Content::Text(text) => text.as_str(),
                    Content::Element(_) => "",
                });
                // As browsers do.
                let text = text.collect::<String>();
                text.strip_prefix('\n').unwrap_or(&text).to_owned()
            }
            ("select", _) => {
                let options: Vec<_> = self.children(field).map(|option| &self.elements[option]).collect();
                let chosen = options.iter().find(|one| one.attribute("selected").is_some()).or(options.first());
                chosen.unwrap().attribute("value").unwrap().to_owned()
            }
            (_, Some("radio")) if element.attribute("checked").is_none() => String::new(),
            _ => element.attribute("value").unwrap_or_default().to_owned(),
        }
    }

    fn by_id(&self, id: &str) -> Option<usize> {
        self.elements.iter().position(|element| element.attribute("id") == Some(id))
    }

    fn ancestor(&self, of: usize, tag: &str) -> Option<usize> {
        let mut at = self.elements[of].parent;
        while let Some(position) = at {
            if self.elements[position].tag == tag {
                return Some(position);
            }
            at = self.elements[position].parent;
        }
        None
    }

    fn children(&self, of: usize) -> impl Iterator<Item = usize> {
        self.elements[of].content.iter().filter_map(|content| match content {
            Content::Element(position) => Some(*position),
            Content::Text(_) => None,
        })
    }

    fn text_of(&self, element: usize) -> String {
        let mut text = String::new();
        self.collect(element, &mut text);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn collect(&self, element: usize, text: &mut String) {
        for content in &self.elements[element].content {
            match content {
                Content::Text(part) => text.push_str(part),
                Content::Element(child) => {
                    let is_inline = matches!(
                        self.elements[*child].tag.as_str(),
                        "a" | "b" | "bdi" | "code" | "strong" | "em" | "span"
                    );
                    text.push_str(if is_inline { "" } else { " " });
                    if self.elements[*child].tag != "textarea" && self.elements[*child].attribute("hidden").is_none() {
                        self.collect(*child, text);
                    }
                    text.push_str(if is_inline { "" } else { " " });
                }
            }
        }
    }
}

impl Element {
    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn is_field(&self) -> bool {
        matches!(self.tag.as_str(), "input" | "textarea" | "select")
    }
}

/// The elements of a page, in their order. Ends the test if elements are not nested.
fn parse(html: &str) -> Vec<Element> {
    let mut elements = vec![Element::default()];
    let mut open = vec![0];
    let mut rest = html;
    while let Some((text, after)) = rest.split_once('<') {
        let parent = *open.last().unwrap();
        elements[parent].content.push(Content::Text(unescaped(text)));
        let (inside, after) = after.split_once('>').expect("a tag ends");
        rest = after;
        if let Some(tag) = inside.strip_prefix('/') {
            assert_eq!(elements[open.pop().unwrap()].tag, tag, "elements are nested");
        } else if !inside.starts_with('!') {
            let element = Element { parent: Some(parent), ..tag(inside) };
            let (position, is_void) = (elements.len(), VOID.contains(&element.tag.as_str()));
            elements[parent].content.push(Content::Element(position));
            elements.push(element);
            if !is_void {
                open.push(position);
            }
        }
    }
    assert_eq!(open, [0], "all elements end");
    elements
}

fn tag(inside: &str) -> Element {
    let (tag, mut rest) = inside.split_once(' ').unwrap_or((inside, ""));
    let mut attributes = Vec::new();
    while !rest.trim().is_empty() {
        rest = rest.trim_start();
        let end = rest.find([' ', '=']).unwrap_or(rest.len());
        let name = rest[..end].to_owned();
        rest = &rest[end..];
        let value = match rest.strip_prefix("=\"") {
            Some(value) => {
                let (value, after) = value.split_once('"').unwrap();
                rest = after;
                unescaped(value)
            }
            None => String::new(),
        };
        assert!(attributes.iter().all(|(known, _)| *known != name), "{name} is there twice: {inside}");
        attributes.push((name, value));
    }
    Element { tag: tag.to_owned(), attributes, ..Element::default() }
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'").replace("&amp;", "&")
}

const VOID: [&str; 7] = ["br", "hr", "img", "input", "link", "meta", "wbr"];
