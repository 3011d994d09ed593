import CommandLineKit
import StockQueue

/// A quantity before and after: `5 → 1`, or one number if it is the same.
func changeText(_ before: Int64?, _ after: Int64?) -> String {
    guard let before, let after else { return "–" }
    return before == after ? grouped(after) : "\(grouped(before)) → \(grouped(after))"
}

/// Counts as indented lines, in the order given; names without a count have no line.
func countLines<Label: DatabaseLabel>(_ counts: [Label: Int64]) -> [String] {
    let labels = Label.allCases.filter { counts[$0] != nil }
    let names = labels.map(\.rawValue)
    let width = names.map(\.count).max() ?? 0
    let figures = labels.map { grouped(counts[$0] ?? 0) }
    let figureWidth = figures.map(\.count).max() ?? 0
    return zip(names, figures).map { name, figure in
        "  \(name.padding(toWidth: width))  \(String(repeating: " ", count: figureWidth - figure.count))\(figure)"
    }
}

/// The first ids of a list that may be of any length.
func jobList(_ jobs: [Int64]) -> String { shortList(jobs.map { String($0) }, max: 20) }

extension Failure {
    static func unknownItem(_ key: ItemKey) -> Failure {
        Failure(
            "there is no item \(key.itemID.shownName) at \(key.locationID.shownName) in store \(key.storeID.shownName)")
    }

    /// The same, with the locations where the item is.
    static func unknownItem(_ key: ItemKey, _ inspector: Inspector) throws -> Failure {
        let locations = try inspector.locations(of: key).map(\.shownName)
        if locations.isEmpty { return unknownItem(key) }
        return Failure("\(unknownItem(key)); it is at \(locations.joined(separator: ", ")): see --location")
    }
}

extension Inspector {
    /// The first locations of the item in its store.
    func locations(of key: ItemKey) throws -> [String] {
        var list = ItemList(limit: 20)
        (list.store, list.item) = (key.storeID, key.itemID)
        return try rows(of: list).map { try Row(json: $0)["location_id"] }
    }
}

extension ItemKey {
    /// `berlin/mug`, and at another location than the default `berlin/mug at cellar`.
    var shown: String {
        "\(storeID.shownName)/\(itemID.shownName)"
            + (locationID == ItemKey.defaultLocation ? "" : " at \(locationID.shownName)")
    }
}
