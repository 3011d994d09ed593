import StockModel

/// A vendor's call that changes stock, parsed and free of the vendor's form: what the executor needs to make jobs of
/// it.
package struct StockCall: Sendable, Hashable {
    package var access: Access
    /// Not empty.
    package var lines: [StockLine]
    /// Whether the lines are one group: applied all together or not at all.
    package var isGroup: Bool
    package var duplicateCheck: DuplicateCheck
    /// Milliseconds in which the jobs must be decided. Then the executor cancels them, and whichever comes first, the
    /// result or the cancellation, is the answer.
    package var deadlineMs: Int
    /// Of the native API: the jobs with all their fields. The lines have their items, actions and quantities too.
    package var submission: JobSubmission?

    package init(
        _ access: Access, _ lines: [StockLine], isGroup: Bool = false, duplicateCheck: DuplicateCheck = .unguarded,
        deadlineMs: Int
    ) {
        self.access = access
        self.lines = lines
        self.isGroup = isGroup
        self.duplicateCheck = duplicateCheck
        self.deadlineMs = deadlineMs
    }

    package var hasKey: Bool { if case .key = duplicateCheck { true } else { false } }

    /// The idempotency key of a line's job.
    package func idempotencyKey(ofLine index: Int) -> String? {
        guard case .key(let key) = duplicateCheck else { return nil }
        return lines.count == 1 && !isGroup ? key.text : "\(key.text)/\(index + 1)"
    }

    /// The jobs of the call, in the order of its lines.
    ///
    /// - Parameters:
    ///   - store: the store that `access` resolved to.
    ///   - groupID: the group id of a group; any id will do, because a group ends with its transaction.
    package func jobs(store: String, groupID: String = "http") -> [JobRequest] {
        lines.enumerated().map { index, line in
            var job = JobRequest(store: store, item: line.itemID, quantity: line.quantity)
            job.locationID = line.locationID
            job.action = line.action
            job.onInsufficient = line.onInsufficient
            job.notify = line.notify
            if isGroup { job.groupID = groupID }
            job.idempotencyKey = idempotencyKey(ofLine: index)
            return job
        }
    }
}

/// One job of a call, without its store: a call can mean the store of its token.
package struct StockLine: Sendable, Hashable {
    package var itemID: String
    package var locationID = ItemKey.defaultLocation
    package var action: StockAction
    package var quantity: Int64
    package var onInsufficient = InsufficientStockPolicy.reject
    package var notify = true
    /// What the item must be. An item that is something else is unknown to the call.
    package var role = ItemRole.any

    package init(item itemID: String, _ action: StockAction, _ quantity: Int64) {
        self.itemID = itemID
        self.action = action
        self.quantity = quantity
    }
}

/// What an item is to a product catalog.
package enum ItemRole: Sendable, Hashable {
    case any
    /// An item without a parent.
    case product
    /// An item whose `parent_id` is this product.
    case variation(of: String)
}

/// Who wants to do what with which store. The executor checks it before anything else.
package struct Access: Sendable, Hashable {
    package var caller: Caller
    package var store: StoreReference
    /// The token must have all of them.
    package var scopes: Set<Scope>

    package init(_ caller: Caller, _ store: StoreReference, _ scopes: Set<Scope>) {
        self.caller = caller
        self.store = store
        self.scopes = scopes
    }
}

/// Which store a call is about.
package enum StoreReference: Sendable, Hashable {
    case named(String)
    /// The one store of the token. A token of several stores cannot be used for such a call.
    case ofToken
}

/// How the executor recognizes a duplicate of a call.
package enum DuplicateCheck: Sendable, Hashable {
    /// Every call counts.
    case unguarded
    /// The client's `Idempotency-Key`: kept as long as all idempotency keys. A repeated call gets the first answer,
    /// also while the first is under way.
    case key(IdempotencyKey)
    /// The same call again within minutes, as clients send it when a connection is cut: it gets the first answer.
    /// Later, equal bytes are another call.
    case guarded(CallFingerprint)
}

/// What makes two calls of one token the same call.
package struct CallFingerprint: Sendable, Hashable {
    /// The client's id of the request.
    package var requestID: String
    /// Method and request target without the token.
    package var target: String
    package var body: [UInt8]

    package init(requestID: String, target: String, body: [UInt8]) {
        self.requestID = requestID
        self.target = target
        self.body = body
    }
}
