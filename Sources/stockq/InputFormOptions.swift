import CommandLineKit
import Foundation
import StockQueue

/// The options that say how the file of an import is written and which of its columns are which fields.
enum InputFormOptions {
    private static let format = Option(
        "format", .choice("csv|ndjson", of: InputFormat.allCases), defaultText: "by the file's name, csv for -",
        help: "how the file is written")
    private static let delimiter = Option(
        "delimiter", .delimiter, defaultText: "recognized by the header", help: "what separates the fields of a CSV")
    private static let encoding = Option(
        "encoding", .choice("ENCODING", of: TextEncoding.allCases), defaultText: "by the first bytes, else utf-8",
        help: "how the letters are written")
    private static let map = Option(
        repeated: "map", .columnName, help: "the field of a column that has another name, as SKU=item_id")
    private static let set = Option(
        repeated: "set", .fieldValue, help: "a field's value for all lines, as store_id=berlin")
    private static let timeZone = Option(
        "time-zone", .timeZone, help: "the zone of times that are written without one, as Europe/Berlin")
    private static let ignoreUnknown = Flag("ignore-unknown", help: "leave out the columns that are no field")
    private static let trim = Flag("trim", help: "remove white space at both ends of each field")

    /// All but `from`, whose values differ by command.
    static let parameters: [any Parameter] = [map, set, ignoreUnknown, trim, timeZone, delimiter, encoding, format]

    static func from(_ presets: [InputPreset]) -> Option<InputPreset?> {
        Option("from", .choice("SYSTEM", of: presets), help: "the file is an export of this shop system")
    }

    /// What help says about the columns, besides their names.
    static let note =
        "A CSV's header names the columns, in any case and with blanks or _ between words; they are separated by , ; a tab or |. "
        + "In NDJSON the keys are the columns. The columns _line and _problem of a file of bad lines stay in it."

    static func form(_ input: ParsedCommand, _ from: Option<InputPreset?>) throws -> InputForm {
        let name = input[InputFile.file]
        var form = InputForm(input[format] ?? InputFormat(fileName: name) ?? .csv, trims: input[trim])
        form.delimiter = input[delimiter]
        form.encoding = input[encoding]
        form.timeZone = input[timeZone]
        form.preset = input[from]
        form.ignoresUnknownColumns = input[ignoreUnknown]
        form.fieldNames = try dictionary(input[map], "--map", input)
        form.fixedValues = try dictionary(input[set], "--set", input)
        return form
    }

    private static func dictionary(
        _ given: [SettingAssignment], _ option: String, _ input: ParsedCommand
    ) throws -> [String: String] {
        var values: [String: String] = [:]
        for assignment in given where values.updateValue(assignment.value, forKey: assignment.name) != nil {
            throw input.usageError("\(option) names \(assignment.name.shownName) twice")
        }
        return values
    }
}

extension ValueType where Value == Delimiter {
    /// A delimiter as itself or by its name.
    static var delimiter: Self {
        let names: [String: Delimiter] = [
            "comma": .comma, "semicolon": .semicolon, "tab": .tab, "bar": .bar, "\\t": .tab, "\t": .tab,
        ]
        return Self(
            "CHARACTER", shape: .choice(["comma", "semicolon", "tab", "bar"]),
            expectation: "comma, semicolon, tab or bar, or the character itself"
        ) { names[$0] ?? Delimiter(rawValue: $0) }
    }
}

extension ValueType where Value == TimeZone {
    static var timeZone: Self {
        Self("ZONE", shape: .text(bytes: nil), expectation: "a name of the IANA database such as Europe/Berlin") {
            TimeZone(identifier: $0)
        }
    }
}

extension ValueType where Value == SettingAssignment {
    /// A column's name may have any character, a field's name has no `=`.
    fileprivate static var columnName: Self { assignment("COLUMN=FIELD") { $0.lastIndex(of: "=") } }

    fileprivate static var fieldValue: Self { assignment("FIELD=VALUE") { $0.firstIndex(of: "=") } }

    private static func assignment(
        _ valueName: String, sign: @escaping @Sendable (String) -> String.Index?
    ) -> Self {
        Self(valueName, shape: .text(bytes: nil), expectation: valueName) { word in
            guard let sign = sign(word) else { return nil }
            let (name, value) = (String(word[..<sign]), String(word[word.index(after: sign)...]))
            return name.isEmpty || value.isEmpty ? nil : SettingAssignment(name: name, value: value)
        }
    }
}
