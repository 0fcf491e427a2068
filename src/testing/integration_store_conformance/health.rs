use super::{Nonconformity, Suite, at, ensure, integration, random_id};
use crate::settings::{Health, HealthNote, LoginFailure};
use crate::values::integration_id::IntegrationId;

impl Suite {
    pub(super) async fn notes(&self) -> Result<(), Nonconformity> {
        let one = integration(None, "One")?;
        let id = &one.id;
        self.create(&one).await?;
        self.ensure_health(id, &Health::default(), "`health` without a note must be the default").await?;
        self.here.note(&[]).await?;

        self.here.note(&[HealthNote::new(id, at(2_000), None)]).await?;
        let mut expected = Health { last_login: Some(at(2_000)), last_failure: None };
        self.ensure_health(id, &expected, "`note` must store a login").await?;
        self.here.note(&[HealthNote::new(id, at(1_999), None)]).await?;
        self.ensure_health(id, &expected, "`note` must ignore a login that is older than the stored one").await?;

        let failure = |code: &str, seconds| Some(LoginFailure { code: code.to_owned(), at: at(seconds) });
        self.there.note(&[HealthNote::new(id, at(1_000), Some("timed_out"))]).await?;
        expected.last_failure = failure("timed_out", 1_000);
        self.ensure_health(id, &expected, "`note` must store a failure beside the last login, whichever is older")
            .await?;
        self.there.note(&[HealthNote::new(id, at(999), Some("older"))]).await?;
        self.ensure_health(id, &expected, "`note` must ignore a failure that is older than the stored one").await?;
        self.here.note(&[HealthNote::new(id, at(1_000), Some("same_second"))]).await?;
        expected.last_failure = failure("same_second", 1_000);
        self.ensure_health(id, &expected, "of two notes with the same time, the second one must be stored").await?;
        self.here
            .note(&[
                HealthNote::new(id, at(3_000), Some("newer")),
                HealthNote::new(id, at(3_001), None),
                HealthNote::new(id, at(2_999), Some("between")),
            ])
            .await?;
        expected = Health { last_login: Some(at(3_001)), last_failure: failure("newer", 3_000) };
        self.ensure_health(id, &expected, "`note` must store the latest of several notes").await?;
        self.both_load(id, Some(&one), "`note` must change neither the version nor the integration").await?;

        let two = self.replace(&one, |new| new.settings.name = "Two".to_owned()).await?;
        self.ensure_health(id, &expected, "`Replace` must keep the health").await?;
        self.delete(&two).await?;
        let requirement = "`health` of a deleted integration must be the default, also after another note";
        self.ensure_health(id, &Health::default(), requirement).await?;
        self.here.note(&[HealthNote::new(id, at(4_000), None)]).await?;
        self.ensure_health(id, &Health::default(), requirement).await?;
        self.both_load(id, None, "`note` must not bring back a deleted integration").await
    }

    pub(super) async fn health_of_many(&self) -> Result<(), Nonconformity> {
        let (one, two, unknown) = (integration(None, "One")?, integration(None, "Two")?, integration(None, "Unknown")?);
        self.create(&one).await?;
        self.create(&two).await?;
        let notes =
            [(&one.id, 1), (&unknown.id, 2), (&two.id, 3)].map(|(id, time)| HealthNote::new(id, at(time), None));
        self.here.note(&notes).await?;
        let health = |seconds| Health { last_login: Some(at(seconds)), last_failure: None };
        let ids = [&two.id, &unknown.id, &one.id, &two.id].map(Clone::clone);
        let expected = [health(3), Health::default(), health(1), health(3)];
        for store in [&self.here, &self.there] {
            ensure(
                store.health(&ids).await? == expected,
                "`health` must have one entry for each ID, in their order, also for those that are not stored",
            )?;
            ensure(store.health(&[]).await?.is_empty(), "`health` of no IDs must be empty")?;
        }
        let many = (0..1_000).map(|_| random_id()).collect::<Result<Vec<_>, _>>()?;
        ensure(self.here.health(&many).await?.len() == 1_000, "`health` must accept a thousand IDs")?;
        self.both_load(&unknown.id, None, "`note` must not store an integration").await?;
        // A note must not use up the id.
        self.create(&unknown).await?;
        for stored in [&one, &two, &unknown] {
            self.delete(stored).await?;
        }
        Ok(())
    }

    async fn ensure_health(
        &self,
        id: &IntegrationId,
        expected: &Health,
        requirement: &'static str,
    ) -> Result<(), Nonconformity> {
        for store in [&self.here, &self.there] {
            ensure(store.health(std::slice::from_ref(id)).await? == [expected.clone()], requirement)?;
        }
        Ok(())
    }
}
