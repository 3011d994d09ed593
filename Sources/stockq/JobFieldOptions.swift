import CommandLineKit
import StockFormats
import StockModel
import StockQueue
import StockQueuePostgres

/// The options that set a field of a job, made of the table of fields.
enum JobFieldOptions {
    private struct FieldOption: Sendable {
        let field: JobField
        let input: Input

        enum Input: Sendable {
            case value(Option<FieldValue?>)
            case time(Option<Moment?>)
            /// Its presence sets the field to the opposite of its default.
            case flag(Flag, FieldValue)
        }

        var parameter: any Parameter {
            switch input {
            case .value(let option): option
            case .time(let option): option
            case .flag(let flag, _): flag
            }
        }
    }

    private static let all = JobField.allCases.compactMap { field -> FieldOption? in
        let definition = field.definition
        guard let name = definition.option else { return nil }
        switch (definition.kind, field.defaultValue) {
        case (_, .flag(let isDefault)):
            return FieldOption(field: field, input: .flag(Flag(name, help: definition.help), .flag(!isDefault)))
        case (.time, _) where [.runAt, .expiresAt].contains(field):
            let help = "\(definition.help) (2026-03-01T12:00:00Z), or this long from now (+90s, +15m)"
            return FieldOption(field: field, input: .time(Option(name, .moment, help: help)))
        default:
            let type = ValueType<FieldValue>(definition, valueName: valueName(field))
            return FieldOption(
                field: field,
                input: .value(Option(name, type, defaultText: field.defaultText, help: definition.help)))
        }
    }

    /// The placeholder of a field's value.
    private static func valueName(_ field: JobField) -> String {
        switch field {
        case .onInsufficient: "POLICY"
        case .locationID: "LOCATION"
        case .groupID: "GROUP"
        case .orderingKey, .idempotencyKey: "KEY"
        case .countedAt, .occurredAt: "TIME"
        case .action, .reason, .reference, .actor: field.rawValue.uppercased()
        case .metadata: "OBJECT"
        default: "N"
        }
    }

    static var parameters: [any Parameter] { parameters(for: JobField.allCases) }

    static func parameters(for fields: [JobField]) -> [any Parameter] {
        all.filter { fields.contains($0.field) }.map(\.parameter)
    }

    /// Sets the fields whose options were given.
    ///
    /// - Parameter fields: those that the command has options for.
    /// - Returns: the times that count from now.
    static func set(
        in job: inout JobRequest, _ input: ParsedCommand, fields: [JobField] = JobField.allCases
    ) -> JobDelays {
        var delays = JobDelays()
        for option in all where fields.contains(option.field) {
            switch option.input {
            case .value(let parameter): if let value = input[parameter] { job.set(option.field, value) }
            case .flag(let flag, let value): if input[flag] { job.set(option.field, value) }
            case .time(let parameter):
                switch input[parameter] {
                case .at(let microseconds)?: job.set(option.field, .time(microsecondsSince2000: microseconds))
                case .after(let delay)?: delays.set(option.field, delay)
                case nil: break
                }
            }
        }
        return delays
    }
}

extension JobDelays {
    fileprivate mutating func set(_ field: JobField, _ delay: Duration) {
        switch field {
        case .runAt: runAfterSeconds = delay.wholeSeconds
        case .expiresAt: expireAfterSeconds = delay.wholeSeconds
        default: preconditionFailure("\(field.rawValue) is no time")
        }
    }
}

extension ValueType where Value == FieldValue {
    /// The values of a field, as its definition parses and validates them.
    fileprivate init(_ definition: FieldDefinition, valueName: String) {
        let (shape, expectation) = Self.description(of: definition.kind)
        self.init(valueName, shape: shape, expectation: expectation) { word in
            guard !word.isEmpty, let value = try? definition.parse(Array(word.utf8)[...]),
                (try? definition.validate(value)) != nil
            else { return nil }
            return value
        }
    }

    private static func description(of kind: FieldKind) -> (ValueShape, expectation: String) {
        switch kind {
        case .text(let bytesMax): (.text(bytes: 1...bytesMax), "1 to \(bytesMax) bytes")
        case .id(let bytesMax): (.text(bytes: 1...bytesMax), "1 to \(bytesMax) bytes of visible characters")
        case .wholeNumber(let range):
            (.wholeNumber(range), "a whole number from \(range.lowerBound) to \(range.upperBound)")
        case .choice(let labels): (.choice(labels), "one of \(labels.joined(separator: ", "))")
        case .flag: (.choice(["true", "false"]), "true or false")
        case .time: (.time, "a time like 2026-03-01T12:00:00Z")
        case .object(let bytesMax): (.text(bytes: 2...bytesMax), "a JSON object")
        }
    }
}
