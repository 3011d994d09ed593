/// How the letters of an input are written as bytes.
public enum TextEncoding: String, Sendable, CaseIterable {
    case utf8 = "utf-8"
    /// The byte order mark says which byte of a unit comes first; without one a zero first byte does.
    case utf16 = "utf-16"
    /// What spreadsheets in western Europe and America write as "CSV" without further words.
    case windows1252 = "windows-1252"

    /// The encoding of a byte order mark; nil for an input without one.
    init?(markIn first: ArraySlice<UInt8>) {
        if first.starts(with: RecordReader.byteOrderMark) {
            self = .utf8
        } else if first.starts(with: [0xFF, 0xFE]) || first.starts(with: [0xFE, 0xFF]) {
            self = .utf16
        } else {
            return nil
        }
    }

    /// UTF-16, if one of the first two bytes is zero: ASCII in UTF-16 has a zero byte beside each letter.
    init?(zerosIn first: ArraySlice<UInt8>) {
        guard first.prefix(2).contains(0) else { return nil }
        self = .utf16
    }
}

/// Makes UTF-8 of an input in another encoding, piece by piece. A piece may end within a letter.
struct Transcoder {
    private enum Units {
        case utf16(isBigEndian: Bool)
        case windows1252
    }

    private let units: Units
    /// A byte without its second one.
    private var half: UInt8?
    /// The first half of a surrogate pair.
    private var high: UInt16?

    /// Not valid in UTF-8: what is no letter in the input is none afterwards, and is reported as such.
    private static let invalid: UInt8 = 0xFF

    /// - Parameter first: the first bytes of the input.
    /// - Returns: nil for UTF-8, which needs none.
    init?(_ encoding: TextEncoding, first: ArraySlice<UInt8>) {
        switch encoding {
        case .utf8: return nil
        case .utf16: units = .utf16(isBigEndian: first.starts(with: [0xFE, 0xFF]) || first.first == 0)
        case .windows1252: units = .windows1252
        }
    }

    mutating func append(_ bytes: some Sequence<UInt8>, to text: inout [UInt8]) {
        switch units {
        case .utf16(let isBigEndian):
            for byte in bytes {
                guard let first = half else {
                    half = byte
                    continue
                }
                half = nil
                let unit =
                    isBigEndian ? UInt16(first) << 8 | UInt16(byte) : UInt16(byte) << 8 | UInt16(first)
                append(unit: unit, to: &text)
            }
        case .windows1252:
            for byte in bytes {
                if byte < 0x80 {
                    text.append(byte)
                } else {
                    let code = byte < 0xA0 ? Self.windows1252[Int(byte) - 0x80] : UInt16(byte)
                    append(unit: code, to: &text)
                }
            }
        }
    }

    /// Ends the input.
    mutating func finish(to text: inout [UInt8]) {
        if half != nil || high != nil { text.append(Self.invalid) }
        (half, high) = (nil, nil)
    }

    private mutating func append(unit: UInt16, to text: inout [UInt8]) {
        if let first = high {
            high = nil
            if UTF16.isTrailSurrogate(unit) {
                let code = 0x10000 + UInt32(first & 0x3FF) << 10 + UInt32(unit & 0x3FF)
                if let scalar = Unicode.Scalar(code).flatMap(UTF8.encode) { text.append(contentsOf: scalar) }
                return
            }
            text.append(Self.invalid)
        }
        if UTF16.isLeadSurrogate(unit) {
            high = unit
        } else if unit < 0x80 {
            text.append(UInt8(unit))
        } else if let scalar = Unicode.Scalar(unit).flatMap(UTF8.encode) {
            text.append(contentsOf: scalar)
        } else {
            text.append(Self.invalid)
        }
    }

    /// The letters of the bytes 80 to 9F (WHATWG, "Encoding", index windows-1252). Five of the bytes have none and are
    /// control characters.
    private static let windows1252: [UInt16] = [
        0x20AC, 0x0081, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0x008D,
        0x017D, 0x008F, 0x0090, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A,
        0x0153, 0x009D, 0x017E, 0x0178,
    ]
}
