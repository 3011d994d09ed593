import Postgres

/// What the lookout and the maintenance of a worker process ask of the database.
struct LookoutStatements: Sendable {
    /// The lanes with ready jobs, and behind them, as lane −1, in how many milliseconds the next deferred job is due.
    ///
    /// One probe of the ready index for each of the 64 lanes, so that one statement a second is all that an idle
    /// process costs. A skip scan over the index would visit fewer, and is not shorter by enough to pay for reading it.
    let look: Statement

    /// Makes due jobs ready, a bounded number at a time.
    ///
    /// The time that the producer asked for is kept.
    let promoteDue: Statement

    /// Tells producers whether they have to ring. Writes nothing where it says so already.
    let setAsleep: Statement

    /// Wakes the workers of other processes when this one sees more than it can do at once.
    let ring: Statement

    let addPartitions: Statement
    let dropExpired: Statement

    init(schema: Schema) {
        let s = schema.quoted
        look = Statement(
            "look",
            [],
            """
            SELECT lane, NULL::bigint
            FROM \(s).lanes
            WHERE EXISTS (SELECT FROM \(s).jobs WHERE jobs.lane = lanes.lane AND run_at IS NULL)
            UNION ALL
            (
                SELECT -1::smallint, ceil(extract(epoch FROM run_at - clock_timestamp()) * 1000)::bigint
                FROM \(s).jobs
                WHERE run_at IS NOT NULL
                ORDER BY run_at
                LIMIT 1
            )
            """)
        promoteDue = Statement(
            "promote_due", [.int4],
            """
            WITH due AS MATERIALIZED (
                SELECT ctid AS place
                FROM \(s).jobs
                WHERE run_at <= clock_timestamp()
                ORDER BY run_at
                LIMIT $1
                FOR UPDATE SKIP LOCKED
            )
            UPDATE \(s).jobs
            SET run_at = NULL,
                scheduled_at = \(Self.producersTime)
            FROM due
            WHERE jobs.ctid = due.place
            """)
        setAsleep = Statement(
            "set_asleep", [.bool],
            "UPDATE \(s).doorbell SET asleep = $1 WHERE asleep <> $1")
        ring = Statement("ring", [.text], "SELECT pg_notify($1, '')")
        addPartitions = Statement(
            "add_results_partitions", [.int8, .int4], "SELECT \(s).add_results_partitions($1, $2)")
        dropExpired = Statement(
            "drop_expired_results", [.int8],
            "SELECT \(s).drop_expired_results($1 * interval '1 second')")
    }

    /// The time that the producer asked for, of a row of `jobs`: a `run_at` that neither a backoff nor waiting has set.
    static let producersTime =
        "coalesce(scheduled_at, CASE WHEN attempts = 0 AND waiting_since IS NULL THEN run_at END)"
}
