use super::{Nonconformity, Suite, ensure, integration, random_id};
use crate::settings::StoredIntegration;

impl Suite {
    pub(super) async fn lists(&self) -> Result<(), Nonconformity> {
        let owner = random_id()?.to_string();
        self.ensure_listed(Some(&owner), &[], "`list` must be empty for an owner without integrations").await?;
        let mut stored = Vec::new();
        for name in ["b", "B", "a b", "a", "a", "ä", "Z", "10", "9", "", "\u{202e}א", "ab"] {
            let new = integration(Some(&owner), name)?;
            self.create(&new).await?;
            stored.push(new);
        }
        let order = "`list` must be in the order of the names' bytes, and of the IDs where names are equal";
        self.ensure_listed(Some(&owner), &stored, order).await?;
        if let Some(first) = stored.first_mut() {
            *first = self.replace(first, |new| new.settings.name = "~ last".to_owned()).await?;
        }
        self.ensure_listed(Some(&owner), &stored, "`list` must return what `Replace` has stored").await?;
        if let Some(disabled) = stored.last_mut() {
            *disabled = self.replace(disabled, |new| new.is_disabled = true).await?;
        }
        self.ensure_listed(Some(&owner), &stored, "`list` must contain disabled integrations").await?;
        while let Some(last) = stored.pop() {
            self.delete(&last).await?;
            self.ensure_listed(Some(&owner), &stored, "`list` must not contain deleted integrations").await?;
        }
        Ok(())
    }

    pub(super) async fn owners(&self) -> Result<(), Nonconformity> {
        let random = random_id()?.to_string();
        let owners = [
            None,
            Some(String::new()),
            Some("null".to_owned()),
            Some(random.clone()),
            Some(random.to_uppercase()),
            Some(format!("{random} ")),
            Some(format!("{random}%")),
        ];
        let mut stored = Vec::new();
        for owner in &owners {
            let new = integration(owner.as_deref(), "One")?;
            self.create(&new).await?;
            stored.push(new);
        }
        for (owner, own) in owners.iter().zip(&stored) {
            for store in [&self.here, &self.there] {
                let mut listed = store.list(owner.as_deref()).await?;
                // There may be others without an owner.
                listed.retain(|one| stored.iter().any(|known| one.as_ref().is_ok_and(|one| known.id == one.id)));
                ensure(
                    listed == [Ok(own.clone())],
                    "`list` must contain the integrations of exactly this owner: no owner is not the owner \"\", and case and spaces count",
                )?;
            }
        }
        let mut stored = stored.into_iter();
        if let Some(first) = stored.next() {
            let moved = self.replace(&first, |new| new.owner = Some(format!("{random}-2"))).await?;
            let of_new_owner = self.there.list(Some(&format!("{random}-2"))).await?;
            let of_nobody = self.there.list(None).await?;
            ensure(
                of_new_owner == [Ok(moved.clone())] && !of_nobody.iter().flatten().any(|one| one.id == moved.id),
                "`list` must follow a change of the owner",
            )?;
            self.delete(&moved).await?;
        }
        for one in stored {
            self.delete(&one).await?;
        }
        Ok(())
    }

    /// Whether both handles list exactly these, in the order of the contract.
    async fn ensure_listed(
        &self,
        owner: Option<&str>,
        expected: &[StoredIntegration],
        requirement: &'static str,
    ) -> Result<(), Nonconformity> {
        let mut expected = expected.to_vec();
        expected.sort_by(|a, b| (&a.settings.name, &a.id).cmp(&(&b.settings.name, &b.id)));
        let expected: Vec<_> = expected.into_iter().map(Ok).collect();
        for store in [&self.here, &self.there] {
            ensure(store.list(owner).await? == expected, requirement)?;
        }
        Ok(())
    }
}
