import Foundation
import StockQueuePostgres
import TestSupport
import Testing

/// What tests of the queue do again and again, in the store `s`.
extension TestDatabase {
    func addItem(_ id: String, _ onHand: Int, threshold: Int? = nil) throws {
        try run(
            "INSERT INTO stockq.items (store_id, item_id, on_hand, low_stock_threshold) VALUES ('s', '\(id)', \(onHand), \(threshold.map(String.init) ?? "NULL"))"
        )
    }

    func enqueue(_ columns: String, _ values: String) throws {
        try run("INSERT INTO stockq.jobs (store_id, \(columns)) VALUES \(values)")
    }

    /// Each result's job, outcome, code and applied quantity, in order of the jobs.
    func results() throws -> [String] {
        try rows("SELECT concat_ws(' ', job_id, outcome, code, applied_quantity) FROM stockq.results ORDER BY job_id")
    }

    /// The SQLSTATE and the message of a statement that must fail.
    func failure(of sql: String) throws -> String { try connect().failure(of: sql) }
}

extension Connection {
    /// The SQLSTATE and the message of a statement that must fail.
    func failure(of sql: String) -> String {
        let error = #expect(throws: PostgresError.self, "\(sql)") { try executeScript(sql) }
        return "\(error?.sqlState?.rawValue ?? "-") \(error?.message ?? "-")"
    }
}

/// Lends the bytes as a file that is open for reading, and gone afterwards.
func withFile<Value>(_ bytes: [UInt8], _ body: (Int32) throws -> Value) throws -> Value {
    let path = NSTemporaryDirectory() + "stockq-import-\(UUID().uuidString)"
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    defer { try? FileManager.default.removeItem(atPath: path) }
    let handle = try #require(FileHandle(forReadingAtPath: path))
    return try body(handle.fileDescriptor)
}
