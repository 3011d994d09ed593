import Foundation
import StockQueue
import StockQueuePostgres
import TestSupport
import Testing

/// Steps that many tests of the queue share, in the store `s`.
extension TestDatabase {
    func addItem(_ id: String, _ onHand: Int, threshold: Int? = nil) throws {
        try run(
            """
            INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold)
            VALUES ('s', \(quoteLiteral(id)), \(onHand), \(threshold.map(String.init) ?? "NULL"))
            """)
    }

    /// The SQLSTATE and the message of a statement that must fail.
    func failure(of sql: String) throws -> String { try connect().failure(of: sql) }

    /// A session that locks the rows of a query until it commits or rolls back.
    func lock(_ query: String) throws -> Connection {
        let session = try connect()
        try session.executeScript("BEGIN")
        try session.executeScript(query)
        return session
    }

    /// A session that locks a job.
    func lockJob(_ job: Int64) throws -> Connection {
        try lock("SELECT FROM stockq.jobs WHERE job_id = \(job) FOR UPDATE")
    }

    /// A session that locks an item.
    func lockItem(_ id: String) throws -> Connection {
        try lock("UPDATE stockq.items SET updated_at = now() WHERE item_id = \(quoteLiteral(id))")
    }
}

extension Connection {
    /// The SQLSTATE and the message of a statement that must fail.
    func failure(of sql: String) -> String {
        let error = #expect(throws: PostgresError.self, "\(sql)") { try executeScript(sql) }
        return "\(error?.sqlState?.rawValue ?? "-") \(error?.message ?? "-")"
    }
}

/// Runs all checks of `stockq verify`.
func expectSoundLedger(_ database: TestDatabase) throws {
    var violations: [String] = []
    try Verifier(connection: database.connect(), schema: .standard).runAll { violations += $0.violations }
    #expect(violations == [])
}

/// Lends the bytes as a file that is open for reading, and removes the file afterwards.
func withFile<Value>(_ bytes: [UInt8], _ body: (Int32) throws -> Value) throws -> Value {
    let path = NSTemporaryDirectory() + "stockq-import-\(UUID().uuidString)"
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    defer { try? FileManager.default.removeItem(atPath: path) }
    let handle = try #require(FileHandle(forReadingAtPath: path))
    return try body(handle.fileDescriptor)
}
