use super::{Nonconformity, Suite, at, ensure, integration};
use crate::settings::{IntegrationSettings, Proposal, Stamp, StoredIntegration};
use crate::values::access::Access;

impl Suite {
    pub(super) async fn contents(&self) -> Result<(), Nonconformity> {
        for name in
            ["", " a ", "Git\nLab\t\"'`\\%_;--", "גיטלאב \u{202e}هب", "e\u{301} é 👩‍💻", &"長い名前 ".repeat(2_000)]
        {
            let owner: String = name.chars().take(200).collect();
            let new = integration(Some(&owner), name)?;
            self.create(&new).await?;
            self.both_load(
                &new.id,
                Some(&new),
                "text must be stored as it is: long, right to left, with spaces and quotes",
            )
            .await?;
            self.delete(&new).await?;
        }
        let bytes: Vec<u8> = (0..=u8::MAX).collect();
        for sealed in [Vec::new(), vec![0], bytes.clone(), bytes.repeat(256)] {
            let new = StoredIntegration { sealed_secrets: sealed, ..integration(None, "One")? };
            self.create(&new).await?;
            self.both_load(&new.id, Some(&new), "up to 64 KiB of sealed secrets must be stored as they are").await?;
            self.delete(&new).await?;
        }
        self.every_field().await
    }

    async fn every_field(&self) -> Result<(), Nonconformity> {
        let mut new = integration(Some("owner"), "One")?;
        let mut id = format!("{0}-{0}-{0}", new.id);
        id.truncate(62);
        let [long_id, other_id] = [format!("{id}8"), format!("{id}9")]
            .map(|id| id.parse().map_err(|_| Nonconformity::Broken("the id of the test's integration must be valid")));
        new.id = long_id?;
        new.settings = full_settings("One");
        new.is_disabled = true;
        new.created = Stamp::new("jane", at(0));
        new.changed = Stamp::new("יוסי", at(253_402_300_799));
        let proposed = Proposal::new(full_settings("Proposed"), vec![0, 255], Stamp::new("joe", at(1_700_000_001)));
        new.proposed = Some(proposed);
        self.create(&new).await?;
        self.both_load(&new.id, Some(&new), "every field must be stored as it is").await?;
        self.both_load(&other_id?, None, "an integration must be found by its whole ID only").await?;
        let loaded = self.there.load(&new.id).await?.map(|stored| json(&stored.settings));
        ensure(loaded == Some(json(&new.settings)), "the JSON of the settings must be stored byte for byte")?;

        let other = integration(None, "Other")?;
        let replaced = self
            .replace(&new, |new| *new = StoredIntegration { id: new.id.clone(), version: new.version, ..other })
            .await?;
        self.both_load(&new.id, Some(&replaced), "`Replace` must store every field, also those that are empty now")
            .await?;
        let replaced = self
            .replace(&replaced, |again| *again = StoredIntegration { version: again.version, ..new.clone() })
            .await?;
        self.both_load(&new.id, Some(&replaced), "`Replace` must store every field").await?;
        self.delete(&replaced).await
    }
}

/// Settings with every field.
fn full_settings(name: &str) -> IntegrationSettings {
    let mut settings = IntegrationSettings::new("gitlab", "https://git.example.com/a b?ä", Access::Write)
        .named(name)
        .with_client_id("ab\"c");
    settings.api_url = Some("https://api.example.com".to_owned());
    settings.root_certificates = Some("-----BEGIN CERTIFICATE-----\r\nMII=\r\n".repeat(400));
    settings.timeout_seconds = Some(7);
    settings.former_base_urls = vec!["https://z.example.com".to_owned(), "https://a.example.com".to_owned()];
    settings
}

fn json(settings: &IntegrationSettings) -> String {
    serde_json::to_string(settings).unwrap_or_default()
}
