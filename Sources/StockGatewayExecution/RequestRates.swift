import HTTPServer
import StockQueueLocking
import StockQueuePostgres

/// Counts the requests of each token to the native API in windows of a minute, in this process.
final class RequestRates: Sendable {
    /// What a token has left.
    struct Quota: Sendable {
        let limit: Int
        let remaining: Int
        let resetSeconds: Int
        let isExceeded: Bool

        /// Seconds until the next window; nil while the request is within the limit.
        var exceededForSeconds: Int? { isExceeded ? resetSeconds : nil }

        /// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers).
        var fields: ResponseFields {
            ResponseFields()
                .adding("RateLimit-Policy", #""requests";q=\#(limit);w=\#(RequestRates.windowSeconds)"#)
                .adding("RateLimit", #""requests";r=\#(remaining);t=\#(resetSeconds)"#)
        }
    }

    private struct State {
        var counts: [String: Int] = [:]
        var end = Deadline.after(milliseconds: windowSeconds * 1_000)
    }

    private static let windowSeconds = 60
    /// Tokens that are counted apart; a further one, which may be a wrong token, is not limited.
    private static let tokensMax = 10_000

    private let limit: Int
    private let state = Mutex(State())

    init(perMinute limit: Int) { self.limit = limit }

    /// Counts a request.
    func count(_ tokenHash: String?) -> Quota {
        state.withLock { state in
            if state.end.hasPassed { state = State() }
            let key = tokenHash ?? ""
            let count = (state.counts[key] ?? 0) + 1
            if count > 1 || state.counts.count < Self.tokensMax { state.counts[key] = count }
            return Quota(
                limit: limit, remaining: max(0, limit - count),
                resetSeconds: max(1, (state.end.remainingMs + 999) / 1_000), isExceeded: count > limit)
        }
    }
}
