import Foundation

/// The limits of a field's values. A flag, a time and a choice have no invalid values.
///
/// Plain numbers, apart from the definition: an import checks some million values a second.
package struct FieldLimits: Sendable {
    private var bytesMax = Int.max
    private var range = Int64.min...Int64.max
    private var isID = false

    package init(_ kind: FieldKind) {
        switch kind {
        case .text(let bytesMax), .object(let bytesMax): self.bytesMax = bytesMax
        case .id(let bytesMax):
            self.bytesMax = bytesMax
            isID = true
        case .wholeNumber(let range): self.range = range
        case .choice, .flag, .time: break
        }
    }

    package func accept(_ value: FieldValue) -> Bool {
        switch value {
        case .text(var text):
            text.withUTF8 { bytes in
                if bytes.isEmpty || bytes.count > bytesMax { return false }
                return isID
                    ? HiddenCharacters.areAbsent(in: bytes) : memchr(bytes.baseAddress!, 0, bytes.count) == nil
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
        case (.text(let text), .text(let bytesMax)) where text.utf8.count > bytesMax,
            (.text(let text), .id(let bytesMax)) where text.utf8.count > bytesMax,
            (.text(let text), .object(let bytesMax)) where text.utf8.count > bytesMax:
            ValidationError(
                "\(name) has \(text.utf8.count) bytes, at most \(bytesMax) are allowed", code: .tooLong, field: name)
        case (.text(""), _): isEmpty
        case (.text(let text), .id) where !text.utf8.contains(0): hiddenCharacter(in: text)
        case (.integer(let number), .wholeNumber(let range)): outOfRange(String(number), range)
        default: ValidationError("\(name) contains a NUL byte", code: .malformed, field: name)
        }
    }

    /// The error for an id that looks like another one.
    private func hiddenCharacter(in id: String) -> ValidationError {
        let scalars = id.unicodeScalars
        guard let hidden = HiddenCharacters.first(in: id) else { preconditionFailure("\(name) is a valid id") }
        let place =
            if scalars.first == hidden { "begins with" } else if scalars.last == hidden { "ends with" } else {
                "contains"
            }
        return ValidationError(
            "\(name) \(place) \(HiddenCharacters.description(of: hidden)), which does not show; remove it"
                + (hidden.properties.isWhitespace && place != "contains" ? " (an import does, with --trim)" : ""),
            code: .malformed, field: name)
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
