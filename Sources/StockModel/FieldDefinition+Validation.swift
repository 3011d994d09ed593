extension FieldDefinition {
    /// Checks a value of this field. A flag, a time and a choice have no invalid values.
    package func validate(_ value: FieldValue) throws(ValidationError) {
        switch (value, kind) {
        case (.text(let text), .text(let bytesMax)):
            let count = text.utf8.count
            if count == 0 { throw isEmpty }
            if count > bytesMax {
                throw ValidationError(
                    "\(name) has \(count) bytes, at most \(bytesMax) are allowed", code: .tooLong, field: name)
            }
            var text = text
            if text.withUTF8({ $0.contains(0) }) {
                throw ValidationError("\(name) contains a NUL byte", code: .malformed, field: name)
            }
        case (.integer(let number), .wholeNumber(let range)):
            if !range.contains(number) { throw outOfRange(String(number), range) }
        default: break
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
