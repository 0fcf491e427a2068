//! The guide: one page for each task. Its programs can be copied as they are.
//!
//! | you want to | page |
//! | --- | --- |
//! | let users log in | with [the routes for axum](self::axum) and a [login handler](login_handler), with [actix-web](actix_web), in [any framework](any_framework) |
//! | keep sessions in SQL, or use another session library | [a session store](sessions) |
//! | let administrators add code hosts | in a [self-hosted product](self_hosted), in a [service for many organizations](multi_tenant) |
//! | reach code hosts behind proxies, or in an intranet | [the HTTP client](networks) |
//! | understand why a login failed | [codes, and who must act](errors) |
//! | call the code host's API | with [valid tokens](call_the_api), with [other crates](other_crates) |
//! | test your app without a code host | [a fake of it](test_your_app) |
//! | support another code host | [a provider](write_a_provider) |
//! | keep your code on the crate `oauth2` | [three steps](from_oauth2) |
//! | run it: logs, metrics, keys, backups, upgrades | [for operators](operate) |
//! | go on when a platform has changed something | [platform changes](platform_changes) |
//!
//! The pages are files in `src/guide/` of the repository, for those who read them there.

// Each page defines its links at its end, as files. Here `links.md` defines them first, and the first definition of a link counts.

#[cfg_attr(not(doctest), doc = include_str!("links.md"))]
#[doc = include_str!("axum.md")]
pub mod axum {}

#[cfg_attr(not(doctest), doc = include_str!("links.md"))]
#[doc = include_str!("login_handler.md")]
pub mod login_handler {}

#[cfg_attr(not(doctest), doc = include_str!("links.md"))]
#[doc = include_str!("sessions.md")]
pub mod sessions {}

#[cfg_attr(not(doctest), doc = include_str!("links.md"))]
#[doc = include_str!("actix_web.md")]
pub mod actix_web {}

#[cfg_attr(not(doctest), doc = include_str!("links.md"))]
#[doc = include_str!("any_framework.md")]
pub mod any_framework {}

#[cfg_attr(not(doctest), doc = include_str!("links.md"))]
#[doc = include_str!("self_hosted.md")]
pub mod self_hosted {}

#[cfg_attr(not(doctest), doc = include_str!("links.md"))]
#[doc = include_str!("multi_tenant.md")]
pub mod multi_tenant {}

#[cfg_attr(not(doctest), doc = include_str!("links.md"))]
#[doc = include_str!("networks.md")]
pub mod networks {}

#[cfg_attr(not(doctest), doc = include_str!("links.md"))]
#[doc = include_str!("errors.md")]
pub mod errors {}

#[cfg_attr(not(doctest), doc = include_str!("links.md"))]
#[doc = include_str!("call_the_api.md")]
pub mod call_the_api {}

#[cfg_attr(not(doctest), doc = include_str!("links.md"))]
#[doc = include_str!("other_crates.md")]
pub mod other_crates {}

#[cfg_attr(not(doctest), doc = include_str!("links.md"))]
#[doc = include_str!("test_your_app.md")]
pub mod test_your_app {}

#[cfg_attr(not(doctest), doc = include_str!("links.md"))]
#[doc = include_str!("write_a_provider.md")]
pub mod write_a_provider {}

#[cfg_attr(not(doctest), doc = include_str!("links.md"))]
#[doc = include_str!("from_oauth2.md")]
pub mod from_oauth2 {}

#[cfg_attr(not(doctest), doc = include_str!("links.md"))]
#[doc = include_str!("operate.md")]
pub mod operate {}

#[cfg_attr(not(doctest), doc = include_str!("links.md"))]
#[doc = include_str!("platform_changes.md")]
pub mod platform_changes {}
