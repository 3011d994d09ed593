/// A part of a request that breaks a rule.
package struct InvalidField: Error, Sendable, Hashable {
    package enum Kind: Sendable, Hashable {
        case missing
        case malformed
    }

    /// The name of the field or parameter; nil for the body as a whole.
    package var field: String?
    package var kind: Kind
    /// What the rule is, as the end of a sentence that begins with the field's name, or with "the body".
    package var rule: String

    package init(_ field: String?, _ rule: String, _ kind: Kind = .malformed) {
        self.field = field
        self.rule = rule
        self.kind = kind
    }

    package static func missing(_ field: String) -> InvalidField { InvalidField(field, "is missing", .missing) }

    /// `quantity must be a whole number`
    package var sentence: String { "\(field ?? "the body") \(rule)" }
}
