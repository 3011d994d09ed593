import StockFormats

/// The forms in which the vendors' answers have times.
enum Timestamp {
    /// `2018-05-01 10:10:57 +0000 UTC`
    static func go(_ microsecondsSince2000: Int64) -> String { "\(text(microsecondsSince2000).prefix(19)) +0000 UTC" }

    /// `2017-01-10T11:41:19.244842Z`, always with six digits behind the point.
    static func rfc3339(_ microsecondsSince2000: Int64) -> String {
        let text = text(microsecondsSince2000)
        let fraction = ((microsecondsSince2000 % 1_000_000) + 1_000_000) % 1_000_000
        let digits = String(fraction)
        let zeros = String(repeating: "0", count: 6 - digits.count)
        return "\(text.prefix(10))T\(text.dropFirst(11).prefix(8)).\(zeros)\(digits)Z"
    }

    private static func text(_ microsecondsSince2000: Int64) -> String {
        var bytes: [UInt8] = []
        RFC3339.append(microsecondsSince2000, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }
}
