//! A login from its begin to its result, and each of its failures.

mod advice;
mod callback;
mod causes;
mod compared_with_oauth2;
mod flow;
mod hints;
mod new_tokens;
pub(crate) mod observe;
mod odd_responses;
mod pending;
mod policy;
mod purpose;
mod test_logins;
mod user_in_groups;
