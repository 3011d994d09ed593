import StockModel
import StockQueuePostgres

/// A position in the notifications of a queue, to go on from later. Store it as it encodes; what is in it may change.
///
/// Ids are drawn before their transactions commit, so a smaller id can appear after a larger one. The cursor keeps the
/// ids between those that were read, and they are asked for again for a while; an id whose transaction was rolled back
/// never appears.
public struct NotificationCursor: Sendable, Hashable {
    /// Everything up to this id has been read, except for the missing ids.
    private(set) var lastID: Int64
    /// Ids that were not read yet, and until when they are asked for.
    private var missing: [Int64: Deadline] = [:]

    /// An id is asked for during a minute, which is longer than a batch's transaction can last.
    private static let missingMs = 60_000
    private static let missingMax = 10_000

    /// Before the first notification.
    public static let beginning = NotificationCursor(lastID: 0)

    init(lastID: Int64) { self.lastID = lastID }

    /// After the notifications up to this one.
    package init(after notification: StockNotification) { self.init(lastID: notification.id) }

    var missingIDs: [Int64] { missing.keys.sorted() }

    /// Gives up the missing ids that have been asked for long enough.
    mutating func dropOverdueIDs() {
        if missing.isEmpty { return }
        missing = missing.filter { !$0.value.hasPassed }
    }

    /// A notification was read.
    package mutating func advance(past id: Int64) {
        missing[id] = nil
        if id <= lastID { return }
        let deadline = Deadline.after(milliseconds: Self.missingMs)
        for gap in ((lastID + 1)..<id).prefix(Self.missingMax - missing.count) { missing[gap] = deadline }
        lastID = id
    }
}

extension NotificationCursor: LosslessStringConvertible {
    /// The last id, and after a colon the ids that were not read yet: `57` or `57:12-14,20`.
    public var description: String {
        var ranges: [ClosedRange<Int64>] = []
        for id in missingIDs {
            if let last = ranges.last, last.upperBound + 1 == id {
                ranges[ranges.count - 1] = last.lowerBound...id
            } else {
                ranges.append(id...id)
            }
        }
        if ranges.isEmpty { return String(lastID) }
        let texts = ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
        return "\(lastID):\(texts.joined(separator: ","))"
    }

    /// Reads what `description` writes; the missing ids are asked for during the whole time again.
    public init?(_ description: String) {
        let parts = description.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let lastID = Self.id(parts[0]) else { return nil }
        self.init(lastID: lastID)
        if parts.count == 1 { return }
        let deadline = Deadline.after(milliseconds: Self.missingMs)
        for part in parts[1].split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false).map(Self.id)
            guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1], first <= last,
                last <= lastID, last - first < Self.missingMax - missing.count
            else { return nil }
            for id in first...last { missing[id] = deadline }
        }
    }

    private static func id(_ text: Substring) -> Int64? {
        text.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int64(text) : nil
    }
}

extension NotificationCursor: Codable {
    private enum CodingKeys: String, CodingKey {
        case lastID = "last_id"
        case missing
    }

    /// A cursor that was stored asks for its missing ids for the whole time again.
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        lastID = try values.decode(Int64.self, forKey: .lastID)
        let deadline = Deadline.after(milliseconds: Self.missingMs)
        for id in try values.decode([Int64].self, forKey: .missing).prefix(Self.missingMax) { missing[id] = deadline }
    }

    public func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(lastID, forKey: .lastID)
        try values.encode(missingIDs, forKey: .missing)
    }
}
