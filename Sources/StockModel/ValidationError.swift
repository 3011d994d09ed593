/// What is wrong with a request: one field of one line breaks a rule.
public struct ValidationError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What kind of rule is broken; stable, for programs.
    public enum Code: String, Sendable, Hashable, CaseIterable {
        /// A required field is missing or empty.
        case required
        /// The text is too long.
        case tooLong = "too_long"
        /// The value has the wrong form: not a whole number, not a time, not UTF-8.
        case malformed
        /// A number is outside its range.
        case outOfRange = "out_of_range"
        /// The value is none of the allowed ones.
        case unknownValue = "unknown_value"
        /// The input names an unknown field.
        case unknownField = "unknown_field"
        /// A field is given twice.
        case duplicateField = "duplicate_field"
        /// Two fields do not go together.
        case conflict
        /// The input as a whole cannot be read.
        case unreadable
    }

    /// The line of the input, from 1; nil where there is only one request.
    public var line: Int?
    /// The name of the field in SQL, CSV and JSON; nil where no single field is wrong.
    public var field: String?
    public var code: Code
    /// A sentence for people: what is wrong and what is allowed.
    public var message: String

    public init(_ message: String, code: Code = .unreadable, field: String? = nil, line: Int? = nil) {
        self.message = message
        self.code = code
        self.field = field
        self.line = line
    }

    /// `line 7: quantity is empty`
    public var description: String { (line.map { "line \($0): " } ?? "") + message }

    /// The error with the line in which it is.
    package func at(line: Int) -> ValidationError {
        var error = self
        error.line = line
        return error
    }

    /// A value as a message shows it: short, with invisible characters as escapes.
    package static func shown(_ bytes: some Collection<UInt8>) -> String {
        let text = VisibleText.escaped(String(decoding: bytes.prefix(shownBytesMax), as: UTF8.self))
        return bytes.count > shownBytesMax ? text + "…" : text
    }

    private static let shownBytesMax = 60
}
