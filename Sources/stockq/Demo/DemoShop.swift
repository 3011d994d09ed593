import PrivateCluster

/// A simulated shop with a busy day, always the same for the same seed.
struct DemoShop {
    struct Order {
        var store: String
        var id: String
        var lines: [(item: String, quantity: Int)]
        var reason: String
    }

    private var random: SeededRandom
    private let stores = ["amsterdam", "berlin", "copenhagen", "dublin", "edinburgh", "florence", "geneva", "hamburg"]
    private let kinds = ["shirt", "mug", "poster", "lamp", "notebook", "scarf", "bag", "candle", "clock", "vase"]
    let itemsPerStore: Int

    init(seed: UInt64, itemsPerStore: Int) {
        random = SeededRandom(seed: seed)
        self.itemsPerStore = itemsPerStore
    }

    private func name(_ number: Int) -> String { "\(kinds[number % kinds.count])-\(number / kinds.count + 1)" }

    /// The catalog as a CSV. The first items of a store are its popular ones and have more stock.
    mutating func catalog() -> String {
        var csv = "store_id,item_id,on_hand,low_stock_threshold\n"
        for store in stores {
            for number in 0..<itemsPerStore {
                let stock = number < 20 ? 400 + random.below(1_200) : 30 + random.below(120)
                csv += "\(store),\(name(number)),\(stock),\(random.below(5) == 0 ? "" : String(stock / 10))\n"
            }
        }
        return csv
    }

    /// A day's orders, returns, restocks and write-offs as a CSV.
    ///
    /// - Parameter count: about how many lines.
    mutating func day(lines count: Int) -> String {
        var csv = "store_id,item_id,quantity,group_id,reason,reference\n"
        var lines = 0
        var number = 1_000
        while lines < count {
            number += 1
            let order = next(number)
            let group = order.lines.count > 1 ? order.id : ""
            for line in order.lines {
                csv += "\(order.store),\(line.item),\(line.quantity),\(group),\(order.reason),\(order.id)\n"
            }
            lines += order.lines.count
        }
        return csv
    }

    private mutating func next(_ number: Int) -> Order {
        let store = stores[random.below(stores.count)]
        switch random.below(100) {
        case 0..<3:
            return Order(
                store: store, id: "restock-\(number)", lines: [(popular(), 100 + random.below(300))], reason: "restock")
        case 3..<8:
            return Order(
                store: store, id: "return-\(number)", lines: [(popular(), 1 + random.below(2))], reason: "return")
        case 8..<9: return Order(store: store, id: "breakage-\(number)", lines: [(popular(), -1)], reason: "breakage")
        case 9..<10:
            return Order(
                store: store, id: "order-\(number)", lines: [("discontinued-\(random.below(9))", -1)], reason: "sale")
        default:
            let lines = (0..<(1 + random.below(6))).map { _ in (item: popular(), quantity: -(1 + random.below(3))) }
            return Order(store: store, id: "order-\(number)", lines: lines, reason: "sale")
        }
    }

    /// Half of all lines go to the twenty popular items.
    private mutating func popular() -> String {
        name(random.below(2) == 0 ? random.below(20) : random.below(itemsPerStore))
    }
}
