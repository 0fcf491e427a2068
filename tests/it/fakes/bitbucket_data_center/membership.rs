use codehost_oauth::testing::bitbucket_data_center::{FakeProject, FakeRepository, Level};

use super::{anonymous, api, builder, log_in, outcome, start, values};

#[track_caller]
fn assert_exception(response: &super::ResponseSummary, status: u16, name: &str) {
    let found = response.json()["errors"][0]["exceptionName"].as_str().unwrap().to_owned();
    assert_eq!((response.status, &*found), (status, &*format!("com.atlassian.bitbucket.{name}")));
}

#[tokio::test]
async fn permissions_are_the_callers_own() {
    let fake = start().await;
    for (name, project, read, write, admin) in [
        ("jdoe", "PROJ", 2, 2, 0),
        ("ann.lee@example.com", "PROJ", 2, 2, 2),
        ("Åsa Lind", "PROJ", 2, 0, 0),
        // One repository only.
        ("CORP\\kim", "PROJ", 1, 1, 0),
        ("jdoe2", "PROJ", 0, 0, 0),
        ("admin", "PROJ", 2, 2, 2),
        // A public project gives everybody `REPO_READ`.
        ("jdoe2", "OPEN", 1, 0, 0),
        // No repositories: not even an administrator is in the list.
        ("jdoe", "EMPTY", 0, 0, 0),
        ("jdoe", "~JDOE", 1, 1, 1),
        ("jdoe", "NONE", 0, 0, 0),
        ("jdoe", "proj", 2, 2, 0),
    ] {
        let access = log_in(&fake, name, "REPO_ADMIN").await;
        for (permission, count) in [("REPO_READ", read), ("REPO_WRITE", write), ("REPO_ADMIN", admin)] {
            let call = format!("repos?projectkey={project}&permission={permission}");
            let page = api(&fake, &call, &access).await;
            assert_eq!((outcome(&page), values(&page).len()), ((200, true), count), "{name} {call}");
        }
    }
    let access = log_in(&fake, "jdoe", "REPO_ADMIN").await;
    let first = api(&fake, "repos?projectkey=PROJ&permission=REPO_WRITE&limit=1", &access).await;
    assert_eq!(values(&first), ["api"]);
    assert_eq!((&first.json()["isLastPage"], &first.json()["nextPageStart"]), (&false.into(), &1.into()));
    assert_eq!(first.json()["values"][0]["project"]["key"], "PROJ");
    assert_eq!(api(&fake, "repos?permission=WRITE", &access).await.status, 400);
    let open = anonymous(&fake, "repos?permission=REPO_READ").await;
    assert_eq!((outcome(&open), values(&open)), ((200, false), vec!["site".to_owned()]));
}

#[tokio::test]
async fn a_small_scope_is_refused() {
    let fake = start().await;
    let forbidden = builder().scope_refusal_status(403).start().await.unwrap();
    for (fake, status) in [(&fake, 401), (&forbidden, 403)] {
        let access = log_in(fake, "jdoe", "PUBLIC_REPOS").await;
        for call in ["projects/PROJ", "projects/PROJ/repos/web", "repos?projectkey=PROJ&permission=REPO_WRITE"] {
            assert_eq!(outcome(&api(fake, call, &access).await), (status, true), "{call}");
        }
        // Only what is public.
        assert_eq!(values(&api(fake, "repos?permission=REPO_READ", &access).await), ["site"]);
        assert_eq!(api(fake, "projects/OPEN", &access).await.status, 200);
        let access = log_in(fake, "jdoe", "REPO_READ").await;
        assert_eq!(api(fake, "projects/PROJ/repos/web", &access).await.status, 200);
        assert_eq!(api(fake, "repos?permission=REPO_WRITE", &access).await.status, status);
    }
}

#[tokio::test]
async fn projects_and_repositories_are_hidden_or_refused() {
    let fake = start().await;
    let strict = builder().hidden_is_unauthorized(true).start().await.unwrap();
    let access = log_in(&fake, "jdoe2", "REPO_READ").await;
    assert_exception(&api(&fake, "projects/PROJ", &access).await, 404, "project.NoSuchProjectException");
    assert_exception(&api(&fake, "projects/NONE", &access).await, 404, "project.NoSuchProjectException");
    let hidden = api(&fake, "projects/PROJ/repos/web", &access).await;
    assert_exception(&hidden, 404, "repository.NoSuchRepositoryException");
    let missing = api(&fake, "projects/OPEN/repos/none", &access).await;
    assert_exception(&missing, 404, "repository.NoSuchRepositoryException");
    assert_eq!(outcome(&missing), (404, true));
    let access = log_in(&strict, "jdoe2", "REPO_READ").await;
    for call in ["projects/PROJ", "projects/PROJ/repos/web"] {
        let refused = api(&strict, call, &access).await;
        assert_exception(&refused, 401, "AuthorisationException");
        assert_eq!((outcome(&refused), outcome(&anonymous(&strict, call).await)), ((401, true), (401, false)));
    }
    assert_eq!(outcome(&anonymous(&fake, "projects/OPEN").await), (200, false));
    assert_eq!(outcome(&anonymous(&fake, "projects/OPEN/repos/site").await), (200, false));
    // A member of one repository sees its project, and no other repository.
    let access = log_in(&fake, "CORP\\kim", "REPO_READ").await;
    let project = api(&fake, "projects/proj", &access).await;
    assert_eq!((project.text("key"), &project.json()["public"]), ("PROJ".to_owned(), &false.into()));
    assert_eq!(api(&fake, "projects/PROJ/repos/web", &access).await.status, 200);
    assert_eq!(api(&fake, "projects/PROJ/repos/api", &access).await.status, 404);
}

#[tokio::test]
async fn administrators_see_permissions() {
    let fake = start().await;
    fake.add_application(codehost_oauth::testing::FakeApplication::new("wide", "w", super::CALLBACK, "PROJECT_ADMIN"));
    let repo_admin = log_in(&fake, "ann.lee@example.com", "REPO_ADMIN").await;
    assert_eq!(outcome(&api(&fake, "projects/PROJ/permissions/users", &repo_admin).await), (401, true));
    let writer = log_in(&fake, "jdoe", "REPO_ADMIN").await;
    assert_eq!(outcome(&api(&fake, "projects/PROJ/permissions/users", &writer).await), (401, true));
    assert_eq!(outcome(&api(&fake, "admin/groups/more-members?context=x", &writer).await), (401, true));
    let wide = [("client_id", "wide"), ("client_secret", "w")];
    let request = super::with(&super::with(&super::REQUEST, "client_id", "wide"), "scope", "PROJECT_ADMIN REPO_READ");
    let refused = fake.authorize(&super::page(&fake, &request), "ann.lee@example.com").unwrap();
    assert!(refused.contains("invalid_scope"), "PROJECT_ADMIN does not imply REPO_READ: {refused}");

    let fake = builder().wide_scopes(true).start().await.unwrap();
    fake.add_application(codehost_oauth::testing::FakeApplication::new("wide", "w", super::CALLBACK, "PROJECT_ADMIN"));
    let callback = fake.authorize(&super::page(&fake, &request), "ann.lee@example.com").unwrap();
    let code = super::param(&callback, "code");
    let mut params = super::exchange(&code);
    for (name, value) in wide {
        params = super::with(&params, name, value);
    }
    let access = super::token(&fake, &params).await.text("access_token");
    let page = api(&fake, "projects/PROJ/permissions/users", &access).await.json();
    assert_eq!(page["values"][1]["user"]["id"], 44);
    assert_eq!(page["values"][1]["permission"], "PROJECT_ADMIN");
}

#[tokio::test]
async fn tests_can_add_projects() {
    let team = FakeProject::new(9, "team", "Team")
        .member(43, Level::Write)
        .repository(FakeRepository::new(91, "one").member(42, Level::Admin));
    let fake = builder().project(team.clone()).start().await.unwrap();
    let access = log_in(&fake, "jdoe2", "REPO_ADMIN").await;
    assert_eq!(values(&api(&fake, "repos?projectkey=TEAM&permission=REPO_WRITE", &access).await), ["one"]);
    let mut team = team;
    team.members.clear();
    fake.add_project(team);
    assert_eq!(values(&api(&fake, "repos?projectkey=TEAM&permission=REPO_WRITE", &access).await), [""; 0]);
}
