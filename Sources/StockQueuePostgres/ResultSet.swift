internal import CLibPQ

/// The rows of one statement, in binary format. Owned by the connection's thread; freed with its last reference.
package final class ResultSet {
    private let handle: OpaquePointer

    /// Takes over a `PGresult`.
    package init(owning handle: OpaquePointer) { self.handle = handle }

    deinit { PQclear(handle) }

    package var rowCount: Int { Int(PQntuples(handle)) }
    package var columnCount: Int { Int(PQnfields(handle)) }

    /// The command tag, for instance `UPDATE 3` or `COMMIT`. A COMMIT of a failed transaction answers `ROLLBACK`.
    package var commandTag: String { String(cString: PQcmdStatus(handle)) }

    /// The number of rows that the command changed; 0 for commands that change none.
    package var affectedRows: Int { Int(String(cString: PQcmdTuples(handle))) ?? 0 }

    /// The index of a column by its name in the SELECT list.
    ///
    /// A name that the statement does not select ends the process: it is an error of the program.
    package func column(_ name: String) -> Int {
        let index = PQfnumber(handle, name)
        precondition(index >= 0, "no column \(name)")
        return Int(index)
    }

    package func isNull(_ row: Int, _ column: Int) -> Bool { PQgetisnull(handle, Int32(row), Int32(column)) == 1 }

    /// Passes the bytes of a value, which are valid only within the closure.
    @inline(__always)
    func withBytes<Value>(_ row: Int, _ column: Int, _ body: (UnsafeRawBufferPointer) -> Value) -> Value {
        let start = PQgetvalue(handle, Int32(row), Int32(column))
        let length = Int(PQgetlength(handle, Int32(row), Int32(column)))
        // To libpq a row or column that does not exist is NULL, too.
        precondition(
            length > 0 || PQgetisnull(handle, Int32(row), Int32(column)) == 0,
            "row \(row), column \(column) is NULL or does not exist"
        )
        return body(UnsafeRawBufferPointer(start: start, count: length))
    }

    // MARK: values
    //
    // Non-optional accessors trap on NULL and on a value of the wrong size: the statements name their types, so a
    // server that returns them cannot be trusted with stock. The open transaction rolls back with the connection.

    package func int64(_ row: Int, _ column: Int) -> Int64 { integer(row, column) }
    package func int32(_ row: Int, _ column: Int) -> Int32 { integer(row, column) }
    package func int16(_ row: Int, _ column: Int) -> Int16 { integer(row, column) }

    package func bool(_ row: Int, _ column: Int) -> Bool {
        withBytes(row, column) { bytes in
            precondition(bytes.count == 1, "column \(column) has \(bytes.count) bytes, a bool has 1")
            return bytes[0] != 0
        }
    }

    package func string(_ row: Int, _ column: Int) -> String {
        withBytes(row, column) { String(decoding: $0, as: UTF8.self) }
    }

    package func timestamp(_ row: Int, _ column: Int) -> Timestamp {
        Timestamp(microsecondsSince2000: integer(row, column))
    }

    package func tupleID(_ row: Int, _ column: Int) -> TupleID {
        withBytes(row, column) { bytes in
            precondition(bytes.count == 6, "a tid has 6 bytes, column \(column) has \(bytes.count)")
            return TupleID(
                block: UInt32(bigEndian: bytes.loadUnaligned(as: UInt32.self)),
                line: UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt16.self))
            )
        }
    }

    /// The number of a text value among known labels, for instance those of an enum; nil when it is none of them.
    package func label(_ row: Int, _ column: Int, among labels: Labels) -> Int? {
        withBytes(row, column) { labels.number(of: $0) }
    }

    package func optionalInt64(_ row: Int, _ column: Int) -> Int64? {
        isNull(row, column) ? nil : int64(row, column)
    }

    package func optionalInt32(_ row: Int, _ column: Int) -> Int32? {
        isNull(row, column) ? nil : int32(row, column)
    }

    package func optionalString(_ row: Int, _ column: Int) -> String? {
        isNull(row, column) ? nil : string(row, column)
    }

    package func optionalTimestamp(_ row: Int, _ column: Int) -> Timestamp? {
        isNull(row, column) ? nil : timestamp(row, column)
    }

    private func integer<Value: FixedWidthInteger>(_ row: Int, _ column: Int) -> Value {
        withBytes(row, column) { bytes in
            precondition(
                bytes.count == MemoryLayout<Value>.size,
                "column \(column) has \(bytes.count) bytes, not \(MemoryLayout<Value>.size)"
            )
            return Value(bigEndian: bytes.loadUnaligned(as: Value.self))
        }
    }
}

/// A short list of texts that a column may have, compared without making strings.
package struct Labels: Sendable {
    private let texts: [[UInt8]]

    package init(_ texts: [String]) { self.texts = texts.map { Array($0.utf8) } }

    func number(of bytes: UnsafeRawBufferPointer) -> Int? {
        texts.firstIndex { $0.count == bytes.count && $0.elementsEqual(bytes) }
    }
}
