/// The id of a user or a group, if a platform can have it: a positive number that fits into the `i64` of its database.
pub(super) fn database_id(id: u64) -> Option<u64> {
    i64::try_from(id).is_ok_and(|id| id > 0).then_some(id)
}
