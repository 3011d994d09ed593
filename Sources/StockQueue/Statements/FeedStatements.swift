import StockModel
import StockQueuePostgres

// Feeds: rows after a cursor, each once and in item order (migrations/functions/feeds.sql).

/// Writes which jobs of each store a batch applied, in order: `changes_after` reads it.
struct WriteChangeLogStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "write_change_log", [.textArray, .int8Array, .int4Array, .int4Array],
            """
            INSERT INTO \(schema.quoted).change_log (store_id, job_ids)
            SELECT store_id, $2[first_job : last_job]
            FROM unnest($1, $3, $4) AS part (store_id, first_job, last_job)
            """)
    }

    /// The parameters behind the stores.
    static func parameters(_ parameters: inout Parameters, _ applied: AppliedJobs) {
        let firsts = applied.firsts
        parameters.addArray(of: applied.jobIDs.count, int64: { applied.jobIDs[$0] })
        parameters.addArray(of: firsts.count, int32: { Int32(firsts[$0] + 1) })
        parameters.addArray(of: firsts.count, int32: { Int32(firsts[$0] + applied.counts[$0]) })
    }
}

/// Sends a hint that the feeds have new rows.
struct SendFeedHintStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement("send_feed_hint", [], "SELECT pg_notify(\(quoteLiteral(schema.name + "_feed")), '')")
    }
}

/// Makes new positions greater than those that a restored dump brought.
struct RebaseFeedsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement("rebase_feeds", [], "SELECT \(schema.quoted).rebase_feeds()")
    }
}

/// A row of a feed: as JSON, as a value, and the cursor after it.
package struct FeedRow<Value: Sendable, Cursor: Sendable>: Sendable {
    /// The row with its cursor, as PostgreSQL wrote it.
    package let json: String
    package let value: Value
    package let cursor: Cursor
}

/// What a feed has of its own: the rows and the names of its functions.
protocol FeedKind {
    associatedtype Rows: RowReader
    associatedtype Cursor: LosslessStringConvertible & Sendable

    /// The name of the feed, with which the names of its functions begin.
    static var name: String { get }
}

enum NotificationFeed: FeedKind {
    typealias Rows = NotificationRows
    typealias Cursor = NotificationCursor
    static let name = "notifications"
}

enum ChangeFeed: FeedKind {
    typealias Rows = ChangeRows
    typealias Cursor = ChangeCursor
    static let name = "changes"
}

/// Reads the rows of a feed after a cursor.
struct ReadFeedStatement<Feed: FeedKind>: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "read_\(Feed.name)_after", [.text, .int4, .text],
            """
            SELECT to_json(found)::text AS json, cursor, \(Feed.Rows.columns(schema))
            FROM \(schema.quoted).\(Feed.name)_after($1, $2, $3) AS found
            """)
    }

    static func parameters(_ cursor: Feed.Cursor, limit: Int, store: String?) -> Parameters {
        var parameters = Parameters()
        parameters.add(cursor.description)
        parameters.add(Int32(clamping: limit))
        parameters.add(store)
        return parameters
    }

    static func rows(in rows: ResultSet) throws -> [FeedRow<Feed.Rows.Value, Feed.Cursor>] {
        let (json, cursor) = (rows.column("json"), rows.column("cursor"))
        return try zip(Feed.Rows.values(in: rows), 0...).map { value, row in
            try FeedRow(json: rows.string(row, json), value: value, cursor: readCursor(rows.string(row, cursor)))
        }
    }
}

/// Finds the cursor after which the rows of the last seconds begin; null for those that are still to come.
struct FindCursorStatement<Feed: FeedKind>: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "find_\(Feed.name)_cursor", [.int8],
            "SELECT \(schema.quoted).\(Feed.name)_cursor(now() - $1 * interval '1 second') AS cursor")
    }

    static func cursor(in rows: ResultSet) throws(UnknownLabelError) -> Feed.Cursor {
        try readCursor(rows.string(0, rows.column("cursor")))
    }
}

/// A newer version that has migrated the schema may have other cursors.
private func readCursor<Cursor: LosslessStringConvertible>(_ text: String) throws(UnknownLabelError) -> Cursor {
    guard let cursor = Cursor(text) else { throw UnknownLabelError(type: "cursor", label: text) }
    return cursor
}

/// Reads the newest notifications, the oldest of them first.
struct ReadLastNotificationsStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "read_last_notifications", [.int4, .text],
            """
            SELECT to_json(newest)::text AS json, cursor, \(NotificationRows.columns(schema))
            FROM \(schema.quoted).last_notifications($1, $2) AS newest
            """)
    }
}
