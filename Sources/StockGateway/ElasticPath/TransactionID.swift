/// The UUID of a stock transaction, from which its job id can be found again.
///
/// 64 bits are the job id, shuffled; 58 are a checksum, so that other UUIDs are recognized as unknown. Shuffling only
/// makes the ids look like the vendor's and keeps them from counting a store's jobs at a glance; it hides nothing. The
/// version is 4, the vendor's, because validators of clients know the versions 1 to 5.
package enum TransactionID {
    package static func text(_ id: HistoryEntry.ID) -> String {
        switch id {
        case .opening: text(jobID: 0)
        case .job(let jobID): text(jobID: UInt64(bitPattern: jobID))
        }
    }

    /// - Returns: nil for a text that is no UUID of a transaction.
    package static func entry(_ text: String) -> HistoryEntry.ID? {
        guard let (high, low) = words(text) else { return nil }
        let shuffled = high & 0xFFFF_FFFF_FFFF_0000 | (high & 0xFFF) << 4 | (low >> 58) & 0xF
        let jobID = unshuffle(shuffled)
        guard (high, low) == words(jobID: jobID) else { return nil }
        return jobID == 0 ? .opening : .job(Int64(bitPattern: jobID))
    }

    private static func words(jobID: UInt64) -> (UInt64, UInt64) {
        let shuffled = shuffle(jobID)
        let high = shuffled & 0xFFFF_FFFF_FFFF_0000 | 0x4000 | (shuffled >> 4) & 0xFFF
        let low = 0x8000_0000_0000_0000 | (shuffled & 0xF) << 58 | shuffle(~jobID) >> 6
        return (high, low)
    }

    // MARK: shuffling

    // The finalizer of SplitMix64: each step can be undone.

    private static func shuffle(_ value: UInt64) -> UInt64 {
        var bits = value &+ 0x9E37_79B9_7F4A_7C15
        bits = (bits ^ bits >> 30) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ bits >> 27) &* 0x94D0_49BB_1331_11EB
        return bits ^ bits >> 31
    }

    private static func unshuffle(_ value: UInt64) -> UInt64 {
        var bits = value ^ value >> 31 ^ value >> 62
        bits = bits &* 0x3196_42B2_D24D_8EC3
        bits = (bits ^ bits >> 27 ^ bits >> 54) &* 0x96DE_1B17_3F11_9089
        return (bits ^ bits >> 30 ^ bits >> 60) &- 0x9E37_79B9_7F4A_7C15
    }

    // MARK: text

    private static let dashes: Set = [8, 13, 18, 23]

    private static func text(jobID: UInt64) -> String {
        let (high, low) = words(jobID: jobID)
        let digits = hex(high) + hex(low)
        var text: [UInt8] = []
        for digit in digits {
            if dashes.contains(text.count) { text.append(UInt8(ascii: "-")) }
            text.append(digit)
        }
        return String(decoding: text, as: UTF8.self)
    }

    private static func hex(_ word: UInt64) -> [UInt8] {
        let digits = Array(String(word, radix: 16).utf8)
        return [UInt8](repeating: UInt8(ascii: "0"), count: 16 - digits.count) + digits
    }

    private static func words(_ text: String) -> (UInt64, UInt64)? {
        let bytes = Array(text.utf8)
        guard bytes.count == 36, dashes.allSatisfy({ bytes[$0] == UInt8(ascii: "-") }) else { return nil }
        let digits = bytes.filter { $0 != UInt8(ascii: "-") }
        guard digits.count == 32, digits.allSatisfy({ Unicode.Scalar($0).properties.isASCIIHexDigit }) else {
            return nil
        }
        guard let high = UInt64(String(decoding: digits[..<16], as: UTF8.self), radix: 16),
            let low = UInt64(String(decoding: digits[16...], as: UTF8.self), radix: 16)
        else { return nil }
        return (high, low)
    }
}
