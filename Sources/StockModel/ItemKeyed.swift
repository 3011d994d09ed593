/// A value that belongs to one item.
public protocol ItemKeyed {
    var key: ItemKey { get }
}

extension ItemKeyed {
    public var storeID: String { key.storeID }
    public var itemID: String { key.itemID }
    public var locationID: String { key.locationID }
}
