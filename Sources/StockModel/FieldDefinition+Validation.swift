import Foundation

/// The limits of a field's values. A flag, a time and a choice have no invalid values.
///
/// Plain numbers, apart from the definition: an import checks some million values a second.
package struct FieldLimits: Sendable {
    private var bytesMax = Int.max
    private var range = Int64.min...Int64.max

    package init(_ kind: FieldKind) {
        switch kind {
        case .text(let bytesMax): self.bytesMax = bytesMax
        case .wholeNumber(let range): self.range = range
        case .choice, .flag, .time: break
        }
    }

    package func accept(_ value: FieldValue) -> Bool {
        switch value {
        case .text(var text):
            text.withUTF8 { bytes in
                !bytes.isEmpty && bytes.count <= bytesMax && memchr(bytes.baseAddress!, 0, bytes.count) == nil
            }
        case .integer(let number): range.contains(number)
        case .null, .flag, .time: true
        }
    }
}

extension FieldDefinition {
    /// Checks a value of this field.
    package func validate(_ value: FieldValue) throws(ValidationError) {
        if !FieldLimits(kind).accept(value) { throw error(for: value) }
    }

    /// What is wrong with a value that the limits do not accept.
    package func error(for value: FieldValue) -> ValidationError {
        switch (value, kind) {
        case (.text(let text), .text(let bytesMax)) where text.utf8.count > bytesMax:
            ValidationError(
                "\(name) has \(text.utf8.count) bytes, at most \(bytesMax) are allowed", code: .tooLong, field: name)
        case (.text(""), _): isEmpty
        case (.integer(let number), .wholeNumber(let range)): outOfRange(String(number), range)
        default: ValidationError("\(name) contains a NUL byte", code: .malformed, field: name)
        }
    }

    /// The error for a required field that is missing, and for a text without a byte.
    package var isEmpty: ValidationError { ValidationError("\(name) is empty", code: .required, field: name) }

    /// The error for a number beyond its range.
    ///
    /// - Parameter shown: the number as the message shows it.
    package func outOfRange(_ shown: String, _ range: ClosedRange<Int64>) -> ValidationError {
        ValidationError(
            "\(name) must be from \(range.lowerBound) to \(range.upperBound), not \(shown)", code: .outOfRange,
            field: name)
    }
}
