/// SHA-256 (FIPS 180-4), which Foundation does not have on Linux: of a message that comes in pieces, or at once.
package struct SHA256 {
    private var state = Self.initialState
    /// What does not fill a block yet.
    private var rest: [UInt8] = []
    private var byteCount: UInt64 = 0
    /// The message schedule, kept so that it is allocated once.
    private var schedule = [UInt32](repeating: 0, count: 64)

    package init() {}

    /// The digest in 64 hexadecimal digits, as PostgreSQL's `encode(sha256(…), 'hex')` writes it.
    package static func hexDigest(of message: [UInt8]) -> String {
        var hash = SHA256()
        hash.append(message[...])
        return hash.hexDigest()
    }

    /// The digest in 32 bytes.
    package static func digest(of message: [UInt8]) -> [UInt8] {
        var hash = SHA256()
        hash.append(message[...])
        return hash.words().flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (24 - 8 * $0)) } }
    }

    /// The digest of the bytes so far, in 64 hexadecimal digits. More bytes may follow.
    package func hexDigest() -> String {
        words().map { word in
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 8 - digits.count) + digits
        }.joined()
    }

    private static let blockBytes = 64

    package mutating func append(_ bytes: ArraySlice<UInt8>) {
        byteCount += UInt64(bytes.count)
        var bytes = bytes
        if !rest.isEmpty {
            let missing = bytes.prefix(Self.blockBytes - rest.count)
            rest += missing
            bytes = bytes.dropFirst(missing.count)
            if rest.count < Self.blockBytes { return }
            compress(blocksOf: rest[...])
            rest.removeAll(keepingCapacity: true)
        }
        let whole = bytes.count / Self.blockBytes * Self.blockBytes
        compress(blocksOf: bytes.prefix(whole))
        rest += bytes.dropFirst(whole)
    }

    /// The state after a bit 1, zeros, and the message's length in bits, which fill up the last block.
    private func words() -> [UInt32] {
        var hash = self
        var end: [UInt8] = [0x80]
        while (rest.count + end.count) % Self.blockBytes != Self.blockBytes - 8 { end.append(0) }
        let bits = byteCount * 8
        for shift in stride(from: 56, through: 0, by: -8) { end.append(UInt8(truncatingIfNeeded: bits >> shift)) }
        hash.append(end[...])
        return hash.state
    }

    private mutating func compress(blocksOf bytes: ArraySlice<UInt8>) {
        bytes.withUnsafeBytes { bytes in
            schedule.withUnsafeMutableBufferPointer { words in
                state.withUnsafeMutableBufferPointer { state in
                    Self.roundConstants.withUnsafeBufferPointer { constants in
                        for start in stride(from: 0, to: bytes.count, by: Self.blockBytes) {
                            Self.expand(bytes, start, into: words)
                            Self.compress(words, constants, into: state)
                        }
                    }
                }
            }
        }
    }

    /// The message schedule: 16 words of the block, and 48 that follow from them.
    private static func expand(
        _ bytes: UnsafeRawBufferPointer, _ start: Int, into words: UnsafeMutableBufferPointer<UInt32>
    ) {
        for index in 0..<16 {
            words[index] = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: start + index * 4, as: UInt32.self))
        }
        for index in 16..<64 {
            let (early, late) = (words[index - 15], words[index - 2])
            let first = rotate(early, 7) ^ rotate(early, 18) ^ early >> 3
            let second = rotate(late, 17) ^ rotate(late, 19) ^ late >> 10
            words[index] = words[index - 16] &+ first &+ words[index - 7] &+ second
        }
    }

    private static func compress(
        _ words: UnsafeMutableBufferPointer<UInt32>, _ constants: UnsafeBufferPointer<UInt32>,
        into state: UnsafeMutableBufferPointer<UInt32>
    ) {
        var (a, b, c, d) = (state[0], state[1], state[2], state[3])
        var (e, f, g, h) = (state[4], state[5], state[6], state[7])
        for index in 0..<64 {
            let sumE = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)
            let choice = (e & f) ^ (~e & g)
            let first = h &+ sumE &+ choice &+ constants[index] &+ words[index]
            let sumA = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)
            let majority = (a & b) ^ (a & c) ^ (b & c)
            (h, g, f, e, d, c, b, a) = (g, f, e, d &+ first, c, b, a, first &+ sumA &+ majority)
        }
        state[0] &+= a
        state[1] &+= b
        state[2] &+= c
        state[3] &+= d
        state[4] &+= e
        state[5] &+= f
        state[6] &+= g
        state[7] &+= h
    }

    @inline(__always)
    private static func rotate(_ word: UInt32, _ bits: UInt32) -> UInt32 { word >> bits | word << (32 - bits) }

    /// The first 32 bits of the fractional parts of the square roots of the first 8 primes.
    private static let initialState: [UInt32] = [
        0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
    ]

    /// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
    private static let roundConstants: [UInt32] = [
        0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
        0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
        0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
        0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
        0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
        0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
        0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
        0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
    ]
}
