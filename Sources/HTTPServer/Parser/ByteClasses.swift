import Glibc

/// Which bytes may appear where, by the grammars of RFC 9110 and RFC 3986. Two 64-bit masks a class instead of a table:
/// nothing is loaded from memory, and a byte above 127 belongs to none of them.
struct ByteClass {
    private let low: UInt64
    private let high: UInt64

    init(low: UInt64, high: UInt64) { (self.low, self.high) = (low, high) }

    @inline(__always)
    func contains(_ byte: UInt8) -> Bool {
        let mask = byte < 64 ? low : high
        return byte < 128 && (mask >> UInt64(byte & 63)) & 1 != 0
    }
}

extension ByteClass {
    /// `tchar` of RFC 9110: letters, digits and ``!#$%&'*+-.^_`|~``.
    @inline(__always)
    static var token: ByteClass { ByteClass(low: 0x03FF_6CFA_0000_0000, high: 0x57FF_FFFF_C7FF_FFFE) }
    /// What a `Host` may contain: a registered name, an address in brackets, and a port.
    /// Letters, digits and ``-._~!$&'()*+,;=:[]%``.
    @inline(__always)
    static var host: ByteClass { ByteClass(low: 0x2FFF_7FF2_0000_0000, high: 0x47FF_FFFE_AFFF_FFFE) }
    @inline(__always)
    static var digit: ByteClass { ByteClass(low: 0x03FF_0000_0000_0000, high: 0x0000_0000_0000_0000) }
}

extension UInt8 {
    static let tab = UInt8(ascii: "\t")
    static let lineFeed = UInt8(ascii: "\n")
    static let carriageReturn = UInt8(ascii: "\r")
    static let space = UInt8(ascii: " ")

    /// An optional blank of a field: SP or HTAB.
    @inline(__always)
    var isBlank: Bool { self == .space || self == .tab }

    /// Upper-case ASCII letters become lower case; other bytes stay.
    @inline(__always)
    var lowercased: UInt8 { self &- 0x41 < 26 ? self | 0x20 : self }

    /// The value of a hexadecimal digit; nil for another byte.
    @inline(__always)
    var hexValue: UInt8? {
        switch self {
        case 0x30...0x39: self - 0x30
        case 0x41...0x46: self - 0x41 + 10
        case 0x61...0x66: self - 0x61 + 10
        default: nil
        }
    }
}

extension RawSpan {
    /// Every index comes from a range that was found within the bytes; debug builds and the fuzzer check it.
    @inline(__always)
    subscript(index: Int) -> UInt8 {
        assert(index >= 0 && index < byteCount)
        return unsafeLoad(fromUncheckedByteOffset: index, as: UInt8.self)
    }

    /// Eight bytes as one number.
    @inline(__always)
    func block(at index: Int) -> UInt64 {
        assert(index >= 0 && index + 8 <= byteCount)
        return unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: UInt64.self)
    }

    /// The first index of a byte at or after `start`, found by the C library, which compares 32 bytes at a time.
    @inline(__always)
    func firstIndex(of byte: UInt8, from start: Int) -> Int? {
        guard start < byteCount else { return nil }
        return withUnsafeBytes { buffer in
            guard let found = memchr(buffer.baseAddress! + start, Int32(byte), buffer.count - start) else { return nil }
            return UnsafeRawPointer(found) - buffer.baseAddress!
        }
    }

    /// The first index in a range of a byte that is not part of a token. Letters and hyphens, of which nearly all names
    /// consist, are tested eight at a time.
    @inline(__always)
    func tokenEnd(_ range: Range<Int>) -> Int {
        let token = ByteClass.token
        var index = range.lowerBound
        while index + 8 <= range.upperBound {
            let others = block(at: index).othersThanLettersAndHyphens
            if others == 0 {
                index += 8
                continue
            }
            index += others.trailingZeroBitCount / 8
            guard token.contains(self[index]) else { return index }
            index += 1
        }
        while index < range.upperBound, token.contains(self[index]) { index += 1 }
        return index
    }

    /// The index of the first control character other than HTAB at or after `start`, or the end of the bytes.
    @inline(__always)
    func firstControl(from start: Int) -> Int {
        var index = start
        while index + 8 <= byteCount {
            let controls = block(at: index).controls
            if controls == 0 {
                index += 8
                continue
            }
            index += controls.trailingZeroBitCount / 8
            guard self[index] == .tab else { return index }
            index += 1
        }
        while index < byteCount, !Self.isControl(self[index]) { index += 1 }
        return index
    }

    /// Whether a field value may contain these bytes: everything but control characters other than HTAB. Eight bytes at a
    /// time are tested for candidates; a block with one is tested byte by byte.
    @inline(__always)
    func isFieldText(_ range: Range<Int>) -> Bool {
        var index = range.lowerBound
        while index + 8 <= range.upperBound {
            let block = block(at: index)
            if block.mayHaveByte(below: 0x20) || block.mayHaveByte(0x7F) {
                for position in index..<index + 8 where Self.isControl(self[position]) { return false }
            }
            index += 8
        }
        while index < range.upperBound {
            if Self.isControl(self[index]) { return false }
            index += 1
        }
        return true
    }

    /// The first question mark of a request target; `isValid` is false where a byte is none that a target can have.
    @inline(__always)
    func scanTarget(_ range: Range<Int>) -> (isValid: Bool, question: Int?) {
        var (index, question): (Int, Int?) = (range.lowerBound, nil)
        while index < range.upperBound {
            if index + 8 <= range.upperBound {
                let block = block(at: index)
                let isPlain =
                    !block.mayHaveByte(below: 0x21) && !block.mayHaveByte(0x7F) && !block.mayHaveByte(UInt8(ascii: "#"))
                if isPlain, question != nil || !block.mayHaveByte(UInt8(ascii: "?")) {
                    index += 8
                    continue
                }
            }
            let byte = self[index]
            if byte <= .space || byte == 0x7F || byte == UInt8(ascii: "#") { return (false, nil) }
            if byte == UInt8(ascii: "?"), question == nil { question = index }
            index += 1
        }
        return (true, question)
    }

    @inline(__always)
    private static func isControl(_ byte: UInt8) -> Bool { (byte < 0x20 && byte != .tab) || byte == 0x7F }

    /// - Parameter text: in lower case.
    @inline(__always)
    func matches(_ text: StaticString, in range: Range<Int>) -> Bool {
        guard range.count == text.utf8CodeUnitCount else { return false }
        let expected = text.utf8Start
        for index in 0..<range.count where self[range.lowerBound + index].lowercased != expected[index] { return false }
        return true
    }

    /// The range without blanks at its ends.
    @inline(__always)
    func trimmed(_ range: Range<Int>) -> Range<Int> {
        var (start, end) = (range.lowerBound, range.upperBound)
        while start < end, self[start].isBlank { start += 1 }
        while end > start, self[end - 1].isBlank { end -= 1 }
        return start..<end
    }
}

extension UInt64 {
    /// The highest bit of each of the eight bytes, in the order of memory, that is below 0x20 or 0x7F.
    @inline(__always)
    var controls: UInt64 {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let low = littleEndian & (ones &* 0x7F)
        // No sum carries into the next byte.
        return (~(low &+ ones &* (0x80 - 0x20)) | (low &+ ones)) & ~littleEndian & (ones &* 0x80)
    }

    /// The highest bit of each of the eight bytes, in the order of memory, that is neither an ASCII letter nor a hyphen.
    @inline(__always)
    var othersThanLettersAndHyphens: UInt64 {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let sevenBits = ones &* 0x7F
        let lower = littleEndian | ones &* 0x20
        // No sum carries into the next byte.
        let isFromA = (lower & sevenBits) &+ ones &* (0x80 - 0x61)
        let isBeyondZ = (lower & sevenBits) &+ ones &* (0x80 - 0x7B)
        let difference = littleEndian ^ ones &* UInt64(UInt8(ascii: "-"))
        let isNoHyphen = ((difference & sevenBits) &+ sevenBits) | difference
        return (lower | isBeyondZ | ~isFromA) & isNoHyphen & (ones &* 0x80)
    }

    /// Whether one of the eight bytes can be below a limit of at most 128. True for some others too.
    @inline(__always)
    func mayHaveByte(below limit: UInt8) -> Bool {
        let limits = UInt64(limit) &* 0x0101_0101_0101_0101
        return (self &- limits) & ~self & 0x8080_8080_8080_8080 != 0
    }

    /// Whether one of the eight bytes can be this one. True for some others too.
    @inline(__always)
    func mayHaveByte(_ byte: UInt8) -> Bool {
        let difference = self ^ (UInt64(byte) &* 0x0101_0101_0101_0101)
        return (difference &- 0x0101_0101_0101_0101) & ~difference & 0x8080_8080_8080_8080 != 0
    }
}
