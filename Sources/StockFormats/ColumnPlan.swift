import Foundation
import StockModel

/// Where the fields of a record come from: the columns of a header, and values that are given for all records.
struct ColumnPlan<Column: InputColumn> {
    /// The fields of a record, in their order.
    private(set) var columns: [Column] = []
    /// How many columns the header has.
    let width: Int
    private var sources: [FieldSource] = []
    /// The fields are the columns of the header, each in its place.
    private(set) var isPlain = false
    private var preset: PresetReading<Column>?

    /// - Throws: what is wrong with the header.
    init(header: [ArraySlice<UInt8>], form: InputForm, required: [Column]) throws(ValidationError) {
        width = header.count
        let names = header.map { String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .whitespaces) }
        let fixed = try FixedValues<Column>(form)
        try takeMapped(names, form)
        var rules: PresetRules<Column>?
        if let given = form.preset {
            rules = Column.rules(of: given)
            guard let rules else {
                throw ValidationError("a file of \(given.rawValue) is for the other of the two imports")
            }
            try takeColumns(of: rules, names, form)
        }
        var faults = takeKnown(names, header, form)
        faults += add(fixed)
        let missing = required.filter { !columns.contains($0) }
        // A file of another kind has none of the columns.
        if !missing.isEmpty && !faults.contains(where: { $0.code == .unreadable }) {
            faults.append(Self.error(missing: missing, rules))
        }
        if let fault = Self.together(faults) { throw fault }
        isPlain =
            rules == nil && !sources.contains(where: \.turnsSign)
            && sources.map(\.positions) == (0..<width).map { [$0] }
        let location = form.fixedValues[ItemField.locationID.rawValue]
        preset = rules.map { PresetReading($0, names, columns, location: location) }
    }

    /// The fields of a record's columns.
    ///
    /// - Returns: why the record is left out; nil where it is not.
    mutating func apply(to record: inout InputRecord) throws(ValidationError) -> String? {
        try record.require(width: width)
        if let reason = preset?.reasonToLeaveOut(columns: &record.fields) { return reason }
        let given = record.fields
        record.fields = sources.map { $0.value(of: given) }
        return preset?.reasonToLeaveOut(fields: &record.fields)
    }

    // MARK: the header

    /// A name without what people write in different ways: `Store ID` and `store-id` are `storeid`.
    private static func letters(_ name: String) -> String { name.lowercased().filter { $0.isLetter || $0.isNumber } }

    private static func field(named name: String) -> Column? {
        let name = letters(name)
        return Column.allCases.first { letters($0.rawValue) == name }
    }

    private static var known: String { Column.allCases.map(\.rawValue).joined(separator: ", ") }

    private mutating func take(_ column: Column, _ source: FieldSource) throws(ValidationError) {
        if columns.contains(column) {
            throw ValidationError(
                "the header names \(column.rawValue) twice", code: .duplicateField, field: column.rawValue)
        }
        columns.append(column)
        sources.append(source)
    }

    /// Takes the columns that the caller names, before all others.
    private mutating func takeMapped(_ names: [String], _ form: InputForm) throws(ValidationError) {
        for (name, field) in form.fieldNames.sorted(by: { $0.key < $1.key }) {
            let isTurned = field.hasPrefix("-")
            guard let column = Column(rawValue: isTurned ? String(field.dropFirst()) : field) else {
                throw ValidationError("--map \(name)=\(field): there is no field \(field); known are \(Self.known)")
            }
            if isTurned && column.rawValue != JobField.quantity.rawValue {
                throw ValidationError("--map \(name)=\(field): only the sign of a quantity can be turned")
            }
            if isTurned, form.preset.flatMap(Column.rules)?.negated == column {
                throw ValidationError(
                    "--map \(name)=\(field): --from takes the quantity away already; write --map \(name)=\(column.rawValue)"
                )
            }
            let exact = names.indices.filter { names[$0] == name }
            let found = exact.isEmpty ? names.indices.filter { Self.letters(names[$0]) == Self.letters(name) } : exact
            if found.count > 1 {
                throw ValidationError("--map \(name)=\(field): the header has more than one column \(name)")
            }
            if found.isEmpty {
                let there = names.map { "'\(ValidationError.shown($0.utf8))'" }.joined(separator: ", ")
                throw ValidationError("--map \(name)=\(field): the header has no column \(name); it has \(there)")
            }
            if let other = columns.firstIndex(of: column) {
                throw ValidationError(
                    "--map gives \(field) two columns, '\(names[sources[other].positions[0]])' and '\(names[found[0]])'; leave out one",
                    code: .duplicateField, field: column.rawValue)
            }
            try take(column, FieldSource(positions: found, turnsSign: isTurned))
        }
    }

    /// Takes the columns that a preset names.
    private mutating func takeColumns(
        of rules: PresetRules<Column>, _ names: [String], _ form: InputForm
    ) throws(ValidationError) {
        let header = PresetHeader(names: names, location: form.fixedValues[ItemField.locationID.rawValue])
        for source in rules.sources where !columns.contains(source.field) {
            if form.fixedValues[source.field.rawValue] != nil { continue }
            var taken = FieldSource()
            for name in source.names {
                if let position = try header.position(of: name, for: source.field.rawValue) {
                    taken.positions.append(position)
                }
            }
            if let name = source.switchName {
                taken.switchPosition = try header.position(of: name, for: source.field.rawValue)
            }
            if !taken.positions.isEmpty {
                try take(source.field, taken)
            } else if source.field.definition.isRequired {
                try header.requireLocation(source.names)
            }
        }
    }

    /// Takes the columns that have the name of a field.
    ///
    /// - Returns: what is wrong with the others.
    private mutating func takeKnown(
        _ names: [String], _ header: [ArraySlice<UInt8>], _ form: InputForm
    ) -> [ValidationError] {
        var faults: [ValidationError] = []
        let taken = Set(sources.flatMap(\.positions))
        var unknown: [Int] = []
        for (position, name) in names.enumerated() where !taken.contains(position) {
            if NoteColumn.names.contains(name) { continue }
            // A preset has names of its own, beside which the same word may mean something else.
            let column = form.preset == nil ? Self.field(named: name) : Column(rawValue: name)
            let isMapped = column.map { form.mapsField($0.rawValue) } == true
            if form.ignoresUnknownColumns || form.preset != nil, column == nil || isMapped { continue }
            guard let column else {
                unknown.append(position)
                continue
            }
            if isMapped {
                faults.append(
                    ValidationError(
                        "the header has a column \(column.rawValue) beside that of --map; leave it out with --ignore-unknown",
                        code: .duplicateField, field: column.rawValue))
                continue
            }
            do throws(ValidationError) {
                try take(column, FieldSource(positions: [position]))
            } catch {
                if !faults.contains(error) { faults.append(error) }
            }
        }
        if unknown.isEmpty { return faults }
        let named = unknown.filter { !names[$0].isEmpty }
        let fault =
            named.isEmpty ? Self.error(unnamed: unknown) : Self.error(unknown: named.map { header[$0] }, of: names)
        return [fault] + faults
    }

    /// - Parameter columns: required ones; of a preset with the names that its files have.
    private static func error(missing columns: [Column], _ rules: PresetRules<Column>?) -> ValidationError {
        let shown = columns.map { column in
            let usual = rules?.sources.first { $0.field == column }?.names.first.map { "'\($0)' for " } ?? ""
            return usual + column.rawValue
        }
        let isOne = columns.count == 1
        let field = isOne ? columns[0].rawValue : "FIELD"
        return ValidationError(
            "the header lacks the column\(isOne ? "" : "s") \(shown.joined(separator: ", ")); name \(isOne ? "its" : "each one's") column with --map COLUMN=\(field), or give one value for all lines with --set \(field)=VALUE",
            code: .required, field: isOne ? field : nil)
    }

    /// All faults as one error, each on a line; nil where there are none.
    private static func together(_ faults: [ValidationError]) -> ValidationError? {
        guard let first = faults.first else { return nil }
        if faults.count == 1 { return first }
        return ValidationError(faults.map(\.message).joined(separator: "\n"), code: first.code)
    }

    /// - Parameter positions: of columns that have no name, from 0.
    private static func error(unnamed positions: [Int]) -> ValidationError {
        let numbers = positions.map { String($0 + 1) }.joined(separator: ", ")
        let isOne = positions.count == 1
        return ValidationError(
            "the header has no name for \(isOne ? "column" : "the columns") \(numbers); write \(isOne ? "its field" : "their fields") into the header, or leave \(isOne ? "it" : "them") out with --ignore-unknown",
            code: .unknownField)
    }

    /// - Parameters:
    ///   - names: the unknown ones.
    ///   - header: all of them.
    private static func error(unknown names: [ArraySlice<UInt8>], of header: [String]) -> ValidationError {
        guard names.allSatisfy({ UTF8Text.string($0) != nil }) else {
            return ValidationError(
                "the header is not valid UTF-8; a file in Windows-1252 needs --encoding windows-1252", code: .unreadable
            )
        }
        let plain = names.map { String(decoding: $0, as: UTF8.self).lowercased().replacing(" ", with: "_") }
        let shown = names.map { "'\(ValidationError.shown($0))'" }.joined(separator: ", ")
        let isOne = names.count == 1
        let presetHeader = PresetHeader(names: header, location: nil)
        let system = InputPreset.allCases.first { Column.rules(of: $0).map(presetHeader.fits) == true }
        let otherFile =
            plain.lazy.compactMap(Column.advice(onColumn:)).first
            ?? system.map { "this looks like an export of a shop system: add --from \($0.rawValue)" }
        let advice =
            otherFile
            ?? "name \(isOne ? "its field" : "their fields") with --map '\(ValidationError.shown(names[0]))=FIELD', or leave \(isOne ? "it" : "them") out with --ignore-unknown"
        return ValidationError(
            "the header names \(isOne ? "an unknown column" : "unknown columns") \(shown); known are \(known); \(advice)",
            code: otherFile == nil ? .unknownField : .unreadable)
    }

    /// - Returns: what the header has too.
    private mutating func add(_ fixed: FixedValues<Column>) -> [ValidationError] {
        var faults: [ValidationError] = []
        for (column, text) in fixed.values {
            if columns.contains(column) {
                faults.append(FixedValues.error(column, text, given: "the header has a column"))
            } else {
                columns.append(column)
                sources.append(FieldSource(fixedValue: Array(text.utf8)[...]))
            }
        }
        return faults
    }
}

/// Where a field comes from.
struct FieldSource {
    /// In the header, the preferred one first; none for a fixed value.
    var positions: [Int] = []
    var fixedValue: ArraySlice<UInt8> = []
    /// The column which, with `N`, turns the field off.
    var switchPosition: Int?
    /// The column has the opposite number, such as what was sold.
    var turnsSign = false

    func value(of columns: [ArraySlice<UInt8>]) -> ArraySlice<UInt8> {
        guard let first = positions.first else { return fixedValue }
        if let switchPosition, UTF8Text.trimmed(columns[switchPosition]).elementsEqual("N".utf8) { return [] }
        let value = columns[positions.first { !columns[$0].isEmpty } ?? first]
        return turnsSign ? Self.turned(value) : value
    }

    /// A number with the other sign; anything else as it is, so that its error shows what the column has.
    static func turned(_ value: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        guard case .value = WholeNumber(written: value) else { return value }
        let number = UTF8Text.trimmed(value)
        let minus = UInt8(ascii: "-")
        let hasSign = number.first == minus || number.first == UInt8(ascii: "+")
        let digits = number.dropFirst(hasSign ? 1 : 0)
        return number.first == minus ? digits : [minus] + digits
    }
}

/// The names of a shop system's columns.
private struct PresetHeader {
    let names: [String]
    /// Which of the columns for locations is meant.
    let location: String?

    /// The text before the location in a pattern that ends with a star.
    private static func beginning(_ pattern: String) -> String? {
        pattern.hasSuffix("*") ? String(pattern.dropLast()).lowercased() : nil
    }

    /// Whether there is a column for each field of a preset.
    func fits(_ rules: PresetRules<some InputColumn>) -> Bool {
        rules.sources.allSatisfy { source in source.names.contains { !positions(of: $0).isEmpty } }
    }

    /// The columns that a pattern describes, of any location.
    private func positions(of pattern: String) -> [Int] {
        let beginning = Self.beginning(pattern)
        return names.indices.filter {
            let name = names[$0].lowercased()
            return beginning.map(name.hasPrefix) ?? (name == pattern.lowercased())
        }
    }

    private func place(_ position: Int, _ beginning: String) -> Substring { names[position].dropFirst(beginning.count) }

    /// The column of the location, if one is given.
    ///
    /// - Parameter pattern: a name in any case; with a star at its end, the beginning of one.
    /// - Throws: if several columns have the name.
    func position(of pattern: String, for field: String) throws(ValidationError) -> Int? {
        var found = positions(of: pattern)
        let beginning = Self.beginning(pattern)
        if let beginning, let location {
            found = found.filter { place($0, beginning).lowercased() == location.lowercased() }
        }
        if found.count < 2 { return found.first }
        let all = found.map { "'\(names[$0])'" }.joined(separator: " and ")
        let isPlace = beginning != nil && location == nil
        let advice =
            isPlace ? "a location with --set 'location_id=\(place(found[0], beginning ?? ""))', or " : ""
        throw ValidationError(
            "the header has \(all); choose \(advice)a column with --map '\(names[found[0]])=\(field)'",
            code: .duplicateField, field: field)
    }

    /// - Parameter patterns: of a field that no column was found for.
    /// - Throws: if there are columns of other locations.
    func requireLocation(_ patterns: [String]) throws(ValidationError) {
        guard let location else { return }
        let places = patterns.flatMap { pattern -> [String] in
            guard let beginning = Self.beginning(pattern) else { return [] }
            return positions(of: pattern).map { String(place($0, beginning)) }
        }
        if places.isEmpty { return }
        let all = Set(places).sorted().map { "'\($0)'" }.joined(separator: ", ")
        throw ValidationError(
            "--set location_id=\(location): the file has no column of this location; it has \(all)",
            code: .unknownValue, field: ItemField.locationID.rawValue)
    }
}
