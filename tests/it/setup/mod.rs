//! Setup guides and the requests for them.

mod guides;
mod requests;
