/// An address of a [`FakeUser`](super::FakeUser).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FakeEmail {
    /// The address.
    pub address: String,
    /// Whether it is the primary address.
    pub primary: bool,
    /// Whether it was verified.
    pub verified: bool,
    /// `public`, `private`, or `None` as for all addresses but the primary one.
    pub visibility: Option<String>,
}

impl FakeEmail {
    /// An address, and whether it is primary and verified. A primary one is private.
    pub fn new(address: &str, primary: bool, verified: bool) -> Self {
        let visibility = primary.then(|| "private".to_owned());
        Self { address: address.to_owned(), primary, verified, visibility }
    }
}
