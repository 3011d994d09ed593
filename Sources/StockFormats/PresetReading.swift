import StockModel

/// Applies a preset's rules to the records of a file, one after the other.
struct PresetReading<Column: InputColumn> {
    private let rules: PresetRules<Column>
    private let orderPosition: Int?
    private let cancellationPosition: Int?
    private let locationPosition: Int?
    /// The only location that is read; nil for all.
    private let location: String?
    private let leftOutField: Int?
    private let negatedField: Int?
    /// The order of the record before.
    private var order: [UInt8] = []
    private var isOrderCanceled = false

    /// - Parameters:
    ///   - names: of the header's columns.
    ///   - location: the only one that is read; nil for all.
    init(_ rules: PresetRules<Column>, _ names: [String], _ fields: [Column], location: String?) {
        self.rules = rules
        self.location = location
        func position(_ name: String?) -> Int? { names.firstIndex { $0.lowercased() == name?.lowercased() } }
        orderPosition = position(rules.cancellation?.order)
        cancellationPosition = position(rules.cancellation?.column)
        let locations = rules.sources.first { $0.field.rawValue == ItemField.locationID.rawValue }?.names
        locationPosition = location.flatMap { _ in position(locations?.first) }
        leftOutField = rules.leftOut.flatMap { fields.firstIndex(of: $0.field) }
        negatedField = rules.negated.flatMap { fields.firstIndex(of: $0) }
    }

    /// Reads a record's columns as the shop system means them.
    ///
    /// - Returns: why the record is left out.
    mutating func reasonToLeaveOut(columns: inout [ArraySlice<UInt8>]) -> String? {
        if rules.isEscaped { columns = columns.map(Self.unescaped) }
        if let locationPosition, let location, !isAt(location, columns[locationPosition]) {
            return PresetRules<Column>.otherLocation(location)
        }
        guard let orderPosition else { return nil }
        let name = columns[orderPosition]
        if name.isEmpty {
            columns[orderPosition] = order[...]
        } else if !name.elementsEqual(order) {
            order = Array(name)
            isOrderCanceled = false
        }
        if let cancellationPosition, !columns[cancellationPosition].isEmpty { isOrderCanceled = true }
        return isOrderCanceled ? PresetRules<Column>.canceled : nil
    }

    /// Makes the fields of a record what they are here.
    ///
    /// - Returns: why the record is left out.
    func reasonToLeaveOut(fields: inout [ArraySlice<UInt8>]) -> String? {
        if let leftOutField, let texts = rules.leftOut?.texts {
            let text = String(decoding: UTF8Text.trimmed(fields[leftOutField]), as: UTF8.self).lowercased()
            if texts.contains(text) { return PresetRules<Column>.untracked }
        }
        if let negatedField { fields[negatedField] = FieldSource.turned(fields[negatedField]) }
        return nil
    }

    private func isAt(_ location: String, _ name: ArraySlice<UInt8>) -> Bool {
        String(decoding: UTF8Text.trimmed(name), as: UTF8.self).lowercased() == location.lowercased()
    }

    /// Without the apostrophe that WooCommerce writes before a text that begins like a formula
    /// (`WC_CSV_Exporter::escape_data`).
    private static func unescaped(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        guard text.first == UInt8(ascii: "'"), let second = text.dropFirst().first else { return text }
        return "=+-@\t\r".utf8.contains(second) ? text.dropFirst() : text
    }
}
