import CommandLineKit
import StockQueue

/// The parameters by which a producer's grants are changed.
enum GrantOptions {
    static let producer = Argument(.text("PRODUCER"), help: "a role of the database")
    static let store = Option(required: "store", .text("STORE"), help: "the store")
    static let scope = Option(
        repeated: "scope", .choice("SCOPE", of: ScopeName.ofProducers, aliases: ScopeName.aliases),
        defaultText: "enqueue and read",
        help: "enqueue, read to see items, manage_items to create them and set their attributes; enqueueing for a "
            + "variation needs enqueue and read")

    /// What the producer may do in the store now.
    static func scopes(_ input: ParsedCommand, _ admin: QueueAdmin) throws -> [String] {
        try admin.grants().first { $0.producer == input[producer] && $0.store == input[store] }?.scopes ?? []
    }

    /// `shop in store berlin: none → read`
    static func change(_ input: ParsedCommand, _ before: [String], _ after: [String]) -> String {
        let text = { (scopes: [String]) in scopes.isEmpty ? "none" : ScopeName.shown(scopes) }
        return "\(input[producer].shownName) in store \(input[store].shownName): \(text(before)) → \(text(after))"
    }
}
