import HTTPServer
import StockModel

/// A call that creates an item or ends its management.
package struct ItemCall: Sendable, Hashable {
    package enum Change: Sendable, Hashable {
        /// An item with an opening balance at each of these locations.
        case create(onHand: [String: Int64])
        /// The item is no longer managed at any location.
        case remove
    }

    package var access: Access
    package var itemID: String
    package var change: Change

    package init(_ access: Access, item itemID: String, _ change: Change) {
        self.access = access
        self.itemID = itemID
        self.change = change
    }
}

/// What became of an `ItemCall`.
package enum ItemOutcome: Sendable, Hashable {
    case created(StockLevel)
    case removed
    /// Of `create`: the item exists already.
    case exists
    /// Of `remove`.
    case unknownItem
}

package typealias ItemAnswer = Result<ItemOutcome, CallFailure>

/// A call that changes and reads nothing: it needs to know only whether the access is allowed.
package typealias AccessAnswer = Result<AccessGrant, CallFailure>

/// An access that is allowed.
package struct AccessGrant: Sendable, Hashable {
    package var storeID: String

    package init(store storeID: String) { self.storeID = storeID }
}

/// A request for a token of OAuth 2.0.
package struct TokenRequest: Sendable, Hashable, CustomReflectable {
    package enum Grant: Sendable, Hashable {
        case clientCredentials(secret: String)
        /// For a token that can only read.
        case implicit
    }

    package var clientID: String
    package var grant: Grant
    package var peer: PeerAddress

    package init(clientID: String, _ grant: Grant, peer: PeerAddress) {
        self.clientID = clientID
        self.grant = grant
        self.peer = peer
    }

    /// Without the secret.
    package var customMirror: Mirror { Mirror(self, children: ["clientID": clientID]) }
}

/// A token and its end. Earlier tokens of the client stay valid.
package struct IssuedToken: Sendable, Hashable {
    package var accessToken: String
    /// Seconds since 1970.
    package var expires: Int64
    package var expiresInSeconds: Int64

    package init(_ accessToken: String, expires: Int64, expiresInSeconds: Int64) {
        self.accessToken = accessToken
        self.expires = expires
        self.expiresInSeconds = expiresInSeconds
    }
}

/// `invalidCredential`: the client is unknown or its secret is wrong.
package typealias TokenAnswer = Result<IssuedToken, CallFailure>

/// Several calls of one vendor that are executed later, one after the other, with the answers kept under a ticket.
package struct BatchCall: Sendable, Hashable {
    /// One call, in the vendor's form: `EcwidBatch.plan` makes a `CallPlan` of it.
    package struct Item: Sendable, Hashable {
        /// The client's id, or the item's number from 0.
        package var id: String
        package var method: String
        /// With its query, relative to the store.
        package var path: String
        package var body: [UInt8]

        package init(id: String, method: String, path: String, body: [UInt8]) {
            self.id = id
            self.method = method
            self.path = path
            self.body = body
        }
    }

    package var access: Access
    package var items: [Item]
    /// Whether the items behind the first answer that is an error are not executed.
    package var stopsOnFailure: Bool
    /// Whether items may be executed at the same time.
    package var isParallel: Bool
    /// The same key within an hour gets the first ticket.
    package var deduplicationKey: String?
    package var groupID: String?

    package init(
        _ access: Access, _ items: [Item], stopsOnFailure: Bool, isParallel: Bool, deduplicationKey: String?,
        groupID: String?
    ) {
        self.access = access
        self.items = items
        self.stopsOnFailure = stopsOnFailure
        self.isParallel = isParallel
        self.deduplicationKey = deduplicationKey
        self.groupID = groupID
    }
}

/// The ticket of a batch.
package typealias BatchAnswer = Result<String, CallFailure>

/// A call that asks how far a batch is.
package struct TicketQuery: Sendable, Hashable {
    package var access: Access
    package var ticket: String

    package init(_ access: Access, ticket: String) {
        self.access = access
        self.ticket = ticket
    }
}

/// How far a batch is.
package struct BatchProgress: Sendable {
    package enum State: Sendable, Hashable { case queued, inProgress, completed }

    package var state: State
    package var total: Int
    /// The answers so far, in the order of the items; nil for an item that was not executed because an earlier one
    /// failed.
    package var answers: [(id: String, response: Response?)]

    package init(_ state: State, total: Int, answers: [(id: String, response: Response?)]) {
        self.state = state
        self.total = total
        self.answers = answers
    }
}

/// nil: there is no such ticket.
package typealias TicketAnswer = Result<BatchProgress?, CallFailure>
