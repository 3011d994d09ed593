import StockModel

/// What became of a `StockCall`: a result for each line, in their order, or a failure.
package typealias StockAnswer = Result<[LineResult], CallFailure>

/// The result of one job. For a repeated call it is that of the first.
package struct LineResult: Sendable, Hashable {
    package var jobID: Int64
    package var itemID: String
    package var locationID: String
    package var action: StockAction
    package var quantity: Int64
    package var appliedQuantity: Int64
    package var outcome: Outcome
    package var code: ResultCode?
    package var warning: ResultWarning?
    /// nil when there was no such item.
    package var before: Balance?
    package var after: Balance?
    /// When the job's batch began, in microseconds since 2000-01-01 00:00 UTC.
    package var finishedAt: Int64

    package init(
        jobID: Int64, itemID: String, locationID: String = ItemKey.defaultLocation, action: StockAction,
        quantity: Int64, appliedQuantity: Int64 = 0, outcome: Outcome, code: ResultCode? = nil,
        warning: ResultWarning? = nil, before: Balance? = nil, after: Balance? = nil, finishedAt: Int64
    ) {
        self.jobID = jobID
        self.itemID = itemID
        self.locationID = locationID
        self.action = action
        self.quantity = quantity
        self.appliedQuantity = appliedQuantity
        self.outcome = outcome
        self.code = code
        self.warning = warning
        self.before = before
        self.after = after
        self.finishedAt = finishedAt
    }
}

extension CallFailure {
    /// For the vendors' errors, which have no place for the scope alone.
    static let neededScopes = """
        The call needs the scope enqueue (update_catalog) to change stock, and read (read_catalog) to read it or to \
        change a variation.
        """
    /// In each style.
    static let callLimitText = """
        The call has more lines than the store may have ready jobs. Nothing was applied, and trying again does not \
        help: send fewer lines in a call.
        """
    static let storeLimitText = "The store has as many ready jobs as it may have."
    static let severalStoresText = "The token has several stores. This call needs a token of one store."
}

/// Why a call has no results. In each of these cases nothing was applied, and nothing will be.
package enum CallFailure: Error, Sendable, Hashable {
    /// The token is unknown, expired or revoked, or is not one of this store's; or there is none, and the store does
    /// not allow that.
    case invalidCredential
    /// The token lacks a scope.
    case missingScope
    /// There is no such store. Only a caller with a valid token gets this answer.
    case unknownStore
    /// The item of a line, counted from 0, is unknown, or is not what its role says. Found before anything was
    /// enqueued.
    case unknownItem(line: Int)
    /// The caller called too often.
    case overLimit(retryAfterSeconds: Int)
    /// The store has as many ready jobs as it may have. The call may be repeated later.
    case storeLimit(retryAfterSeconds: Int)
    /// The call has more lines than the store may have ready jobs.
    case callLimit
    /// The path names no store, and the token has several.
    case severalStores
    /// The gateway is full, the database is away, or the gateway is shutting down.
    case unavailable(retryAfterSeconds: Int)
    /// The jobs were not decided before the deadline and were canceled.
    case undecided
    /// The idempotency key was used for another request.
    case idempotencyMismatch
    /// A time of a line, counted from 0, is too far in the future. Only lines of the native API have times.
    case timeLimit(line: Int)
    /// The reason of a line, counted from 0, is none of those that the queue allows. Only lines of the native API have
    /// reasons.
    case unlistedReason(line: Int, allowed: String)
    /// A fault of the gateway.
    case internalError
}
