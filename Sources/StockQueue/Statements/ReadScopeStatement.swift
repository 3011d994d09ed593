import StockModel
import StockQueuePostgres

/// A store, a lane or everything, as an administrator wants to pause or resume it.
package struct ScopeState: Sendable {
    /// It is paused; of everything, some store or lane is.
    package let isPaused: Bool
    /// There are items or jobs of the store.
    package let isKnown: Bool
    /// Its queued jobs, at most `jobsMax` + 1.
    package let jobs: Int64

    /// More jobs are not counted.
    package static let jobsMax: Int64 = 1_000_000
}

/// Reads whether a store, a lane or everything is paused, and how many jobs it has. The parameters are those of
/// `PauseStatement`.
struct ReadScopeStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        statement = Statement(
            "read_scope", ScopeParameters.types,
            """
            SELECT
                CASE WHEN $1 IS NOT NULL THEN EXISTS (SELECT FROM \(s).paused_stores WHERE store_id = $1)
                    ELSE EXISTS (SELECT FROM \(s).lanes WHERE ($3 OR lane = $2) AND paused_at IS NOT NULL)
                        OR $3 AND EXISTS (SELECT FROM \(s).paused_stores)
                END AS is_paused,
                $1 IS NULL
                    OR EXISTS (SELECT FROM \(s).items WHERE store_id = $1)
                    OR EXISTS (SELECT FROM \(s).jobs WHERE store_id = $1) AS is_known,
                (
                    SELECT count(*)
                    FROM (
                        SELECT FROM \(s).jobs
                        WHERE ($1 IS NULL OR store_id = $1) AND ($2 IS NULL OR lane = $2)
                        LIMIT \(ScopeState.jobsMax + 1)
                    ) AS counted
                ) AS jobs
            """)
    }

    static func state(in rows: ResultSet) -> ScopeState {
        ScopeState(
            isPaused: rows.bool(0, rows.column("is_paused")), isKnown: rows.bool(0, rows.column("is_known")),
            jobs: rows.int64(0, rows.column("jobs")))
    }
}

/// Whether there is an item or a job of a store. An index finds the items; the jobs are read for a store without any.
struct IsKnownStoreStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let s = schema.quoted
        statement = Statement(
            "is_known_store", [.text],
            """
            SELECT EXISTS (SELECT FROM \(s).items WHERE store_id = $1)
                OR EXISTS (SELECT FROM \(s).jobs WHERE store_id = $1) AS is_known
            """)
    }
}
