import CommandLineKit

/// What a producer may do in a store.
enum GrantScope: String, CaseIterable, Sendable {
    case readCatalog = "read_catalog"
    case updateCatalog = "update_catalog"
}

/// The parameters by which a producer's grants are changed.
enum GrantOptions {
    static let producer = Argument(.text("PRODUCER"), help: "a role of the database")
    static let store = Option(required: "store", .text("STORE"), help: "the store")
    static let scope = Option(
        repeated: "scope", .choice("SCOPE", of: GrantScope.allCases), defaultText: "both",
        help: "update_catalog to enqueue, read_catalog to see items")
}
