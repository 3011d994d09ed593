import HTTPServer

/// Compares the parser of requests with the plain grammar, for input in one piece, byte by byte, and cut at places of the
/// input's choice.
enum RequestsCheck {
    private static let limits = {
        var limits = ParserLimits()
        // Small enough that the fuzzer exceeds them.
        (limits.requestLineBytesMax, limits.fieldBytesMax, limits.fieldsMax, limits.bodyBytesMax) = (200, 300, 8, 100)
        return limits
    }()

    static func problem(with bytes: [UInt8]) -> String? {
        let expected = PlainHTTP.trace(bytes, limits)
        let cuts = bytes.prefix(16).map { Int($0 % 32) } + [7]
        for pieces in [[bytes.count], [1], cuts] {
            let trace = RequestTrace(parsing: bytes, limits: limits, pieces: pieces)
            if trace != expected { return "\(trace) in pieces of \(pieces), not \(expected)" }
        }
        return nil
    }
}
