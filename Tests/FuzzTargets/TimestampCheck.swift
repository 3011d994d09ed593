import StockFormats

/// Compares the reader of timestamps with a plain one, and the writer with the reader.
enum TimestampCheck {
    static func problem(with bytes: [UInt8]) -> String? {
        let mine = RFC3339.microsecondsSince2000(bytes[...])
        let expected = PlainRules.timestamp(bytes)
        if mine != expected { return "\(bytes) is \(String(describing: mine)), not \(String(describing: expected))" }
        guard let mine else { return nil }
        return writingProblem(mine)
    }

    private static func writingProblem(_ microseconds: Int64) -> String? {
        var text: [UInt8] = []
        RFC3339.append(microseconds, to: &text)
        let again = PlainRules.timestamp(text)
        // A zone can move a moment out of the years from 1 to 9999.
        if again == nil && !PlainRules.years.contains(microseconds) { return nil }
        return again == microseconds
            ? nil
            : "\(microseconds) is written as \(String(decoding: text, as: UTF8.self)), which is \(String(describing: again))"
    }
}
