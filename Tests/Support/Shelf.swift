import PrivateCluster

/// A plain model of goods on shelves: what is there, what people do with it, and when the queue hears of it.
///
/// Goods are sold, delivered and stolen; only sales and deliveries become jobs, some with a delay. Now and then someone
/// counts a shelf, and the count is imported later than everything that had happened before it.
public struct Shelf: Sendable {
    /// What reaches the queue.
    public enum Arrival: Sendable {
        /// A sale or a delivery. The moment is the time at which it happened, in minutes; it is reported at once, or
        /// later with that time.
        case movement(item: String, quantity: Int64, moment: Int, isReportedLater: Bool, priority: Int)
        case count(item: String, quantity: Int64, moment: Int, priority: Int)
        /// The workers apply everything that has arrived.
        case drain
    }

    public static let items = ["a", "b", "c"]
    public static let opening: Int64 = 50
    /// The longest delay of a sale's report, and the shortest of a count's import.
    private static let reportDelayMax = 6

    public private(set) var arrivals: [Arrival] = []
    /// What was on the shelf when each count was taken, by item and moment.
    private var counted: [String: [Int: Int64]] = [:]

    public init(random: inout SeededRandom, minutes: Int) {
        var shelves = Dictionary(uniqueKeysWithValues: Self.items.map { ($0, Self.opening) })
        var arriving: [(at: Int, Arrival)] = []
        for minute in 1...minutes {
            let item = random.pick(Self.items)
            let onShelf = shelves[item]!
            switch random.below(10) {
            case 0: shelves[item] = onShelf - Int64(random.below(Int(min(4, onShelf)) + 1))
            case 1:
                counted[item, default: [:]][minute] = onShelf
                let delay = Self.reportDelayMax + 1 + random.below(12)
                arriving.append(
                    (minute + delay, .count(item: item, quantity: onShelf, moment: minute, priority: priority(&random)))
                )
            default:
                let isSale = random.chance(2, in: 3)
                let quantity = isSale ? -Int64(random.below(Int(min(5, onShelf)) + 1)) : Int64(1 + random.below(8))
                if quantity == 0 { continue }
                shelves[item] = onShelf + quantity
                let delay = random.chance(1, in: 4) ? 1 + random.below(Self.reportDelayMax) : 0
                arriving.append(
                    (
                        minute + delay,
                        .movement(
                            item: item, quantity: quantity, moment: minute, isReportedLater: delay > 0,
                            priority: priority(&random))
                    ))
            }
        }
        for (_, arrival) in arriving.enumerated().sorted(by: { ($0.1.at, $0.0) < ($1.1.at, $1.0) }).map(\.element) {
            arrivals.append(arrival)
            if random.chance(1, in: 6) { arrivals.append(.drain) }
        }
        arrivals.append(.drain)
    }

    private func priority(_ random: inout SeededRandom) -> Int { 1 + random.below(4) }

    /// What a shop owner expects of the record after the first arrivals: the stock that was counted last, and what was
    /// sold and delivered since.
    public func expected(after arrived: Int) -> [String: Int64] {
        var stock: [String: Int64] = [:]
        for item in Self.items {
            var last = 0
            for case .count(item, _, let moment, _) in arrivals[..<arrived] { last = max(last, moment) }
            var onHand = last == 0 ? Self.opening : counted[item]![last]!
            for case .movement(item, let quantity, let moment, _, _) in arrivals[..<arrived] where moment > last {
                onHand += quantity
            }
            stock[item] = onHand
        }
        return stock
    }
}
