import StockModel

/// A position in the notifications of a queue, to go on from later. Store it as it encodes; what is in it may change.
///
/// Notifications become visible in the order in which transactions commit, which is not the order of their ids. The
/// position is one that no later commit can get below: `migrations/functions/feeds.sql` says why.
public struct NotificationCursor: Sendable, Hashable {
    /// As `notifications_after` takes it.
    private let text: String

    /// Before the first notification.
    public static let beginning = NotificationCursor(text: "0")
}

extension NotificationCursor: LosslessStringConvertible {
    /// As the SQL function `notifications_after` takes it: `1204-57`.
    public var description: String { text }

    /// Reads what `description` writes, and what it wrote in version 0.2.0: the last id, `57`, and after a colon the
    /// ids that were not read yet, `57:12-14,20`. Such a cursor begins before the first of these, so some notifications
    /// after it are read again.
    public init?(_ description: String) {
        if CursorText.isValid(description, numbers: 1...2) {
            self.init(text: description)
            return
        }
        let parts = description.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, CursorText.isValid(parts[0], numbers: 1...1), let last = Int64(parts[0]) else {
            return nil
        }
        var first = last
        for range in parts[1].split(separator: ",", omittingEmptySubsequences: false) {
            guard CursorText.isValid(range, numbers: 1...2), let id = Int64(range.prefix { $0 != "-" }), id > 0,
                id <= last
            else { return nil }
            first = min(first, id - 1)
        }
        self.init(text: String(first))
    }
}

extension NotificationCursor: Codable {
    /// The keys of version 0.2.0.
    private enum OldKeys: String, CodingKey {
        case lastID = "last_id"
        case missing
    }

    /// Reads a cursor that this version or 0.2.0 has stored.
    public init(from decoder: any Decoder) throws {
        if let values = try? decoder.container(keyedBy: OldKeys.self) {
            let last = try values.decode(Int64.self, forKey: .lastID)
            let missing = try values.decode([Int64].self, forKey: .missing)
            self.init(text: String(min(last, (missing.min() ?? .max) - 1)))
            return
        }
        self = try CursorText.decode(decoder)
    }

    public func encode(to encoder: any Encoder) throws { try CursorText.encode(text, encoder) }
}
