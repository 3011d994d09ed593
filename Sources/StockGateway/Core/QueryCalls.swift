import StockModel

/// A call that reads stock.
package struct LevelQuery: Sendable, Hashable {
    package enum Selection: Sendable, Hashable {
        /// Items that do not exist are left out of the answer.
        case items([String])
        case page(Page)
    }

    package var access: Access
    package var selection: Selection
    /// nil: all locations of each item.
    package var locationID: String?

    package init(_ access: Access, _ selection: Selection, location locationID: String?) {
        self.access = access
        self.selection = selection
        self.locationID = locationID
    }
}

/// A part of a list.
package struct Page: Sendable, Hashable {
    package var offset: Int
    package var limit: Int

    package init(offset: Int, limit: Int) {
        self.offset = offset
        self.limit = limit
    }
}

/// A part of a list and the length of the whole.
package struct Listing<Element: Sendable & Hashable>: Sendable, Hashable {
    package var elements: [Element]
    package var total: Int

    package init(_ elements: [Element], total: Int) {
        self.elements = elements
        self.total = total
    }
}

/// The stock of an item.
package struct StockLevel: Sendable, Hashable {
    package struct Location: Sendable, Hashable {
        package var locationID: String
        package var balance: Balance

        package init(_ locationID: String, _ balance: Balance) {
            self.locationID = locationID
            self.balance = balance
        }
    }

    package var itemID: String
    /// In the order of their ids; at least one.
    package var locations: [Location]
    /// In microseconds since 2000-01-01 00:00 UTC: when its first location was created, and when one changed last.
    package var createdAt: Int64
    package var updatedAt: Int64

    package init(item itemID: String, _ locations: [Location], createdAt: Int64, updatedAt: Int64) {
        self.itemID = itemID
        self.locations = locations
        self.createdAt = createdAt
        self.updatedAt = updatedAt
    }

    /// The sum of all locations.
    package var total: Balance {
        locations.reduce(into: Balance()) { sum, location in
            sum.onHand += location.balance.onHand
            sum.allocated += location.balance.allocated
        }
    }
}

package typealias LevelAnswer = Result<Listing<StockLevel>, CallFailure>

/// A call that reads the applied results of an item, oldest first. The first entry is the item's opening balance.
package struct HistoryQuery: Sendable, Hashable {
    package enum Selection: Sendable, Hashable {
        case page(Page)
        case entry(HistoryEntry.ID)
    }

    package var access: Access
    package var itemID: String
    /// nil: all locations.
    package var locationID: String?
    package var selection: Selection

    package init(_ access: Access, item itemID: String, location locationID: String?, _ selection: Selection) {
        self.access = access
        self.itemID = itemID
        self.locationID = locationID
        self.selection = selection
    }
}

/// A change of an item's balance.
package struct HistoryEntry: Sendable, Hashable {
    package enum ID: Sendable, Hashable {
        /// The item with its opening balance.
        case opening
        case job(Int64)
    }

    package enum Kind: Sendable, Hashable {
        case opening
        case job(StockAction)
    }

    package var id: ID
    package var kind: Kind
    package var locationID: String
    /// The quantity that took effect.
    package var quantity: Int64
    /// In microseconds since 2000-01-01 00:00 UTC.
    package var at: Int64

    package init(_ id: ID, _ kind: Kind, location locationID: String, quantity: Int64, at: Int64) {
        self.id = id
        self.kind = kind
        self.locationID = locationID
        self.quantity = quantity
        self.at = at
    }
}

/// nil: there is no such item.
package typealias HistoryAnswer = Result<Listing<HistoryEntry>?, CallFailure>
