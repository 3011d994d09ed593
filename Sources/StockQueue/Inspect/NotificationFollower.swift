/// Reads notifications as they are committed, each once.
///
/// Ids are drawn before their transactions commit, so a smaller id can appear after a larger one. The follower keeps
/// the ids it has not seen between those it has, and asks for them again for a while; an id whose transaction was
/// rolled back never comes.
public struct NotificationFollower {
    private let inspector: Inspector
    /// Everything up to here has been read, but for `missing`.
    public var lastID: Int64 = 0
    /// Ids not seen yet, and how often they have been asked for.
    private var missing: [Int64: Int] = [:]

    /// How many ids are remembered and how often each is asked for: at four rounds a second, for a minute, which is longer
    /// than a batch's transaction can last.
    private static let missingMax = 10_000
    private static let roundsMax = 240

    public init(inspector: Inspector) { self.inspector = inspector }

    /// What has come since the last call.
    public mutating func next(limit: Int) throws -> [JSONRow<StockNotification>] {
        let rows = try inspector.notifications(after: lastID, or: Array(missing.keys), limit: limit)
        missing = missing.mapValues { $0 + 1 }.filter { $0.value < Self.roundsMax }
        for row in rows {
            let id = row.value.notificationId
            missing[id] = nil
            if id <= lastID { continue }
            for skipped in (lastID + 1)..<id where missing.count < Self.missingMax { missing[skipped] = 0 }
            lastID = id
        }
        return rows
    }
}
