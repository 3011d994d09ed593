import StockModel

/// Who makes a call, and what the call needs: as the gateway's functions take it.
package struct ImmediateAccess: Sendable, Hashable {
    package var tokenHash: String?
    /// Nil means the one store of the token.
    package var storeID: String?
    /// Separated by spaces.
    package var scopes: String

    package init(tokenHash: String?, storeID: String?, scopes: String) {
        self.tokenHash = tokenHash
        self.storeID = storeID
        self.scopes = scopes
    }
}

/// A call of which a worker can decide the jobs without the table of jobs: they have no idempotency key, are ready, and
/// never wait for stock.
package struct ImmediateCall: Sendable {
    package struct Line: Sendable {
        package var itemID: String
        package var locationID: String
        package var action: StockAction
        package var quantity: Int64
        package var onInsufficient: InsufficientStockPolicy
        package var notify: Bool
        /// The parent that the item must have: nil for any or none, empty for none.
        package var parentID: String?

        package init(
            itemID: String, locationID: String, action: StockAction, quantity: Int64,
            onInsufficient: InsufficientStockPolicy, notify: Bool, parentID: String?
        ) {
            self.itemID = itemID
            self.locationID = locationID
            self.action = action
            self.quantity = quantity
            self.onInsufficient = onInsufficient
            self.notify = notify
            self.parentID = parentID
        }
    }

    package var access: ImmediateAccess
    /// The store that the access resolved to when it was seen last. The worker checks that it still does.
    package var storeID: String
    /// The lines are one group.
    package var isGroup: Bool
    package var lines: [Line]

    package init(access: ImmediateAccess, storeID: String, isGroup: Bool, lines: [Line]) {
        self.access = access
        self.storeID = storeID
        self.isGroup = isGroup
        self.lines = lines
    }
}
