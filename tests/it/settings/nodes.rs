//! Two nodes of an app on one database.

use std::time::Duration;

use codehost_oauth::settings::{Integrations, IntegrationsError};
use codehost_oauth::{FindIntegration as _, LoginEnd};

use super::support::{Result, named, open};
use super::{node, secrets};
use crate::keeper::servers::Server;

async fn servers() -> Result<[Server; 2]> {
    Ok([Server::sqlite()?, Server::postgres_without_tables().await?])
}

async fn two_nodes(server: &Server) -> Result<[Integrations; 2]> {
    Ok([node(open(&server.url).await?), node(open(&server.url).await?)])
}

#[tokio::test]
async fn a_change_on_one_node_is_used_by_the_other() -> Result {
    for server in servers().await? {
        let [here, there] = two_nodes(&server).await?;
        let id = "demo".parse()?;
        assert!(there.find(&id).await?.is_none());
        let stored = here.by("jane").create(&id, None, named("One"), &secrets()).await?;
        assert_eq!(name(&there, &id, Latest::Yes).await?.as_deref(), Some("One"));

        let stored = here.by("jane").save(&stored, named("Two"), None).await?;
        assert_eq!(name(&there, &id, Latest::Yes).await?.as_deref(), Some("Two"), "a login that is about to finish");

        let mut moved = named("Three");
        moved.base_url = "https://code.example.com".to_owned();
        let stored = here.by("jane").move_to(&stored, moved, &secrets()).await?;
        seen(&there, &id, Some("Three")).await?;
        let found = there.find_latest(&id).await?.unwrap();
        assert_eq!(found.provider().base_url().as_str(), "https://code.example.com");

        let stored = here.by("jane").disable(&stored).await?;
        seen(&there, &id, None).await?;
        let stored = here.by("jane").enable(&stored).await?;
        seen(&there, &id, Some("Three")).await?;
        here.by("jane").delete(&stored).await?;
        assert_eq!(name(&there, &id, Latest::Yes).await?, None);
        assert_eq!(there.load(&id).await?, None);
    }
    Ok(())
}

#[tokio::test]
async fn logins_on_both_nodes_are_known_to_both() -> Result {
    for server in servers().await? {
        let [here, there] = two_nodes(&server).await?;
        let id = "demo".parse()?;
        here.by("jane").create(&id, None, named("One"), &secrets()).await?;
        here.login_ended(&LoginEnd::success(&id));
        there.login_ended(&LoginEnd::failure(&id, "timed_out"));
        here.write_notes().await;
        there.write_notes().await;
        for node in [&here, &there] {
            let health = node.health(std::slice::from_ref(&id)).await?.remove(0);
            assert!(health.last_login.is_some());
            assert_eq!(health.last_failure.map(|failure| failure.code).as_deref(), Some("timed_out"));
            assert_eq!(node.load(&id).await?.unwrap().version, 1);
        }
    }
    Ok(())
}

/// Each edit adds a former base URL. Whoever is too late reads again and repeats the edit.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_edits_at_once_lose_nothing() -> Result {
    const EDITS: usize = 50;
    for server in servers().await? {
        let nodes = two_nodes(&server).await?;
        let id: codehost_oauth::IntegrationId = "demo".parse()?;
        nodes[0].by("jane").create(&id, None, named("One"), &secrets()).await?;
        let edits = (0..EDITS).map(|n| {
            let (node, id) = (nodes[n % 2].clone(), id.clone());
            tokio::spawn(async move {
                let mut stale = 0;
                loop {
                    let old = node.load(&id).await?.unwrap();
                    let mut settings = old.settings.clone();
                    settings.former_base_urls.push(format!("https://{n}.example.com"));
                    match node.by(&format!("editor {n}")).save(&old, settings, None).await {
                        Ok(saved) => return Ok::<_, IntegrationsError>((saved.version, stale)),
                        Err(IntegrationsError::Stale { stored }) => {
                            assert!(stored.version > old.version);
                            stale += 1;
                        }
                        Err(error) => return Err(error),
                    }
                }
            })
        });
        let mut versions = Vec::new();
        let mut stale = 0;
        for edit in futures_util::future::join_all(edits).await {
            let (version, tries) = edit??;
            versions.push(version);
            stale += tries;
        }
        versions.sort_unstable();
        assert_eq!(versions, (2..=51).collect::<Vec<i64>>(), "each edit has a version of its own");
        let stored = nodes[1].load(&id).await?.unwrap();
        assert_eq!(stored.version, 51);
        let mut urls = stored.settings.former_base_urls;
        urls.sort_unstable();
        let mut expected: Vec<_> = (0..EDITS).map(|n| format!("https://{n}.example.com")).collect();
        expected.sort_unstable();
        assert_eq!(urls, expected);
        println!("{}: {stale} edits were repeated", server.url);
        for node in &nodes {
            assert_eq!(name(node, &id, Latest::Yes).await?.as_deref(), Some("One"));
        }
    }
    Ok(())
}

enum Latest {
    Yes,
    No,
}

async fn name(node: &Integrations, id: &codehost_oauth::IntegrationId, latest: Latest) -> Result<Option<String>> {
    let found = match latest {
        Latest::Yes => node.find_latest(id).await?,
        Latest::No => node.find(id).await?,
    };
    Ok(found.map(|found| found.name().to_owned()))
}

/// Until [`find`](codehost_oauth::FindIntegration::find) uses it, which asks the store once a second.
async fn seen(node: &Integrations, id: &codehost_oauth::IntegrationId, expected: Option<&str>) -> Result {
    for _ in 0..600 {
        if name(node, id, Latest::No).await?.as_deref() == expected {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the change was not used within 30 s: {expected:?}");
}
