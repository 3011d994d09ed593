import Foundation

/// A job to be enqueued. A property that is not set has its default, which is the table's.
public struct JobRequest: Sendable, Hashable {
    public var storeID: String
    public var itemID: String
    /// 1–200 bytes, like all identifiers.
    public var locationID = ItemKey.defaultLocation
    /// Within ± (2^53 − 1).
    public var quantity: Int64
    public var action = StockAction.adjust
    public var onInsufficient = InsufficientStockPolicy.reject
    /// The available quantity that the producer saw; a different one rejects the job as stale.
    public var expectedAvailable: Int64?
    /// Of several jobs of a store with the same key, one takes effect.
    public var idempotencyKey: String?
    /// Jobs of a store and a transaction with the same group are applied all together or not at all.
    public var groupID: String?
    /// 1 (first) to ``priorityMax`` (last).
    public var priority = 2
    /// The last priority.
    package static let priorityMax = 4
    /// False: this job's change of the alert level creates no notification.
    public var notify = true
    /// Jobs with the same key are applied in order; by default the store is the key. Not with a group.
    public var orderingKey: String?
    /// At most 2,000 bytes, kept in the result.
    public var reason: String?
    /// At most 2,000 bytes, kept in the result.
    public var reference: String?
    /// Attempts before the job ends as failed, 1–1,000.
    public var maxAttempts = 10

    /// Microseconds since 2000-01-01 00:00 UTC, as PostgreSQL counts; a `Date` does not hold each of them.
    package var runAtMicroseconds: Int64?
    package var expiresAtMicroseconds: Int64?
    package var countedAtMicroseconds: Int64?
    package var occurredAtMicroseconds: Int64?

    /// Who caused the job: a person, a till, a program; at most 200 bytes, kept in the result.
    public var actor: String?
    /// A JSON object, kept in the result; at most 10,000 bytes.
    public var metadata: String?

    public init(store: String, item: String, quantity: Int64) {
        storeID = store
        itemID = item
        self.quantity = quantity
    }

    /// The item of the job.
    public var key: ItemKey { ItemKey(storeID, itemID, location: locationID) }

    /// Not before this time.
    public var runAt: Date? {
        get { runAtMicroseconds.map { Self.date($0) } }
        set { runAtMicroseconds = newValue.map { Self.microseconds($0) } }
    }

    /// Rejected as expired after this time.
    public var expiresAt: Date? {
        get { expiresAtMicroseconds.map { Self.date($0) } }
        set { expiresAtMicroseconds = newValue.map { Self.microseconds($0) } }
    }

    /// Of a stock count (``StockAction/set``), when it was taken: it counts the jobs of an earlier moment as done, and
    /// those of a later one change what was counted.
    public var countedAt: Date? {
        get { countedAtMicroseconds.map { Self.date($0) } }
        set { countedAtMicroseconds = newValue.map { Self.microseconds($0) } }
    }

    /// When it happened, if that was before the job is enqueued; kept in the result.
    public var occurredAt: Date? {
        get { occurredAtMicroseconds.map { Self.date($0) } }
        set { occurredAtMicroseconds = newValue.map { Self.microseconds($0) } }
    }

    /// Checks the rules of the table's constraints.
    ///
    /// - Throws: the first rule that is broken.
    public func validate() throws(ValidationError) {
        for (field, limits) in JobField.limits {
            let value = value(of: field)
            if !limits.accept(value) { throw field.definition.error(for: value) }
        }
        try validateQuantity()
        if !onInsufficient.fits(action) {
            throw ValidationError(
                "on_insufficient \(onInsufficient.rawValue) does not go with action \(action.rawValue)",
                code: .conflict, field: JobField.onInsufficient.rawValue)
        }
        if groupID != nil && orderingKey != nil {
            throw ValidationError(
                "group_id and ordering_key are mutually exclusive", code: .conflict,
                field: JobField.orderingKey.rawValue)
        }
        if let run = runAtMicroseconds, let expiry = expiresAtMicroseconds, expiry <= run {
            throw Self.expiresBeforeItRuns
        }
        if countedAtMicroseconds != nil && action != .set {
            throw ValidationError(
                "counted_at is for the action set, not for \(action.rawValue)", code: .conflict,
                field: JobField.countedAt.rawValue)
        }
    }

    /// Checks the times against the queue's limit, which the table's constraints have.
    ///
    /// - Parameter latest: the latest times that a job may have, in microseconds since 2000.
    /// - Throws: the first time that is later.
    package func validateTimes(latest: LatestTimes) throws(ValidationError) {
        if let run = runAtMicroseconds, run > latest.runAt { throw Self.isTooFarAhead(.runAt) }
        if let expiry = expiresAtMicroseconds, expiry > latest.expiresAt { throw Self.isTooFarAhead(.expiresAt) }
        if let counted = countedAtMicroseconds, counted > latest.countedAt {
            throw ValidationError(
                "counted_at is in the future; check the clock and the time zone", code: .outOfRange,
                field: JobField.countedAt.rawValue)
        }
    }

    /// The latest times of a job that is enqueued now, in microseconds since 2000.
    package struct LatestTimes: Sendable {
        package var runAt: Int64
        package var expiresAt: Int64
        /// A few minutes from now, for clocks that differ.
        package var countedAt: Int64

        package init(runAt: Int64, expiresAt: Int64, countedAt: Int64) {
            self.runAt = runAt
            self.expiresAt = expiresAt
            self.countedAt = countedAt
        }
    }

    private static func isTooFarAhead(_ field: JobField) -> ValidationError {
        ValidationError(
            "\(field.rawValue) is too far ahead: \(timeLimitAdvice)", code: .outOfRange, field: field.rawValue)
    }

    package static let timeLimitAdvice =
        "400 days is the limit unless an administrator has changed it with set_time_limit"

    private func validateQuantity() throws(ValidationError) {
        if action.accepts(quantity) { return }
        let rule = action == .set ? "must not be below 0" : "must be above 0"
        throw ValidationError(
            "quantity \(rule) for \(action.rawValue), not \(quantity)", code: .outOfRange,
            field: JobField.quantity.rawValue)
    }

    /// A job that expires before it may run would be rejected for certain.
    package static let expiresBeforeItRuns = ValidationError(
        "expires_at must be after run_at", code: .conflict, field: JobField.expiresAt.rawValue)

    private static let secondsTo2000: Double = 946_684_800

    private static func date(_ microseconds: Int64) -> Date {
        Date(timeIntervalSince1970: Double(microseconds) / 1e6 + secondsTo2000)
    }

    /// A date beyond what 64 bits of microseconds hold is infinite.
    private static func microseconds(_ date: Date) -> Int64 {
        let microseconds = ((date.timeIntervalSince1970 - secondsTo2000) * 1e6).rounded()
        return Int64(exactly: microseconds) ?? (microseconds > 0 ? .max : .min)
    }
}

extension JobRequest {
    /// The value of a field.
    package func value(of field: JobField) -> FieldValue {
        switch field {
        case .storeID: .text(storeID)
        case .itemID: .text(itemID)
        case .locationID: .text(locationID)
        case .quantity: .integer(quantity)
        case .action: .text(action.rawValue)
        case .onInsufficient: .text(onInsufficient.rawValue)
        case .groupID: FieldValue(groupID)
        case .priority: .integer(Int64(priority))
        case .runAt: FieldValue(time: runAtMicroseconds)
        case .expiresAt: FieldValue(time: expiresAtMicroseconds)
        case .expectedAvailable: FieldValue(expectedAvailable)
        case .orderingKey: FieldValue(orderingKey)
        case .notify: .flag(notify)
        case .maxAttempts: .integer(Int64(maxAttempts))
        case .reason: FieldValue(reason)
        case .reference: FieldValue(reference)
        case .idempotencyKey: FieldValue(idempotencyKey)
        case .countedAt: FieldValue(time: countedAtMicroseconds)
        case .actor: FieldValue(actor)
        case .occurredAt: FieldValue(time: occurredAtMicroseconds)
        case .metadata: FieldValue(metadata)
        }
    }

    /// Sets a field to a value of its kind, as its parser makes it.
    package mutating func set(_ field: JobField, _ value: FieldValue) {
        switch (field, value) {
        case (.storeID, .text(let text)): storeID = text
        case (.itemID, .text(let text)): itemID = text
        case (.locationID, .text(let text)): locationID = text
        case (.quantity, .integer(let number)): quantity = number
        case (.action, .text(let label)): action = StockAction(rawValue: label) ?? action
        case (.onInsufficient, .text(let label)):
            onInsufficient = InsufficientStockPolicy(rawValue: label) ?? onInsufficient
        case (.groupID, .text(let text)): groupID = text
        case (.priority, .integer(let number)): priority = Int(number)
        case (.runAt, .time(let microseconds)): runAtMicroseconds = microseconds
        case (.expiresAt, .time(let microseconds)): expiresAtMicroseconds = microseconds
        case (.expectedAvailable, .integer(let number)): expectedAvailable = number
        case (.orderingKey, .text(let text)): orderingKey = text
        case (.notify, .flag(let flag)): notify = flag
        case (.maxAttempts, .integer(let number)): maxAttempts = Int(number)
        case (.reason, .text(let text)): reason = text
        case (.reference, .text(let text)): reference = text
        case (.idempotencyKey, .text(let text)): idempotencyKey = text
        case (.countedAt, .time(let microseconds)): countedAtMicroseconds = microseconds
        case (.actor, .text(let text)): actor = text
        case (.occurredAt, .time(let microseconds)): occurredAtMicroseconds = microseconds
        case (.metadata, .text(let text)): metadata = text
        default: preconditionFailure("\(field.rawValue) cannot be \(value)")
        }
    }
}
