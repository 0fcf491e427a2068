//! The responses of the fake code host, in the shape and size of the real ones (tests/fixtures has the recorded ones).
//! `$BASE` is its base URL.

/// GitLab's `POST /oauth/token`.
pub const GITLAB_TOKEN: &str = r#"{"access_token":"a3e21277663fa0530ae0e8cfb3d2bf8ba808fc41a179d78ec41c93d2772bc0aa","token_type":"Bearer","expires_in":7200,"refresh_token":"6ebf5cc5436395b93fdbae7b032e8523ca443605ee99a46f0b6b9aa82129c7fc","scope":"read_user","created_at":1795303695}"#;

/// GitLab's `GET /api/v4/user`.
pub const GITLAB_USER: &str = r#"{"id":2,"username":"alice","public_email":"alice.public@example.com","name":"Alice Åström","state":"active","locked":false,"avatar_url":"$BASE/uploads/-/system/user/avatar/2/avatar.png","web_url":"$BASE/alice","created_at":"2024-01-15T09:30:00.000Z","bio":"","location":"","linkedin":"","twitter":"","discord":"","website_url":"https://alice.example.com","github":"","job_title":"","pronouns":null,"organization":"","bot":false,"work_information":null,"local_time":null,"last_sign_in_at":"2026-11-21T23:28:15.168Z","confirmed_at":"2024-01-15T09:31:07.000Z","last_activity_on":"2026-11-21","email":"alice@example.com","theme_id":3,"color_scheme_id":1,"projects_limit":100000,"current_sign_in_at":"2026-11-21T23:28:15.168Z","identities":[],"can_create_group":true,"can_create_project":true,"two_factor_enabled":false,"external":false,"private_profile":false,"commit_email":"alice@example.com","preferred_language":"en"}"#;

/// Bitbucket's `POST /site/oauth2/access_token`, with tokens of a moderate length.
pub const BITBUCKET_TOKEN: &str = r#"{"scopes": "account email", "access_token": "lZvQ5PmE2wq8Yh0cT9sNfJ3kRxB7uD1aG6oV4iMz_Kp-XeCtLyWbHgSrFnAj2dU5=", "expires_in": 7200, "token_type": "bearer", "state": "authorization_code", "refresh_token": "Vg7NfTqcW4Zs9uYxKb"}"#;

/// Bitbucket's `GET /2.0/user`.
pub const BITBUCKET_USER: &str = r#"{"username": "janedoe", "display_name": "Jane Doe", "has_2fa_enabled": null, "links": {"hooks": {"href": "https://api.bitbucket.org/2.0/users/%7B11111111-2222-3333-4444-555555555555%7D/hooks"}, "self": {"href": "https://api.bitbucket.org/2.0/users/%7B11111111-2222-3333-4444-555555555555%7D"}, "repositories": {"href": "https://api.bitbucket.org/2.0/repositories/%7B11111111-2222-3333-4444-555555555555%7D"}, "html": {"href": "https://bitbucket.org/%7B11111111-2222-3333-4444-555555555555%7D/"}, "avatar": {"href": "https://avatar-management--avatars.us-west-2.prod.public.atl-paas.net/aaaaaaaaaaaaaaaaaaaaaaaa/bbbbbbbb-cccc-dddd-eeee-ffffffffffff/128"}, "snippets": {"href": "https://api.bitbucket.org/2.0/snippets/%7B11111111-2222-3333-4444-555555555555%7D"}}, "nickname": "Jane Doe", "account_id": "aaaaaaaaaaaaaaaaaaaaaaaa", "created_on": "2019-02-19T10:36:46.361566-08:00", "is_staff": false, "account_status": "active", "type": "user", "uuid": "{11111111-2222-3333-4444-555555555555}"}"#;

/// Bitbucket's `GET /2.0/user/emails`.
pub const BITBUCKET_EMAILS: &str = r#"{"pagelen":100,"values":[{"is_primary":true,"links":{"self":{"href":"https:\/\/bitbucket.org\/!api\/2.0\/user\/emails\/jane@example.org"}},"type":"email","email":"jane@example.org","is_confirmed":true}],"page":1,"size":1}"#;

/// The token endpoint of GitHub, Forgejo and Bitbucket Data Center.
pub const OTHER_TOKEN: &str = r#"{"access_token":"a3e21277663fa0530ae0e8cfb3d2bf8ba808fc41a179d78ec41c93d2772bc0aa","token_type":"bearer","expires_in":28800,"refresh_token":"6ebf5cc5436395b93fdbae7b0324ea8c6dd1eb8d1b7a1d2b62d3a2f4c5e6f708","scope":"user:email"}"#;

/// `GET /user` of GitHub and Forgejo.
pub const OTHER_USER: &str = r#"{"login":"janedoe","id":12345678,"node_id":"MDQ6VXNlcjEyMzQ1Njc4","avatar_url":"https://avatars.example.com/u/12345678?v=4","gravatar_id":"","url":"https://api.example.com/users/janedoe","html_url":"https://git.example.com/janedoe","followers_url":"https://api.example.com/users/janedoe/followers","type":"User","site_admin":false,"name":"Jane Doe","full_name":"Jane Doe","company":null,"blog":"","location":null,"email":"jane@example.com","hireable":null,"bio":null,"public_repos":12,"followers":3,"following":1,"created_at":"2014-01-02T03:04:05Z","updated_at":"2026-11-20T08:00:00Z","created":"2024-01-02T03:04:05Z","active":true,"prohibit_login":false,"visibility":"public"}"#;

/// `GET /user/emails` of GitHub and Forgejo.
pub const OTHER_EMAILS: &str =
    r#"[{"email":"jane@example.com","primary":true,"verified":true,"visibility":"private"}]"#;

/// `GET /rest/api/latest/users` of Bitbucket Data Center.
pub const DATA_CENTER_USERS: &str = r#"{"values":[{"name":"jdoe","emailAddress":"jdoe@example.com","active":true,"displayName":"Jane Doe","id":42,"slug":"jdoe","type":"NORMAL","links":{"self":[{"href":"https://git.example.com/users/jdoe"}]}}],"size":1,"limit":100,"isLastPage":true,"start":0,"nextPageStart":null}"#;
