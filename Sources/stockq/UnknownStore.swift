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

    static func warn(_ keys: [ItemKey], _ connection: Connection, _ schema: QueueSchema) throws {
        let unknown = try Inspector(connection: connection, schema: schema).unknownItems(keys)
        if unknown.isEmpty { return }
        let names = shortList(unknown.map(\.shown).sorted(), max: namesMax)
        Terminal.note("warning: there is no item \(names); its jobs will be rejected unless it is created before")
    }
}
