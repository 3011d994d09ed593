import Foundation
import StockQueueMigrations
import TestSupport
import Testing

@Suite struct SHA256Tests {
    /// FIPS 180-2, appendix B, and the empty message.
    static let vectors = [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
        (
            "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
            "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"
        ),
    ]

    @Test("the published test vectors", arguments: vectors)
    func knownVectors(_ message: String, digest: String) {
        #expect(SHA256.hexDigest(of: Array(message.utf8)) == digest)
    }

    @Test("a message in pieces has the digest of the whole", arguments: [1, 3, 63, 64, 65, 1_000])
    func pieces(bytes: Int) {
        let message = (0..<1_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        var hash = SHA256()
        for start in stride(from: 0, to: message.count, by: bytes) {
            hash.append(message[start..<min(start + bytes, message.count)])
            _ = hash.hexDigest()
        }
        #expect(hash.hexDigest() == SHA256.hexDigest(of: message))
    }

    @Test("PostgreSQL computes the same for every length around a block's")
    func everyLengthAroundABlock() async throws {
        try await withDatabase(migrated: false) { database in
            let theirs = try database.rows(
                """
                SELECT encode(sha256(convert_to(repeat('x', length), 'UTF8')), 'hex')
                FROM generate_series(0, 200) AS length ORDER BY length
                """)
            #expect((0...200).map { SHA256.hexDigest(of: [UInt8](repeating: UInt8(ascii: "x"), count: $0)) } == theirs)
        }
    }
}
