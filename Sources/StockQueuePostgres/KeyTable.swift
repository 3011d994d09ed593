/// Numbers distinct keys, each a fixed number of text columns, in order of first sight.
///
/// A batch names the same few items thousands of times. Turning each key into a small number once lets the
/// rest of the work run on integers, and keeps the text as the bytes that came from the server.
package struct KeyTable {
    package let columns: Int
    private var text: [UInt8] = []
    /// The end of each column of each key in `text`: `columns` entries a key. A column starts where the one before it
    /// ends.
    private var ends: [Int32] = []
    private var hashes: [UInt32] = []
    /// Open addressing with linear probing; 0 is free, otherwise key number + 1. The length is a power of two.
    private var slots: [Int32]

    package init(columns: Int) {
        precondition(columns > 0)
        self.columns = columns
        slots = [Int32](repeating: 0, count: 64)
    }

    package var count: Int { hashes.count }

    /// Forgets the keys and keeps the memory.
    package mutating func removeAll() {
        text.removeAll(keepingCapacity: true)
        ends.removeAll(keepingCapacity: true)
        hashes.removeAll(keepingCapacity: true)
        for index in slots.indices { slots[index] = 0 }
    }

    /// A hash of the key's bytes, the same in every table; two keys may share one.
    package func hash(of key: Int32) -> UInt32 { hashes[Int(key)] }

    /// The bytes of one column of a key.
    package func bytes(of key: Int, column: Int) -> ArraySlice<UInt8> {
        let index = key * columns + column
        let start = index == 0 ? 0 : Int(ends[index - 1])
        return text[start..<Int(ends[index])]
    }

    package func string(of key: Int, column: Int) -> String {
        String(decoding: bytes(of: key, column: column), as: UTF8.self)
    }

    /// The number of a key given as strings, adding it when it is new.
    package mutating func number(of key: [String]) -> Int32 {
        precondition(key.count == columns)
        let start = text.count
        for column in key {
            text.append(contentsOf: column.utf8)
            ends.append(Int32(text.count))
        }
        return intern(from: start)
    }

    /// The number of the key in a row of a result, whose columns are neighbors from `firstColumn` on.
    package mutating func number(in result: ResultSet, row: Int, firstColumn: Int) -> Int32 {
        intern(from: append(result, row, firstColumn))
    }

    /// Writes the key in a row behind the others, as a candidate; returns where it begins.
    @inline(__always)
    private mutating func append(_ result: ResultSet, _ row: Int, _ firstColumn: Int) -> Int {
        let start = text.count
        for column in firstColumn..<(firstColumn + columns) {
            result.withBytes(row, column) { text.append(contentsOf: $0) }
            ends.append(Int32(text.count))
        }
        return start
    }

    /// The number of the key in a row of a result; nil when it is not in the table.
    package mutating func knownNumber(in result: ResultSet, row: Int, firstColumn: Int) -> Int32? {
        let start = append(result, row, firstColumn)
        defer { discardCandidate(from: start) }
        return find(from: start).known.map { Int32($0) }
    }

    /// All key numbers in bytewise order of their columns, as PostgreSQL sorts text with `COLLATE "C"`.
    package func sortedKeys() -> [Int32] {
        (0..<Int32(count)).sorted { left, right in
            for column in 0..<columns {
                let a = bytes(of: Int(left), column: column)
                let b = bytes(of: Int(right), column: column)
                if a != b { return a.lexicographicallyPrecedes(b) }
            }
            return false
        }
    }

    /// Keeps the candidate, a key that was written behind the others, when it is new; otherwise discards it.
    private mutating func intern(from start: Int) -> Int32 {
        let candidate = hashes.count
        let found = find(from: start)
        if let known = found.known {
            discardCandidate(from: start)
            return Int32(known)
        }
        slots[found.slot] = Int32(candidate + 1)
        hashes.append(found.hash)
        if hashes.count * 2 > slots.count { grow() }
        return Int32(candidate)
    }

    private mutating func discardCandidate(from start: Int) {
        text.removeSubrange(start...)
        ends.removeLast(columns)
    }

    /// The slot of the candidate, and the equal key that is known.
    @inline(__always)
    private func find(from start: Int) -> (hash: UInt32, slot: Int, known: Int?) {
        let hash = hashOfText(from: start)
        let mask = slots.count - 1
        var slot = Int(hash) & mask
        while slots[slot] != 0 {
            let known = Int(slots[slot]) - 1
            if hashes[known] == hash && isEqual(known, hashes.count, candidateStart: start) {
                return (hash, slot, known)
            }
            slot = (slot + 1) & mask
        }
        return (hash, slot, nil)
    }

    /// FNV-1a over the bytes, with a final mix. Keys come from producers, but a batch is bounded, so a flood of
    /// collisions costs at most a quadratic scan of one batch.
    private func hashOfText(from start: Int) -> UInt32 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        text.withUnsafeBufferPointer { bytes in
            for index in start..<bytes.count {
                hash = (hash ^ UInt64(bytes[index])) &* 0x100_0000_01b3
            }
        }
        return UInt32(truncatingIfNeeded: hash ^ (hash >> 29))
    }

    private func isEqual(_ known: Int, _ candidate: Int, candidateStart: Int) -> Bool {
        let knownStart = known == 0 ? 0 : Int(ends[known * columns - 1])
        for column in 0..<columns {
            let knownEnd = Int(ends[known * columns + column]) - knownStart
            let candidateEnd = Int(ends[candidate * columns + column]) - candidateStart
            if knownEnd != candidateEnd { return false }
        }
        let length = text.count - candidateStart
        return text.withUnsafeBufferPointer { bytes in
            for offset in 0..<length where bytes[knownStart + offset] != bytes[candidateStart + offset] { return false }
            return true
        }
    }

    private mutating func grow() {
        let mask = slots.count * 2 - 1
        slots = [Int32](repeating: 0, count: mask + 1)
        for (key, hash) in hashes.enumerated() {
            var slot = Int(hash) & mask
            while slots[slot] != 0 { slot = (slot + 1) & mask }
            slots[slot] = Int32(key + 1)
        }
    }
}
