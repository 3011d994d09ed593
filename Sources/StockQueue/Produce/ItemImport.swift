import StockModel
import StockQueuePostgres

/// The columns of an items file.
public enum ItemField: String, CaseIterable, Sendable {
    case storeID = "store_id"
    case itemID = "item_id"
    case onHand = "on_hand"
    case locationID = "location_id"
    case parentID = "parent_id"
    case tracked
    case lowStockThreshold = "low_stock_threshold"

    package static let required: [ItemField] = [.storeID, .itemID, .onHand]
}

/// What an items import did.
public struct ItemImportReport: Sendable {
    public var read = 0
    public var created = 0
    /// Items that existed and got other attributes.
    public var changed = 0
    public var unchanged = 0
    public var rejected = 0
    /// `set` jobs enqueued because the stock differed.
    public var setJobs = 0
    /// The input ended in mid-line; its last record was taken as it stood.
    public var endedInMidLine = false
}

/// Creates items with their opening stock, and changes the attributes of those that exist.
///
/// Only results change the stock of an item that exists; a stock count is therefore a `set` job, enqueued on request.
public struct ItemImport {
    private let connection: Connection
    private let setsStock: Bool
    private let onReject: (_ line: Int, _ raw: ArraySlice<UInt8>, _ reason: String) throws -> Void
    private let onProgress: (ItemImportReport) -> Void
    private var fields: FieldReader<ItemField>
    private let rules: ItemRules
    private let upsert: Statement
    private let enqueueSets: Statement
    private var rows: [ItemRow] = []
    private var keys: Set<[String]> = []
    private var report = ItemImportReport()

    /// Rows a transaction.
    private static let rowsPerCommit = 5_000

    public init(
        connection: Connection, schema: QueueSchema, source: ByteSource, format: InputFormat, setsStock: Bool,
        onProgress: @escaping (ItemImportReport) -> Void = { _ in },
        onReject: @escaping (_ line: Int, _ raw: ArraySlice<UInt8>, _ reason: String) throws -> Void
    ) throws(ValidationError) {
        self.connection = connection
        self.setsStock = setsStock
        self.onReject = onReject
        self.onProgress = onProgress
        fields = try FieldReader(source, format: format, required: ItemField.required)
        rules = ItemRules(columns: fields.columns)
        upsert = Self.upsert(schema)
        enqueueSets = Self.enqueueSets(schema)
    }

    /// The input's header, for a file of rejects.
    public var header: [UInt8] { fields.header }

    /// Runs the import to its end. Bad lines are told and left out.
    public mutating func run() throws -> ItemImportReport {
        while let record = try fields.next() {
            report.read += 1
            report.endedInMidLine = record.isUnterminated
            let row: ItemRow
            do throws(ValidationError) {
                row = try rules.row(of: record)
            } catch {
                report.rejected += 1
                try onReject(record.line, record.raw, error.description)
                continue
            }
            // One statement cannot write a row twice; a key that comes again goes into the next one.
            if keys.contains(row.key) { try commitRows() }
            keys.insert(row.key)
            rows.append(row)
            if rows.count >= Self.rowsPerCommit { try commitRows() }
        }
        try commitRows()
        return report
    }

    private mutating func commitRows() throws(PostgresError) {
        if rows.isEmpty { return }
        let parameters = parametersOfRows()
        let setsStock = setsStock
        let (upsert, enqueueSets) = (upsert, enqueueSets)
        let connection = connection
        let counts = try connection.transaction { () throws(PostgresError) in
            let written = try connection.execute(upsert, parameters.upsert)
            let sets = setsStock ? try connection.execute(enqueueSets, parameters.sets).affectedRows : 0
            return (created: Int(written.int64(0, 0)), changed: Int(written.int64(0, 1)), sets: sets)
        }
        report.created += counts.created
        report.changed += counts.changed
        report.unchanged += rows.count - counts.created - counts.changed
        report.setJobs += counts.sets
        rows.removeAll(keepingCapacity: true)
        keys.removeAll(keepingCapacity: true)
        onProgress(report)
    }

    private func parametersOfRows() -> (upsert: Parameters, sets: Parameters) {
        var keys = Parameters()
        for column in 0..<3 { keys.addArray(rows.map { $0.key[column] }) }
        keys.addArray(of: rows.count, int64: { rows[$0].onHand })
        var upsert = keys
        upsert.addArray(rows.map(\.parent))
        upsert.addArray(of: rows.count, bool: { rows[$0].tracked })
        upsert.addArray(of: rows.count, int64: { rows[$0].threshold })
        for column in [ItemField.parentID, .tracked, .lowStockThreshold] { upsert.add(rules.gives(column)) }
        return (upsert, keys)
    }

    /// Only the attributes that the file has a column for are changed. Rows are written in key order, as workers lock them.
    /// The level at creation is the baseline of the alerts: pinned before the threshold it depends on changes.
    private static func upsert(_ schema: QueueSchema) -> Statement {
        let level = { (threshold: String, tracked: String, table: String) in
            SQL.alertLevel(available: "\(table).available", threshold: threshold, tracked: tracked, schema)
        }
        return Statement(
            "upsert_items",
            [.textArray, .textArray, .textArray, .int8Array, .textArray, .boolArray, .int8Array, .bool, .bool, .bool],
            """
            WITH written AS (
                INSERT INTO \(schema.quoted).items AS old (
                    store_id, item_id, location_id, on_hand, parent_id, tracked, low_stock_threshold,
                    opening_on_hand, opening_allocated, notified_level
                )
                SELECT
                    store_id, item_id, location_id, available, parent_id, tracked, low_stock_threshold, available, 0,
                    \(level("given.low_stock_threshold", "given.tracked", "given"))
                FROM unnest($1, $2, $3, $4, $5, $6, $7) AS given (
                    store_id, item_id, location_id, available, parent_id, tracked, low_stock_threshold
                )
                ORDER BY store_id COLLATE "C", item_id COLLATE "C", location_id COLLATE "C"
                ON CONFLICT (store_id, item_id, location_id) DO UPDATE
                SET parent_id = CASE WHEN $8 THEN excluded.parent_id ELSE old.parent_id END,
                    tracked = CASE WHEN $9 THEN excluded.tracked ELSE old.tracked END,
                    low_stock_threshold = CASE WHEN $10 THEN excluded.low_stock_threshold ELSE old.low_stock_threshold END,
                    notified_level = coalesce(old.notified_level, \(level("old.low_stock_threshold", "old.tracked", "old"))),
                    updated_at = now()
                WHERE ($8 AND excluded.parent_id IS DISTINCT FROM old.parent_id)
                    OR ($9 AND excluded.tracked IS DISTINCT FROM old.tracked)
                    OR ($10 AND excluded.low_stock_threshold IS DISTINCT FROM old.low_stock_threshold)
                RETURNING xmax = 0 AS is_new
            )
            SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM written
            """)
    }

    private static func enqueueSets(_ schema: QueueSchema) -> Statement {
        Statement(
            "enqueue_stock_counts", [.textArray, .textArray, .textArray, .int8Array],
            """
            INSERT INTO \(schema.quoted).jobs (store_id, item_id, location_id, quantity, action, reason)
            SELECT store_id, item_id, location_id, counted.on_hand, 'set', 'stock count'
            FROM unnest($1, $2, $3, $4) AS counted (store_id, item_id, location_id, on_hand)
            JOIN \(schema.quoted).items USING (store_id, item_id, location_id)
            WHERE items.on_hand <> counted.on_hand AND items.tracked
            """)
    }
}
