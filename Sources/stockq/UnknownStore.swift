import CommandLineKit
import StockQueue
import StockQueuePostgres

/// The warning that a store's name may be misspelled.
enum UnknownStore {
    /// Warns where this role sees neither an item nor a job of the store.
    static func warn(_ store: String?, _ connection: Connection, _ schema: QueueSchema) throws {
        guard let store else { return }
        let inspector = Inspector(connection: connection, schema: schema)
        if try !inspector.isKnown(store: store) { note(store) }
    }

    static func note(_ store: String) {
        Terminal.note("warning: no item or job of store \(store.shownName); is the name right?")
    }
}

/// The warning that jobs were enqueued for items that there are not.
enum UnknownItems {
    private static let namesMax = 5

    /// - Parameter keys: the items of the jobs that were enqueued.
    static func warn(_ keys: [ItemKey], _ connection: Connection, _ schema: QueueSchema) throws {
        if keys.isEmpty { return }
        let unknown = try Inspector(connection: connection, schema: schema).unknownItems(keys).map(\.shown).sorted()
        if unknown.isEmpty { return }
        if unknown.count == 1 {
            Terminal.note(
                "warning: there is no item \(unknown[0]); its jobs will be rejected unless it is created before")
            return
        }
        let more = unknown.count > namesMax ? " and \(unknown.count - namesMax) more" : ""
        Terminal.note(
            "warning: there are no items \(unknown.prefix(namesMax).joined(separator: ", "))\(more); their jobs will be "
                + "rejected unless they are created before")
    }
}
