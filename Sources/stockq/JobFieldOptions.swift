import CommandLineKit
import StockFormats
import StockModel

/// The options that set a field of a job, made of the table of fields.
enum JobFieldOptions {
    private struct FieldOption: Sendable {
        let field: JobField
        let input: Input

        enum Input: Sendable {
            case value(Option<FieldValue?>)
            /// Its presence sets the field to the opposite of its default.
            case flag(Flag, FieldValue)
        }

        var parameter: any Parameter {
            switch input {
            case .value(let option): option
            case .flag(let flag, _): flag
            }
        }
    }

    private static let all = JobField.allCases.compactMap { field -> FieldOption? in
        let definition = field.definition
        guard let name = definition.option else { return nil }
        if case .flag(let isDefault) = field.defaultValue {
            return FieldOption(field: field, input: .flag(Flag(name, help: definition.help), .flag(!isDefault)))
        }
        let option = Option(
            name, ValueType<FieldValue>(definition), defaultText: field.defaultText, help: definition.help)
        return FieldOption(field: field, input: .value(option))
    }

    static func parameters(except special: JobField) -> [any Parameter] {
        all.filter { $0.field != special }.map(\.parameter)
    }

    /// Sets the fields whose options were given.
    static func set(in job: inout JobRequest, _ input: ParsedCommand, except special: JobField) {
        for option in all where option.field != special {
            switch option.input {
            case .value(let parameter): if let value = input[parameter] { job.set(option.field, value) }
            case .flag(let flag, let value): if input[flag] { job.set(option.field, value) }
            }
        }
    }
}

extension ValueType where Value == FieldValue {
    /// The values of a field, as its definition parses and validates them.
    fileprivate init(_ definition: FieldDefinition) {
        let (valueName, shape, expectation) = Self.description(of: definition.kind)
        self.init(valueName, shape: shape, expectation: expectation) { word in
            guard !word.isEmpty, let value = try? definition.parse(Array(word.utf8)[...]),
                (try? definition.validate(value)) != nil
            else { return nil }
            return value
        }
    }

    private static func description(of kind: FieldKind) -> (valueName: String, ValueShape, expectation: String) {
        switch kind {
        case .text(let bytesMax): ("TEXT", .text(bytes: 1...bytesMax), "1 to \(bytesMax) bytes")
        case .wholeNumber(let range):
            ("N", .wholeNumber(range), "a whole number from \(range.lowerBound) to \(range.upperBound)")
        case .choice(let labels): ("WORD", .choice(labels), "one of \(labels.joined(separator: ", "))")
        case .flag: ("yes|no", .choice(["true", "false"]), "true or false")
        case .time: ("T", .time, "a time like 2026-03-01T12:00:00Z")
        }
    }
}
