/// One row of a table of fields: the values of one field of a request, and the names by which it is given.
///
/// CSV headers, JSON keys, COPY columns, SQL arguments, command-line options and the reference page come from these
/// rows.
public final class FieldDefinition: Sendable {
    /// The name in SQL, CSV and JSON.
    public let name: String
    /// The values that are valid.
    public let kind: FieldKind
    /// The type of the SQL argument.
    public let sqlType: FieldSQLType
    /// Whether a request without it is invalid.
    public let isRequired: Bool
    /// The option of the command line that sets it, without its dashes; nil for a positional argument. Of a flag it
    /// sets the opposite of the default.
    public let option: String?
    /// The argument of the SQL function for lists of lines that carries it line by line; nil for a field of the whole
    /// list.
    public let listArgument: String?
    /// Whether the result of a job has it under the same name.
    public let isKeptInResult: Bool
    /// What the option does, as help shows it.
    public let help: String

    /// Whether its values are ids.
    package var isID: Bool { if case .id = kind { true } else { false } }
    package var isTime: Bool { if case .time = kind { true } else { false } }

    package init(
        _ name: String, _ kind: FieldKind, _ sqlType: FieldSQLType, isRequired: Bool = false, option: String? = nil,
        listArgument: String? = nil, isKeptInResult: Bool = true, help: String
    ) {
        self.name = name
        self.kind = kind
        self.sqlType = sqlType
        self.isRequired = isRequired
        self.option = option
        self.listArgument = listArgument
        self.isKeptInResult = isKeptInResult
        self.help = help
    }
}

/// The values that are valid in a field.
public enum FieldKind: Sendable, Hashable {
    /// UTF-8 without NUL, from 1 byte to so many.
    case text(bytesMax: Int)
    /// A text of visible characters, with spaces only between them, so that two ids that look the same are the same.
    case id(bytesMax: Int)
    case wholeNumber(ClosedRange<Int64>)
    case choice([String])
    case flag
    /// A moment, written with its zone (RFC 3339).
    case time
    /// A JSON object of at most so many bytes.
    case object(bytesMax: Int)

    package var isObject: Bool { if case .object = self { true } else { false } }

    package static func choice<Label: DatabaseLabel>(of type: Label.Type) -> FieldKind {
        .choice(Label.allCases.map(\.rawValue))
    }
}

/// The SQL type of a field.
public enum FieldSQLType: String, Sendable, Hashable {
    case text, bigint, integer, boolean, timestamptz, jsonb
}

/// The typed value of a field.
package enum FieldValue: Sendable, Hashable {
    case null
    case text(String)
    case integer(Int64)
    case flag(Bool)
    case time(microsecondsSince2000: Int64)

    package init(_ text: String?) { self = text.map { .text($0) } ?? .null }

    package init(_ number: Int64?) { self = number.map { .integer($0) } ?? .null }

    package init(time microseconds: Int64?) { self = microseconds.map { .time(microsecondsSince2000: $0) } ?? .null }
}
