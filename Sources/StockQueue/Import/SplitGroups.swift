import StockFormats
import StockModel

/// The groups of an input whose rows are not adjacent, by a hash of 64 bits. The first part of such a group cannot be
/// taken back when the second one comes, so the import finds them before, where it can read the input twice.
struct SplitGroups {
    /// Nil where the input was not searched.
    private var known: Set<Int>?
    private var seen = RecentGroups()

    /// For an input that can be read only once: a group is known to be split when its second part comes.
    init() {}

    /// Reads the input to its end.
    init(_ reader: inout FieldReader<JobField>) throws {
        let store = reader.columns.firstIndex(of: .storeID)
        let group = reader.columns.firstIndex(of: .groupID)
        var split: Set<Int> = []
        var last: [UInt8] = []
        while let record = try reader.next() {
            // As in the import, an unreadable record does not end the group before it.
            if record.problem != nil { continue }
            let key = record.groupKey(storeColumn: store, groupColumn: group)
            if !key.isEmpty && key != last && !seen.insert(key) { split.insert(key.hashValue) }
            last = key
        }
        known = split
    }

    /// - Parameter key: of a group that begins here.
    mutating func contains(_ key: [UInt8]) -> Bool { known?.contains(key.hashValue) ?? !seen.insert(key) }
}

/// The last groups that were read, by a hash of 64 bits, at most twice `groupsMax`.
private struct RecentGroups {
    private static let groupsMax = 100_000
    private var newer: Set<Int> = []
    private var older: Set<Int> = []

    /// - Returns: false for a group that is known.
    mutating func insert(_ key: [UInt8]) -> Bool {
        let hash = key.hashValue
        if older.contains(hash) || !newer.insert(hash).inserted { return false }
        if newer.count >= Self.groupsMax {
            older = newer
            newer = []
        }
        return true
    }
}

extension InputRecord {
    /// Store and group in one; empty for a job without a group and for an unreadable record.
    func groupKey(storeColumn: Int?, groupColumn: Int?) -> [UInt8] {
        guard problem == nil, let groupColumn, let storeColumn, !fields[groupColumn].isEmpty else { return [] }
        return Array(fields[storeColumn]) + [0] + Array(fields[groupColumn])
    }
}
