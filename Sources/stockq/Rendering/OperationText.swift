import CommandLineKit
import StockFormats

/// What an operation was done to, in words: `berlin/mug at cellar, threshold 5`.
enum OperationText {
    static func words(_ row: Row) -> String {
        let subject = row.object("subject")
        var words: [String] = []
        if !subject["item_id"].isEmpty {
            words.append(subject.item)
        } else if !subject["store_id"].isEmpty {
            words.append("store \(subject.printable("store_id"))")
        }
        let names = subject.names.filter { !["item_id", "store_id", "location_id", "reason"].contains($0) }
        words += (names + subject.names.filter { $0 == "reason" }).map { member($0, of: subject) }
        return words.joined(separator: ", ")
    }

    private static func member(_ name: String, of subject: Row) -> String {
        let words = Self.words[name] ?? name.replacing("_", with: " ")
        switch (name, subject[name]) {
        case (_, "true"): return words
        case (_, "false"): return "not \(words)"
        case ("scopes", _): return "\(words) \(ScopeName.shown(subject.texts(name)))"
        case ("clear", _): return "\(words) \(subject.texts(name).map { Self.words[$0] ?? $0 }.joined(separator: ", "))"
        case ("changes", _): return subject.objects(name).map(change).joined(separator: ", ")
        case ("until", _), ("expires_at", _): return "\(words) \(subject.time(name))"
        case ("ready_jobs_max", _): return "\(words) \(counted(subject.number(name) ?? 0, "ready job"))"
        case ("days", _): return "\(words) \(counted(subject.number(name) ?? 0, "day"))"
        default:
            let isCount = subject.number(name) != nil && name != "lane"
            return "\(words) \(isCount ? subject.grouped(name) : subject.printable(name))"
        }
    }

    /// A change of the balance that was accepted: `on hand 5 → 7`.
    private static func change(_ change: Row) -> String {
        let parts = ["on_hand", "allocated"].compactMap { name -> String? in
            let (before, after) = (change.number("\(name)_before"), change.number("\(name)_after"))
            return before == after ? nil : "\(words[name] ?? name) \(changeText(before, after))"
        }
        return parts.joined(separator: ", ")
    }

    /// The words for a name, where they are not the name's own.
    private static let words = [
        "group_id": "group", "parent_id": "parent", "client_id": "client", "jobs_named": "jobs in all",
        "ready_jobs_max": "limit", "days": "time limit", "low_stock_threshold": "threshold", "rearm_margin": "margin",
        "expires_at": "valid until", "to_item": "to item", "delivery_ids": "deliveries",
        "given_jobs": "queued jobs given",
        "is_new": "new item", "on_hand": "on hand", "failed": "failed jobs", "clear": "without",
        "only_listed": "only listed reasons", "anonymous": "a token without a secret",
    ]
}
