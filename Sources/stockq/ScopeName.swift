import CommandLineKit

/// What a producer or a caller of the gateway may do in a store, as the command line names it. The database and the
/// vendors' calls have two of Ecwid's names, which are understood too.
enum ScopeName: String, CaseIterable, Sendable {
    case enqueue
    case read
    case manageItems = "manage_items"
    case manageNotifications = "manage_notifications"

    static let ofProducers: [ScopeName] = [.enqueue, .read, .manageItems]

    /// What a grant without a scope has.
    static let ofGrants: [ScopeName] = [.enqueue, .read]

    static let aliases: [String: ScopeName] = ["update_catalog": .enqueue, "read_catalog": .read]

    /// As the database has it.
    var stored: String { Self.aliases.first { $0.value == self }?.key ?? rawValue }

    /// `enqueue, read` for scopes as the database has them.
    static func shown(_ stored: [String]) -> String {
        stored.map { aliases[$0]?.rawValue ?? $0 }.sorted().joined(separator: ", ")
    }
}
