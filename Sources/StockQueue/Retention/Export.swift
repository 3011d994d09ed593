import StockFormats
import StockModel
import StockQueuePostgres

/// Rows of the queue as CSV or as JSON, a line each, as the server writes them: nothing is kept in memory.
package struct Export: Sendable {
    package enum Content: String, CaseIterable, Sendable {
        case results, items, notifications

        /// By what `from` and `until` choose.
        fileprivate var time: String {
            switch self {
            case .results: "finished_at"
            case .items: "updated_at"
            case .notifications: "created_at"
            }
        }

        /// An index has this order.
        fileprivate var order: String {
            switch self {
            case .results: "job_id"
            case .items: "store_id, item_id, location_id"
            case .notifications: "notification_id"
            }
        }
    }

    package enum Format: String, CaseIterable, Sendable {
        case csv, ndjson
    }

    package let content: Content
    package var format = Format.csv
    /// Of CSV.
    package var delimiter = Delimiter.comma
    /// Whether CSV begins with a byte order mark: spreadsheets take a file without one for one in the language's old
    /// encoding.
    package var hasMark = false
    package var store: String?
    /// From this time on, and before the other one.
    package var from, until: PastMoment?
    /// Of results: those of a partition.
    var partition: String?

    package init(_ content: Content) { self.content = content }

    /// Writes the rows.
    ///
    /// - Returns: how many.
    package func write(
        to output: inout ByteOutput, _ connection: Connection, _ schema: QueueSchema
    ) throws -> Int {
        if format == .csv && hasMark { try output.write([0xEF, 0xBB, 0xBF]) }
        var problem: OutputError?
        let rows = try connection.copyOut(statement(schema)) { bytes in
            do throws(OutputError) {
                try output.write(bytes)
                return true
            } catch {
                problem = error
                return false
            }
        }
        if let problem { throw problem }
        try output.flush()
        return rows ?? 0
    }

    private func statement(_ schema: QueueSchema) -> Statement {
        let s = schema.quoted
        var conditions: [String] = []
        if let store { conditions.append("store_id = \(quoteLiteral(store))") }
        if let from { conditions.append("\(content.time) >= \(from.literal)") }
        if let until { conditions.append("\(content.time) < \(until.literal)") }
        if let partition {
            conditions.append(
                """
                job_id >= (SELECT lower_bound FROM \(s).partition_bounds() WHERE name = \(quoteLiteral(partition)))
                    AND job_id < (SELECT upper_bound FROM \(s).partition_bounds() WHERE name = \(quoteLiteral(partition)))
                """)
        }
        let filter = conditions.isEmpty ? "" : " WHERE " + conditions.joined(separator: " AND ")
        let rows = "SELECT * FROM \(s).\(content.rawValue)\(filter) ORDER BY \(content.order)"
        switch format {
        case .csv:
            let separator = String(decoding: [delimiter.byte], as: UTF8.self)
            return Statement(
                "export_\(content.rawValue)", [],
                "COPY (\(rows)) TO STDOUT (FORMAT csv, HEADER, DELIMITER '\(separator)')")
        case .ndjson:
            // JSON has no control characters, so nothing of a line is quoted.
            return Statement(
                "export_\(content.rawValue)_as_json", [],
                """
                COPY (SELECT row_to_json(exported) FROM (\(rows)) AS exported) TO STDOUT
                    (FORMAT csv, DELIMITER E'\\x01', QUOTE E'\\x02')
                """)
        }
    }
}
