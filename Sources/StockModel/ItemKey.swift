/// The name of an item: one thing that is counted, at one location of one store. Each part has 1–200 bytes.
public struct ItemKey: Sendable, Hashable {
    public var storeID: String
    public var itemID: String
    public var locationID: String

    /// The location of an item for which no other is named.
    public static let defaultLocation = "main"

    public init(_ storeID: String, _ itemID: String, location: String = ItemKey.defaultLocation) {
        self.storeID = storeID
        self.itemID = itemID
        locationID = location
    }
}
