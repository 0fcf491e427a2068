//! Values: parsed once, at the edge.

mod base_url;
mod misuse;
mod network;
mod parsing;
mod return_to;
