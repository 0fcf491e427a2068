//! The built-in platforms, and the conformance suite for every provider.

pub(crate) mod all;
mod api_calls;
mod bitbucket;
mod bitbucket_data_center;
mod conformance;
mod conformance_meanings;
mod conformance_requests;
mod forgejo;
mod github;
mod gitlab;
mod gitlab_application;
mod gitlab_id_token;
mod membership;
mod minimal;
mod own_rules;
mod revoke;
mod scenarios;
mod who_must_act;
