import CLibPQ
import Foundation
import StockQueuePostgres

/// Results made without a server.
package enum MadeResult {
    /// One row with one value; nil is NULL.
    package static func of(_ value: [UInt8]?) -> ResultSet { of([[value]], columns: 1) }

    /// Rows as libpq keeps a server's answer: every value with its length, followed by a NUL.
    static func of(_ rows: [[[UInt8]?]], columns: Int) -> ResultSet {
        guard let handle = PQmakeEmptyPGresult(nil, PGRES_TUPLES_OK) else { fatalError("out of memory") }
        let name = strdup("column")
        defer { free(name) }
        var attributes = (0..<columns).map { _ in
            PGresAttDesc(name: name, tableid: 0, columnid: 0, format: 1, typid: 0, typlen: -1, atttypmod: -1)
        }
        precondition(PQsetResultAttrs(handle, Int32(columns), &attributes) == 1)
        for (row, values) in rows.enumerated() {
            for (column, value) in values.enumerated() {
                var bytes = (value ?? []).map { CChar(bitPattern: $0) } + [0]
                let length = value.map { Int32($0.count) } ?? -1
                precondition(PQsetvalue(handle, Int32(row), Int32(column), &bytes, length) == 1)
            }
        }
        return ResultSet(owning: handle)
    }
}
