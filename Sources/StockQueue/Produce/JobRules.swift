import StockModel
import StockQueuePostgres

/// The rules that one job must keep before it may enter the queue: those of the table's constraints, checked here so
/// that a producer learns the line and the reason, and one bad line does not stop the good ones.
package struct JobRules {
    /// The columns that are given, in their order.
    package let columns: [JobField]

    let storeColumn: Int?
    let groupColumn: Int?
    private let orderingColumn: Int?
    /// The priority of a job for which nothing is said, as it stands in a line.
    private let defaultPriority: String

    package init(columns: [JobField], defaultPriority: Int = 2) {
        self.columns = columns
        self.defaultPriority = String(defaultPriority)
        storeColumn = columns.firstIndex(of: .storeID)
        groupColumn = columns.firstIndex(of: .groupID)
        orderingColumn = columns.firstIndex(of: .orderingKey)
        appendsPriority = !columns.contains(.priority)
    }

    private let appendsPriority: Bool

    /// The table's columns in the order in which `encode` writes them.
    package var copyColumns: [String] {
        columns.map(\.rawValue) + (appendsPriority ? [JobField.priority.rawValue] : [])
    }

    /// Checks a job and writes it as a line of COPY's text format (PostgreSQL manual, COPY, "Text Format").
    ///
    /// - Parameter field: the bytes of a column by its position; nil or empty for one that is not given.
    package func encode(_ field: (Int) -> ArraySlice<UInt8>?, into line: inout [UInt8]) throws(ValidationError) {
        var action = StockAction.adjust
        var policy = InsufficientStockPolicy.reject
        var quantity: Int64 = 0
        for (position, column) in columns.enumerated() {
            if position > 0 { line.append(UInt8(ascii: "\t")) }
            guard let bytes = field(position), !bytes.isEmpty else {
                if column.isRequired { throw ValidationError("\(column.rawValue) is empty") }
                if column == .priority {
                    line.append(contentsOf: defaultPriority.utf8)
                } else if let standard = column.defaultValue {
                    line.append(contentsOf: standard.utf8)
                } else {
                    line.append(contentsOf: Self.null)
                }
                continue
            }
            switch column.kind {
            case .identifier:
                try Self.checkText(bytes, column, longest: 200)
                Self.appendEscaped(bytes, to: &line)
            case .note:
                try Self.checkText(bytes, column, longest: 2_000)
                Self.appendEscaped(bytes, to: &line)
            case .quantity:
                quantity = try Self.wholeNumber(bytes, column, -Quantity.max...Quantity.max)
                line.append(contentsOf: bytes)
            case .wholeNumber(let range):
                _ = try Self.wholeNumber(bytes, column, range)
                line.append(contentsOf: bytes)
            case .action:
                action = try Self.label(bytes, column)
                line.append(contentsOf: bytes)
            case .policy:
                policy = try Self.label(bytes, column)
                line.append(contentsOf: bytes)
            case .flag:
                line.append(try Self.flag(bytes, column) ? UInt8(ascii: "t") : UInt8(ascii: "f"))
            case .timestamp:
                try Self.checkTimestamp(bytes, column)
                line.append(contentsOf: bytes)
            }
        }
        if appendsPriority {
            line.append(UInt8(ascii: "\t"))
            line.append(contentsOf: defaultPriority.utf8)
        }
        line.append(UInt8(ascii: "\n"))
        try checkTogether(action, policy, quantity, field)
    }

    private func checkTogether(
        _ action: StockAction, _ policy: InsufficientStockPolicy, _ quantity: Int64,
        _ field: (Int) -> ArraySlice<UInt8>?
    ) throws(ValidationError) {
        switch action {
        case .adjust: break
        case .allocate, .deallocate, .ship:
            if quantity <= 0 {
                throw ValidationError("quantity must be above 0 for \(action.rawValue), not \(quantity)")
            }
        case .set:
            if quantity < 0 { throw ValidationError("quantity must not be below 0 for set, not \(quantity)") }
        }
        if !policy.fits(action) {
            throw ValidationError("on_insufficient \(policy.rawValue) does not go with action \(action.rawValue)")
        }
        if let groupColumn, let orderingColumn, field(groupColumn)?.isEmpty == false,
            field(orderingColumn)?.isEmpty == false
        {
            throw ValidationError("a group lives in its store's lane: give group_id or ordering_key, not both")
        }
    }

    // MARK: kinds of values

    private static let null = Array("\\N".utf8)

    static func checkText(_ bytes: ArraySlice<UInt8>, _ column: JobField, longest: Int) throws(ValidationError) {
        try checkText(bytes, named: column.rawValue, longest: longest)
    }

    static func checkText(_ bytes: ArraySlice<UInt8>, named name: String, longest: Int) throws(ValidationError) {
        if bytes.count > longest {
            throw ValidationError("\(name) has \(bytes.count) bytes, at most \(longest) are allowed")
        }
        var isASCII = true
        for byte in bytes {
            if byte == 0 { throw ValidationError("\(name) holds a NUL byte") }
            if byte >= 0x80 { isASCII = false }
        }
        if !isASCII && String(validating: bytes, as: UTF8.self) == nil {
            throw ValidationError("\(name) is not valid UTF-8")
        }
    }

    static func wholeNumber(_ bytes: ArraySlice<UInt8>, _ column: JobField, _ range: ClosedRange<Int64>)
        throws(ValidationError) -> Int64
    {
        try wholeNumber(bytes, named: column.rawValue, range)
    }

    /// A sign and digits, nothing else: `5.0` and `1e3` are not whole numbers here.
    static func wholeNumber(_ bytes: ArraySlice<UInt8>, named name: String, _ range: ClosedRange<Int64>)
        throws(ValidationError)
        -> Int64
    {
        var digits = bytes
        let isNegative = digits.first == UInt8(ascii: "-")
        if isNegative || digits.first == UInt8(ascii: "+") { digits = digits.dropFirst() }
        let areDigits = !digits.isEmpty && digits.allSatisfy { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
        guard areDigits else { throw ValidationError("\(name) must be a whole number, not '\(shown(bytes))'") }
        var value: Int64 = 0
        for digit in digits {
            let (product, overflowed) = value.multipliedReportingOverflow(by: 10)
            let (sum, carried) = product.subtractingReportingOverflow(Int64(digit - UInt8(ascii: "0")))
            if overflowed || carried { throw outOfRange(bytes, name, range) }
            value = sum  // counted downwards, because Int64.min has no positive twin
        }
        if !isNegative {
            if value == .min { throw outOfRange(bytes, name, range) }
            value = -value
        }
        if !range.contains(value) { throw outOfRange(bytes, name, range) }
        return value
    }

    private static func outOfRange(_ bytes: ArraySlice<UInt8>, _ name: String, _ range: ClosedRange<Int64>)
        -> ValidationError
    {
        ValidationError("\(name) must be from \(range.lowerBound) to \(range.upperBound), not \(shown(bytes))")
    }

    private static func label<Label: DatabaseLabel>(_ bytes: ArraySlice<UInt8>, _ column: JobField)
        throws(ValidationError)
        -> Label
    {
        for label in Label.allCases where label.rawValue.utf8.elementsEqual(bytes) { return label }
        throw ValidationError("\(column.rawValue) must be one of \(Label.list), not '\(shown(bytes))'")
    }

    private static let yes: Set<String> = ["true", "t", "yes", "y", "on", "1"]
    private static let no: Set<String> = ["false", "f", "no", "n", "off", "0"]

    static func flag(_ bytes: ArraySlice<UInt8>, _ column: JobField) throws(ValidationError) -> Bool {
        try flag(bytes, named: column.rawValue)
    }

    static func flag(_ bytes: ArraySlice<UInt8>, named name: String) throws(ValidationError) -> Bool {
        let text = String(decoding: bytes, as: UTF8.self).lowercased()
        if yes.contains(text) { return true }
        if no.contains(text) { return false }
        throw ValidationError("\(name) must be true or false, not '\(shown(bytes))'")
    }

    private static func checkTimestamp(_ bytes: ArraySlice<UInt8>, _ column: JobField) throws(ValidationError) {
        if !isTimestamp(bytes) {
            throw ValidationError(
                "\(column.rawValue) must be a time with its zone like 2026-03-01T12:00:00Z, not '\(shown(bytes))'")
        }
    }

    /// A value as it may stand in a message: short, printable.
    static func shown(_ bytes: ArraySlice<UInt8>) -> String {
        let text = String(decoding: bytes.prefix(60), as: UTF8.self)
        let printable = text.unicodeScalars.map { $0.properties.generalCategory == .control ? "\u{FFFD}" : String($0) }
            .joined()
        return bytes.count > 60 ? printable + "…" : printable
    }

    // MARK: COPY's escapes

    static func appendEscaped(_ bytes: ArraySlice<UInt8>, to line: inout [UInt8]) {
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "\\"), UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: "\r"):
                line.append(UInt8(ascii: "\\"))
                line.append(escapeLetter(byte))
            default: line.append(byte)
            }
        }
    }

    private static func escapeLetter(_ byte: UInt8) -> UInt8 {
        switch byte {
        case UInt8(ascii: "\t"): UInt8(ascii: "t")
        case UInt8(ascii: "\n"): UInt8(ascii: "n")
        case UInt8(ascii: "\r"): UInt8(ascii: "r")
        default: byte
        }
    }
}

/// Whether a text is a date and time with a zone (RFC 3339, a blank instead of `T` allowed), so that the server reads it
/// the same way whatever its settings are.
func isTimestamp(_ bytes: ArraySlice<UInt8>) -> Bool {
    guard let text = String(validating: bytes, as: UTF8.self),
        let match = text.wholeMatch(
            of: /(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.\d{1,6})?)?(?:[Zz]|[+-](\d\d)(?::?(\d\d))?)/
                .asciiOnlyDigits())
    else { return false }
    func number(_ part: Substring?) -> Int { part.flatMap { Int($0) } ?? 0 }
    let (year, month, day) = (number(match.1), number(match.2), number(match.3))
    guard year >= 1, (1...12).contains(month), (1...daysIn(month, year)).contains(day) else { return false }
    return number(match.4) < 24 && number(match.5) < 60 && number(match.6) < 60 && number(match.7) < 16
        && number(match.8) < 60
}

private func daysIn(_ month: Int, _ year: Int) -> Int {
    switch month {
    case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
}
