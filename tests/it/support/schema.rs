//! The tables that docs/stores.md documents, and those that a store has made.

/// The SQL of docs/stores.md in its order: the tokens in PostgreSQL and SQLite, then the integrations in both, and the
/// sessions in SQLite.
pub(crate) fn documented() -> [&'static str; 5] {
    let docs = include_str!("../../../docs/stores.md");
    let blocks: Vec<_> = docs.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    blocks.try_into().unwrap()
}

/// What distinguishes the tables and indexes of a file.
pub(crate) async fn of_sqlite(pool: &sqlx::SqlitePool) -> Vec<String> {
    let sql = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name";
    let found: Vec<String> = sqlx::query_scalar(sql).fetch_all(pool).await.unwrap();
    let without_comments = |sql: &String| sql.lines().map(|line| line.split("--").next().unwrap()).collect::<String>();
    found.iter().map(|sql| without_comments(sql).split_whitespace().collect()).collect()
}

/// What distinguishes the tables and indexes of a database.
pub(crate) async fn of_postgres(pool: &sqlx::PgPool) -> Vec<String> {
    let sql = "
        SELECT concat_ws(' ', relname, attname, format_type(atttypid, atttypmod), attnotnull, attnum, collname,
            pg_get_expr(adbin, adrelid), reloptions)
        FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0
        LEFT JOIN pg_collation ON pg_collation.oid = attcollation
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE relname LIKE 'codehost_oauth%'
        UNION SELECT pg_get_constraintdef(oid) || conname FROM pg_constraint WHERE conname LIKE 'codehost_oauth%'
        UNION SELECT indexdef FROM pg_indexes WHERE indexname LIKE 'codehost_oauth%'
        ORDER BY 1";
    sqlx::query_scalar(sql).fetch_all(pool).await.unwrap()
}
