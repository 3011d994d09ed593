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
    mutating func advance(past id: Int64) {
        missing[id] = nil
        if id <= lastID { return }
        let deadline = Deadline.after(milliseconds: Self.missingMs)
        for gap in ((lastID + 1)..<id).prefix(Self.missingMax - missing.count) { missing[gap] = deadline }
        lastID = id
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
