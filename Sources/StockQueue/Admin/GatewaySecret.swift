import StockQueueMigrations

/// A secret that a caller of the gateway presents: a token, or a client's secret. It is never in a description, and so
/// in no log.
package struct GatewaySecret: Sendable, CustomStringConvertible, CustomReflectable {
    package let text: String

    private static let bytes = 32

    package init(_ text: String) { self.text = text }

    /// A new secret: a prefix and 256 random bits, in letters and digits that every client accepts.
    package static func random(prefix: String) -> GatewaySecret { GatewaySecret(prefix + randomHex(bytes: bytes)) }

    /// Two clients of the vendors' APIs insist on this prefix.
    package static let tokenPrefix = "secret_"

    /// What the database keeps and compares: SHA-256 in hexadecimal digits. 256 random bits need no salt.
    package var hash: String { SHA256.hexDigest(of: Array(text.utf8)) }

    /// SHA-256 of several parts, in hexadecimal digits; where one part ends and the next begins counts.
    package static func digest(of parts: [[UInt8]]) -> String {
        SHA256.hexDigest(of: parts.flatMap { Array("\($0.count):".utf8) + $0 })
    }

    /// Random bytes of the operating system, in hexadecimal digits.
    package static func randomHex(bytes: Int) -> String {
        var generator = SystemRandomNumberGenerator()
        var text: [UInt8] = []
        for _ in 0..<bytes {
            let byte = UInt8.random(in: .min ... .max, using: &generator)
            text += [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
        return String(decoding: text, as: UTF8.self)
    }

    private static let digits = Array("0123456789abcdef".utf8)

    package var description: String { "a secret" }
    package var customMirror: Mirror { Mirror(self, children: [:]) }
}
