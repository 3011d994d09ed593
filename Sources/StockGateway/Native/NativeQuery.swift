import StockModel

/// A call of the native API that is one statement of the database.
package struct NativeQuery: Sendable, Hashable {
    package enum Subject: Sendable, Hashable {
        case job(Int64)
        /// The jobs of the first one's submission, up to a last one.
        case submission(first: Int64, last: Int64)
        case group(String)
        case key(String)
        case cancelJob(Int64)
        case cancelGroup(String)
        case item(String, location: String?)
        case items(ItemFilter)
        case createItem(ItemRequest)
        case changeItem(ItemChange)
        case movements(item: String, location: String, limit: Int)
        /// In microseconds since 2000-01-01 00:00 UTC; nil: now.
        case stock(item: String, location: String, at: Int64?)
        /// nil: from the beginning.
        case notifications(after: String?, limit: Int)
        case alerts(AlertSubject)
        case subscriptions(SubscriptionSubject)
    }

    package var access: Access
    package var subject: Subject

    package init(_ access: Access, _ subject: Subject) {
        self.access = access
        self.subject = subject
    }
}

/// A part of the list of a store's items, in the order of their ids.
package struct ItemFilter: Sendable, Hashable {
    package var after: String?
    package var locationID: String?
    package var parentID: String?
    /// Items; one at several locations counts once.
    package var limit: Int

    package init(after: String? = nil, location locationID: String? = nil, parent parentID: String? = nil, limit: Int) {
        self.after = after
        self.locationID = locationID
        self.parentID = parentID
        self.limit = limit
    }
}

/// A change of an item's attributes; what is nil stays.
package struct ItemChange: Sendable, Hashable {
    package var itemID: String
    package var locationID: String
    package var parentID: String?
    package var isTracked: Bool?
    package var lowStockThreshold: Int64?
    /// The attributes that become empty.
    package var cleared: [String] = []

    package init(item itemID: String, location locationID: String) {
        self.itemID = itemID
        self.locationID = locationID
    }
}

/// The rows that answer a query, each as the JSON that the client gets.
package struct NativeRows: Sendable, Hashable {
    package struct Row: Sendable, Hashable {
        package var json: String
        /// Of a cancellation: whether this call canceled the job.
        package var isCanceled = false
        /// Of a list of items.
        package var itemID: String?
        /// Of a list of deliveries, and of a new subscription.
        package var id: Int64?

        package init(_ json: String) { self.json = json }
    }

    package var rows: [Row]
    /// Of notifications: the cursor behind them.
    package var cursor: String?
    /// Why there are none, of calls that change or read where and when notifications are sent.
    package var failure: NotificationFailure?
    /// Of a new policy: whether all items have its threshold.
    package var isApplied = true

    package init(_ rows: [Row], cursor: String? = nil) {
        self.rows = rows
        self.cursor = cursor
    }

    package init(_ failure: NotificationFailure) {
        rows = []
        self.failure = failure
    }
}

package typealias NativeAnswer = Result<NativeRows, CallFailure>

/// A call that decides jobs against the present stock and writes nothing.
package struct DryRunCall: Sendable, Hashable {
    package var access: Access
    package var jobs: [JobRequest]

    package init(_ access: Access, _ jobs: [JobRequest]) {
        self.access = access
        self.jobs = jobs
    }
}

/// What would become of a job.
package struct DryRunLine: Sendable, Hashable {
    /// nil: the job would wait for stock.
    package var outcome: Outcome?
    package var code: ResultCode?
    package var appliedQuantity: Int64
    package var before: Balance?
    package var after: Balance?

    package init(
        _ outcome: Outcome?, code: ResultCode? = nil, appliedQuantity: Int64 = 0, before: Balance? = nil,
        after: Balance? = nil
    ) {
        self.outcome = outcome
        self.code = code
        self.appliedQuantity = appliedQuantity
        self.before = before
        self.after = after
    }
}

package typealias DryRunAnswer = Result<[DryRunLine], CallFailure>

/// A call that follows the notifications of its store as server-sent events.
package struct EventQuery: Sendable, Hashable {
    package var access: Access
    /// nil: the notifications that are still to come.
    package var cursor: String?

    package init(_ access: Access, after cursor: String?) {
        self.access = access
        self.cursor = cursor
    }
}
