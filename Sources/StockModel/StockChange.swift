import Foundation

/// One change of an item's stock: an applied job.
public struct StockChange: Sendable, Hashable, Identifiable {
    /// The job that changed the stock.
    public let jobID: Int64
    /// The item.
    public let key: ItemKey
    /// The item's version after the change. Each change raises it by exactly 1.
    public let version: Int64
    /// What the job did.
    public let action: StockAction
    /// The quantity that the producer asked for.
    public let quantity: Int64
    /// How much was applied; with the policy `partial` it may be less than the quantity.
    public let appliedQuantity: Int64
    /// The balance before the change.
    public let before: Balance
    /// The balance after the change.
    public let after: Balance
    /// The group of the job; nil for a job without one.
    public let groupID: String?
    /// What the producer gave as the reason.
    public let reason: String?
    /// What the producer gave as the reference.
    public let reference: String?
    /// Who caused the job.
    public let actor: String?
    /// When it happened, if the producer said so.
    public let occurredAt: Date?
    /// The JSON object that the producer kept with the job.
    public let metadata: String?
    /// Of a stock count, when it was taken.
    public let countedAt: Date?
    /// When the transaction of the batch began.
    public let finishedAt: Date

    /// The job that changed the stock.
    public var id: Int64 { jobID }

    package init(
        jobID: Int64, key: ItemKey, version: Int64, action: StockAction, quantity: Int64, appliedQuantity: Int64,
        before: Balance, after: Balance, groupID: String?, reason: String?, reference: String?, actor: String?,
        occurredAt: Date?, metadata: String?, countedAt: Date?, finishedAt: Date
    ) {
        self.jobID = jobID
        self.key = key
        self.version = version
        self.action = action
        self.quantity = quantity
        self.appliedQuantity = appliedQuantity
        self.before = before
        self.after = after
        self.groupID = groupID
        self.reason = reason
        self.reference = reference
        self.actor = actor
        self.occurredAt = occurredAt
        self.metadata = metadata
        self.countedAt = countedAt
        self.finishedAt = finishedAt
    }
}

extension StockChange: ItemKeyed {}
