use codehost_oauth::testing::forgejo::{FakeOrganization, FakeTeam, FakeUser, TeamPermission};

use super::*;

const BOTH: &str = "read:user read:organization";

#[tokio::test]
async fn teams_name_their_organization_and_permission() {
    let fake = start().await;
    let base = fake.base_url();
    let teams = async |name: &str| {
        let (access, _) = log_in(&fake, name, "read:user").await;
        api(&fake, "/user/teams", &access).await
    };
    let jane = teams("jane").await;
    let first = format!(
        r#"[{{"id":31,"name":"developers","description":"","organization":{{"id":20,"name":"acme","full_name":"","email":"","avatar_url":"{base}/avatars/20","description":"","website":"","location":"","visibility":"public","repo_admin_change_team_access":true,"username":"acme"}},"includes_all_repositories":false,"permission":"write","units":["repo.actions","#
    );
    assert!(jane.body.starts_with(&first), "{}", jane.body);
    assert_eq!((jane.header("x-total-count"), jane.header("link")), ("2", ""));
    let owners = &jane.json()[1];
    assert_eq!(
        (&owners["name"], &owners["permission"], &owners["organization"]["visibility"]),
        (&"Owners".into(), &"owner".into(), &"private".into())
    );
    assert_eq!(teams("grace").await.json()[0]["permission"], "read");
    let heidi = teams("heidi").await.json();
    assert_eq!((&heidi[0]["permission"], &heidi[1]["permission"]), (&"admin".into(), &"none".into()));
    assert_eq!(heidi[1]["units_map"], serde_json::json!({"repo.code": "read", "repo.issues": "write"}));
    assert_eq!(teams("bob").await.body, "[]\n");
}

#[tokio::test]
async fn lists_have_pages() {
    let fake = forgejo().user(FakeUser::many_teams(120)).start().await.unwrap();
    let (many, _) = log_in(&fake, "many", BOTH).await;
    for (query, count) in [("", 30), ("?limit=50", 50), ("?limit=100", 50), ("?limit=50&page=3", 20), ("?page=9", 0)] {
        let response = api(&fake, &format!("/user/teams{query}"), &many).await;
        assert_eq!(response.json().as_array().unwrap().len(), count, "{query}");
        assert_eq!((response.header("x-total-count"), response.header("link")), ("120", ""));
    }
    let orgs = api(&fake, "/user/orgs?limit=50&page=2", &many).await;
    let link = |page, rel| format!("<{}/api/v1/user/orgs?limit=50&page={page}>; rel=\"{rel}\"", fake.base_url());
    let links = [link(3, "next"), link(3, "last"), link(1, "first"), link(1, "prev")].join(",");
    assert_eq!((orgs.header("x-total-count"), orgs.header("link")), ("120", links.as_str()));
    assert_eq!(orgs.json()[0]["name"], "org-51");

    let small = forgejo().user(FakeUser::many_teams(25)).max_response_items(10).start().await.unwrap();
    let (many, _) = log_in(&small, "many", BOTH).await;
    assert_eq!(api(&small, "/user/teams?limit=50&page=3", &many).await.json().as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn only_members_see_the_members() {
    let fake = start().await;
    let (jane, _) = log_in(&fake, "jane", BOTH).await;
    let (bob, _) = log_in(&fake, "bob", BOTH).await;
    let (root, _) = log_in(&fake, "root", BOTH).await;
    for (token, call, status) in [
        (&jane, "/orgs/acme/members/jane", 204),
        (&jane, "/orgs/ACME/members/Jane", 204),
        (&jane, "/orgs/acme/members/grace", 204),
        (&jane, "/orgs/acme/members/bob", 404),
        (&jane, "/orgs/acme/members/nobody", 404),
        (&jane, "/orgs/nothing/members/jane", 404),
        (&root, "/orgs/tools/members/jane", 204),
        (&bob, "/orgs/acme/members/bob", 404),
        (&bob, "/orgs/acme/members/jane", 303),
        (&bob, "/orgs/tools/members/jane", 404),
        (&bob, "/orgs/acme/public_members/jane", 204),
        (&bob, "/orgs/acme/public_members/grace", 404),
    ] {
        assert_eq!(api(&fake, call, token).await.status, status, "{call}");
    }
    let elsewhere = api(&fake, "/orgs/acme/members/jane", &bob).await;
    assert_eq!(elsewhere.header("location"), "/forgejo/api/v1/orgs/acme/public_members/jane");
}

#[tokio::test]
async fn permissions_are_those_of_the_best_team() {
    let fake = start().await;
    let (root, _) = log_in(&fake, "root", BOTH).await;
    let limited = FakeTeam::new(60, FakeOrganization::new(20, "acme"), "one", TeamPermission::None);
    let mut user = FakeUser::new(60, "unit", "", "unit@example.com");
    user.teams.push(limited);
    fake.add_user(user);
    for (name, expected) in [
        ("root", [true, true, true, true, true]),
        ("heidi", [false, true, true, true, false]),
        ("jane", [false, false, true, true, false]),
        ("grace", [false, false, false, true, false]),
        ("unit", [false; 5]),
        ("bob", [false; 5]),
    ] {
        let response = api(&fake, &format!("/users/{name}/orgs/acme/permissions"), &root).await;
        let [owner, admin, write, read, create] = expected;
        let body = format!(
            "{{\"is_owner\":{owner},\"is_admin\":{admin},\"can_write\":{write},\"can_read\":{read},\
             \"can_create_repository\":{create}}}\n"
        );
        assert_eq!((response.status, response.body), (200, body), "{name}");
    }
}

#[tokio::test]
async fn members_of_a_team_are_visible_inside() {
    let fake = start().await;
    let (root, _) = log_in(&fake, "root", BOTH).await;
    let (grace, _) = log_in(&fake, "grace", BOTH).await;
    let (bob, _) = log_in(&fake, "bob", BOTH).await;
    let heidi = api(&fake, "/teams/34/members/heidi", &root).await;
    // Others do not see a hidden address.
    assert_eq!((heidi.status, heidi.text("email").as_str()), (200, "heidi@noreply.example.com"));
    assert_eq!(api(&fake, "/teams/34/members/jane", &root).await.status, 404);
    assert_eq!(api(&fake, "/teams/99/members/jane", &root).await.status, 404);
    assert_eq!(api(&fake, "/teams/32/members/grace", &grace).await.text("email"), "grace@example.com");
    assert_message(&api(&fake, "/teams/34/members/heidi", &grace).await, 403, "Must be a team member");
    assert_eq!(api(&fake, "/teams/34/members/heidi", &bob).await.status, 404);
}
