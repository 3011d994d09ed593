/// Inputs that are no CSV and no NDJSON at all, known by their first bytes: named for what they are, with what to do.
enum ForeignInput {
    /// The bytes that `problem` needs.
    static let bytesNeeded = 4
    /// The bytes that `isUTF8` looks at, of a longer input.
    static let lettersExamined = 1 << 16

    private static let signatures: [(bytes: [UInt8], problem: String)] = [
        ([0x1F, 0x8B], "the input is compressed with gzip; decompress it first (zcat)"),
        ([0x28, 0xB5, 0x2F, 0xFD], "the input is compressed with zstd; decompress it first (zstdcat)"),
        ([0xFD, 0x37, 0x7A, 0x58], "the input is compressed with xz; decompress it first (xzcat)"),
        (Array("BZh".utf8), "the input is compressed with bzip2; decompress it first (bzcat)"),
        (
            Array("PK".utf8) + [0x03, 0x04],
            "the input is a ZIP archive or an Excel workbook (.xlsx); unpack it, or save the sheet as CSV in UTF-8"
        ),
        ([0xD0, 0xCF, 0x11, 0xE0], "the input is an Excel workbook (.xls); save the sheet as CSV in UTF-8"),
    ]

    private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

    /// What is wrong with an input that begins with these bytes; nil where they can be those of the format.
    static func problem(with bytes: ArraySlice<UInt8>, _ format: InputFormat) -> String? {
        if let known = signatures.first(where: { bytes.starts(with: $0.bytes) }) { return known.problem }
        let first = (bytes.starts(with: byteOrderMark) ? bytes.dropFirst(byteOrderMark.count) : bytes).first
        switch (first, format) {
        case (UInt8(ascii: "["), _):
            return "the input is a JSON array; write one object a line (jq -c '.[]'), and give the format ndjson"
        case (UInt8(ascii: "{"), .csv):
            return "the input is JSON and is read as CSV; give the format ndjson"
        default: return nil
        }
    }

    /// Whether the beginning of an input has letters beyond ASCII, and all of them are written as in UTF-8. Letters of
    /// another encoding hardly ever are.
    static func isUTF8(_ beginning: ArraySlice<UInt8>) -> Bool {
        // The last letter may be cut.
        (0..<4).contains {
            let letters = beginning.dropLast($0)
            return letters.contains { $0 >= 0x80 } && UTF8Text.string(letters) != nil
        }
    }
}
