import StockQueue
import StockQueueLocking

/// The hashes of tokens that were presented lately: most requests of a client present the same one.
final class TokenHashes: Sendable {
    private static let entriesMax = 1_000

    private let hashes = Mutex<[String: String]>([:])

    func hash(of token: String) -> String {
        if let known = hashes.withLock({ $0[token] }) { return known }
        let hash = GatewaySecret(token).hash
        hashes.withLock { hashes in
            // Wrong tokens may be many.
            if hashes.count >= Self.entriesMax { hashes.removeAll() }
            hashes[token] = hash
        }
        return hash
    }
}
