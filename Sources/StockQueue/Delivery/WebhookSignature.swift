import Foundation
import StockQueueMigrations

/// The signature of a webhook's message: HMAC-SHA256 over id, timestamp and body, with each of the secrets
/// (https://github.com/standard-webhooks/standard-webhooks, "Signature scheme").
package enum WebhookSignature {
    private static let prefix = "whsec_"
    private static let blockBytes = 64

    /// A new secret: 256 random bits in base64 behind `whsec_`.
    package static func randomSecret() -> String {
        var generator = SystemRandomNumberGenerator()
        let bytes = (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        return prefix + Data(bytes).base64EncodedString()
    }

    /// Whether a secret has the form that the specification asks for: 24 to 64 bytes in base64 behind `whsec_`.
    package static func isSecret(_ text: String) -> Bool { key(text).map { (24...64).contains($0.count) } ?? false }

    /// The value of the header `webhook-signature`: one signature for each secret, separated by spaces.
    package static func header(messageID: String, timestamp: Int64, body: String, secrets: [String]) -> String {
        let content = Array("\(messageID).\(timestamp).\(body)".utf8)
        return secrets.compactMap(key).map { "v1," + Data(code(content, key: $0)).base64EncodedString() }
            .joined(separator: " ")
    }

    private static func key(_ secret: String) -> [UInt8]? {
        guard secret.hasPrefix(prefix) else { return nil }
        return Data(base64Encoded: String(secret.dropFirst(prefix.count))).map(Array.init)
    }

    /// HMAC (RFC 2104) with SHA-256.
    static func code(_ message: [UInt8], key: [UInt8]) -> [UInt8] {
        var block = key.count > blockBytes ? SHA256.digest(of: key) : key
        block += [UInt8](repeating: 0, count: blockBytes - block.count)
        let inner = SHA256.digest(of: block.map { $0 ^ 0x36 } + message)
        return SHA256.digest(of: block.map { $0 ^ 0x5c } + inner)
    }
}
