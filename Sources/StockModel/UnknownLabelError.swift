/// The database has a label that this version does not know: a newer version has migrated the schema.
public struct UnknownLabelError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The name of the enum's type in the schema, for instance `outcome`.
    public let type: String
    public let label: String

    package init(type: String, label: String) {
        self.type = type
        self.label = label
    }

    public var description: String {
        "the schema has the \(type) '\(label)', which this version does not know; use the version that migrated the schema"
    }
}
