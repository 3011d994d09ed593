/// The values of one statement's parameters in PostgreSQL's binary format, written one after another into a
/// single byte buffer that is reused from call to call.
///
/// Arrays have the layout of `array_recv` (PostgreSQL source, `src/backend/utils/adt/arrayfuncs.c`): number of
/// dimensions, null flag, element type, length, lower bound, then each element as length and bytes.
package struct Parameters {
    struct Value {
        var offset: Int
        /// -1 for NULL.
        var length: Int
    }

    var bytes: [UInt8] = []
    var values: [Value] = []

    package init() {}

    package var count: Int { values.count }

    /// Forgets the values and keeps the memory.
    package mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        values.removeAll(keepingCapacity: true)
    }

    // MARK: single values

    package mutating func add(_ value: Int64?) {
        addValue(value) { Self.append($1, to: &$0) }
    }

    package mutating func add(_ value: Int16?) {
        addValue(value) { Self.append($1, to: &$0) }
    }

    package mutating func add(_ value: Int32?) {
        addValue(value) { Self.append($1, to: &$0) }
    }

    package mutating func add(_ value: Bool?) {
        addValue(value) { $0.append($1 ? 1 : 0) }
    }

    package mutating func add(_ value: String?) {
        addValue(value) { $0.append(contentsOf: $1.utf8) }
    }

    package mutating func add(_ value: Timestamp?) {
        add(value?.microsecondsSince2000)
    }

    /// JSON as `jsonb_recv` reads it: a version byte before the text (PostgreSQL source,
    /// `src/backend/utils/adt/jsonb.c`).
    package mutating func add(jsonb text: String?) {
        addValue(text) {
            $0.append(1)
            $0.append(contentsOf: $1.utf8)
        }
    }

    // MARK: arrays

    package mutating func addArray(of count: Int, jsonb element: (Int) -> String?) {
        addArray(.jsonb, count: count) { bytes, index in
            guard let value = element(index) else { return Self.append(Int32(-1), to: &bytes) }
            Self.append(Int32(value.utf8.count + 1), to: &bytes)
            bytes.append(1)
            bytes.append(contentsOf: value.utf8)
        }
    }

    package mutating func addArray(of count: Int, int64 element: (Int) -> Int64?) {
        addArray(.int8, count: count) { bytes, index in
            guard let value = element(index) else { return Self.append(Int32(-1), to: &bytes) }
            Self.append(Int32(8), to: &bytes)
            Self.append(value, to: &bytes)
        }
    }

    package mutating func addArray(of count: Int, timestamp element: (Int) -> Timestamp) {
        addArray(.timestamptz, count: count) { bytes, index in
            Self.append(Int32(8), to: &bytes)
            Self.append(element(index).microsecondsSince2000, to: &bytes)
        }
    }

    package mutating func addArray(of count: Int, optionalTimestamp element: (Int) -> Timestamp?) {
        addArray(.timestamptz, count: count) { bytes, index in
            guard let value = element(index) else { return Self.append(Int32(-1), to: &bytes) }
            Self.append(Int32(8), to: &bytes)
            Self.append(value.microsecondsSince2000, to: &bytes)
        }
    }

    package mutating func addArray(of count: Int, int32 element: (Int) -> Int32) {
        addArray(.int4, count: count) { bytes, index in
            Self.append(Int32(4), to: &bytes)
            Self.append(element(index), to: &bytes)
        }
    }

    package mutating func addArray(of count: Int, optionalInt32 element: (Int) -> Int32?) {
        addArray(.int4, count: count) { bytes, index in
            guard let value = element(index) else { return Self.append(Int32(-1), to: &bytes) }
            Self.append(Int32(4), to: &bytes)
            Self.append(value, to: &bytes)
        }
    }

    package mutating func addArray(of count: Int, int16 element: (Int) -> Int16?) {
        addArray(.int2, count: count) { bytes, index in
            guard let value = element(index) else { return Self.append(Int32(-1), to: &bytes) }
            Self.append(Int32(2), to: &bytes)
            Self.append(value, to: &bytes)
        }
    }

    package mutating func addArray(of count: Int, xid8 element: (Int) -> Int64) {
        addArray(.xid8, count: count) { bytes, index in
            Self.append(Int32(8), to: &bytes)
            Self.append(element(index), to: &bytes)
        }
    }

    package mutating func addArray(of count: Int, bool element: (Int) -> Bool) {
        addArray(.bool, count: count) { bytes, index in
            Self.append(Int32(1), to: &bytes)
            bytes.append(element(index) ? 1 : 0)
        }
    }

    package mutating func addArray(of count: Int, tupleID element: (Int) -> TupleID) {
        addArray(.tid, count: count) { bytes, index in
            let tupleID = element(index)
            Self.append(Int32(6), to: &bytes)
            Self.append(tupleID.block, to: &bytes)
            Self.append(tupleID.line, to: &bytes)
        }
    }

    package mutating func addArray(_ strings: [String?]) { addArray(of: strings.count, text: { strings[$0] }) }

    package mutating func addArray(of count: Int, text element: (Int) -> String?) {
        addArray(.text, count: count) { bytes, index in
            guard let value = element(index) else { return Self.append(Int32(-1), to: &bytes) }
            Self.append(Int32(value.utf8.count), to: &bytes)
            bytes.append(contentsOf: value.utf8)
        }
    }

    /// One column of a key table, in the order of the given key numbers.
    package mutating func addArray(of keys: [Int32], in table: KeyTable, column: Int) {
        addArray(.text, count: keys.count) { bytes, index in
            let text = table.bytes(of: Int(keys[index]), column: column)
            Self.append(Int32(text.count), to: &bytes)
            bytes.append(contentsOf: text)
        }
    }

    /// One column of a key table that holds transaction ids as the server sent them.
    package mutating func addXID8Array(of keys: [Int32], in table: KeyTable, column: Int) {
        addArray(.xid8, count: keys.count) { bytes, index in
            let id = table.bytes(of: Int(keys[index]), column: column)
            precondition(id.count == 8, "a transaction id has 8 bytes, not \(id.count)")
            Self.append(Int32(8), to: &bytes)
            bytes.append(contentsOf: id)
        }
    }

    // MARK: the layout

    private mutating func addValue<Value>(_ value: Value?, _ write: (inout [UInt8], Value) -> Void) {
        guard let value else {
            values.append(.init(offset: 0, length: -1))
            return
        }
        let offset = bytes.count
        write(&bytes, value)
        values.append(.init(offset: offset, length: bytes.count - offset))
    }

    private mutating func addArray(_ type: TypeOID, count: Int, _ write: (inout [UInt8], Int) -> Void) {
        let offset = bytes.count
        Self.append(Int32(count == 0 ? 0 : 1), to: &bytes)
        Self.append(Int32(1), to: &bytes)  // "may hold nulls": read and ignored by the server
        Self.append(type.rawValue, to: &bytes)
        if count > 0 {
            Self.append(Int32(count), to: &bytes)
            Self.append(Int32(1), to: &bytes)
        }
        for index in 0..<count { write(&bytes, index) }
        values.append(.init(offset: offset, length: bytes.count - offset))
    }

    @inline(__always)
    private static func append<Value: FixedWidthInteger>(_ value: Value, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }
}

extension Parameters {
    /// Passes the values in the form that libpq takes; libpq copies them before it returns.
    func withPointers<Value>(
        _ body: ([UnsafePointer<CChar>?], [Int32], [Int32]) -> Value
    ) -> Value {
        bytes.withUnsafeBytes { buffer in
            // An empty buffer has no address, yet an empty text is not NULL.
            let base = buffer.baseAddress ?? UnsafeRawPointer(bitPattern: 1)!
            let pointers = values.map { value in
                value.length < 0 ? nil : (base + value.offset).assumingMemoryBound(to: CChar.self)
            }
            let lengths = values.map { Int32(max(0, $0.length)) }
            return body(pointers, lengths, [Int32](repeating: 1, count: values.count))
        }
    }
}
