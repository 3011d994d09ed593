import Foundation
import StockModel

/// How an input is written, and which of its columns are which fields.
public struct InputForm: Sendable {
    public var format: InputFormat
    /// Remove white space at both ends of each field.
    public var trims: Bool
    /// Between the fields of a CSV: nil for the one of `,` `;` tab and `|` that the header has most of.
    public var delimiter: Delimiter?
    /// Nil: what the first bytes show, UTF-8 where they show nothing. A byte order mark is believed before this.
    public var encoding: TextEncoding?
    /// The field of a column that has another name, by the column's name. Such a column goes before those of the preset.
    /// `-quantity` takes the number with the other sign: what was sold is taken away.
    public var fieldNames: [String: String] = [:]
    /// The value of a field in each record, by the field's name. A CSV must not have a column for the field, and an NDJSON
    /// object no value. With a preset, `location_id` chooses the location whose stock is read.
    public var fixedValues: [String: String] = [:]
    /// Columns that are no field are left out.
    public var ignoresUnknownColumns = false
    /// Of the times that are written without one; nil where each time has to have its zone.
    public var timeZone: TimeZone?
    /// The shop system whose export the file is.
    public var preset: InputPreset?

    /// A column with another name has the field.
    func mapsField(_ name: String) -> Bool { fieldNames.values.contains { $0 == name || $0 == "-" + name } }

    public init(_ format: InputFormat = .csv, trims: Bool = false) {
        self.format = format
        self.trims = trims
    }
}

/// The byte between the fields of a CSV.
public enum Delimiter: String, Sendable, CaseIterable {
    case comma = ","
    case semicolon = ";"
    case tab
    case bar = "|"

    package var byte: UInt8 {
        switch self {
        case .comma: UInt8(ascii: ",")
        case .semicolon: UInt8(ascii: ";")
        case .tab: UInt8(ascii: "\t")
        case .bar: UInt8(ascii: "|")
        }
    }

    /// The delimiter that a header line has most of outside of quotes; the comma where it has none.
    init(ofHeader line: ArraySlice<UInt8>) {
        var counts = [0, 0, 0, 0]
        var isQuoted = false
        for byte in line {
            if byte == UInt8(ascii: "\"") { isQuoted.toggle() }
            if isQuoted { continue }
            if let known = Self.allCases.firstIndex(where: { $0.byte == byte }) { counts[known] += 1 }
        }
        let most = counts.max() ?? 0
        self = Self.allCases[counts.firstIndex(of: most) ?? 0]
    }
}

/// The columns, or keys, that a file of rejects has before the others. An import of that file does not read them.
package enum NoteColumn {
    package static let names = ["_line", "_problem"]
}

/// The fields of an input as its columns.
package protocol InputColumn: RawRepresentable, CaseIterable, Hashable, Sendable where RawValue == String {
    var definition: FieldDefinition { get }

    /// What to do with an input that has this column, which is none of these fields; nil where it is unknown.
    static func advice(onColumn name: String) -> String?

    /// What the file of a shop system is for these fields; nil where it has none of them.
    static func rules(of preset: InputPreset) -> PresetRules<Self>?
}
