//! x
pub use crate::network::{Cidr, Network};
