import StockFormats
import StockQueue

/// What `stockq top` shows, and what keys change about it.
struct TopState {
    enum View: Sendable, Hashable {
        case overview
        case store(String)
        case job(Int64)
    }

    /// The rows of a view beside the snapshot.
    enum Detail: Sendable {
        case none
        case store(jobs: [Row], results: [Row])
        case job(JSONValue)
    }

    /// The columns by which the stores are sorted.
    enum Sort: String, Sendable, CaseIterable {
        case ready, deferred, oldest, store
    }

    /// The tables of the overview, in their order.
    enum Table: Int, CaseIterable {
        case stores, failures, items, levels, workers, deliveries
    }

    /// The rows of a list.
    static let rowsMax = 100
    private static let ratesMax = 200

    var sort: Sort
    private(set) var views: [View] = [.overview]
    var table = Table.stores
    var selected = 0
    var detail = Detail.none
    var problem: String?
    private(set) var snapshot: QueueSnapshot?
    /// Jobs finished a second, of the last readings.
    private(set) var rates: [Double] = []

    init(sort: Sort) { self.sort = sort }

    var view: View { views.last ?? .overview }

    mutating func take(_ snapshot: QueueSnapshot) {
        self.snapshot = snapshot
        if let rate = snapshot.flow.finishedPerSecond { rates.append(rate) }
        if rates.count > Self.ratesMax { rates.removeFirst() }
    }

    /// A panel of the snapshot; null while there is none.
    func panel(_ panel: SnapshotPanel) -> JSONValue {
        guard let json = snapshot?.panels[panel], let value = try? JSONReader.read(Array(json.utf8)[...]) else {
            return .null
        }
        return value
    }

    /// The rows of a list in a panel.
    func rows(_ panel: SnapshotPanel, _ list: String) -> [Row] {
        guard case .array(let rows)? = self.panel(panel)[list] else { return [] }
        return rows.map { Row($0) }
    }

    // MARK: keys

    /// - Returns: whether the key ends the program.
    mutating func handle(_ key: TopKey) -> Bool {
        switch key {
        case .character("q"): return true
        case .up, .character("k"): selected = max(0, selected - 1)
        case .down, .character("j"): selected = min(max(0, openable.count - 1), selected + 1)
        case .pageUp: selected = max(0, selected - 10)
        case .pageDown: selected = min(max(0, openable.count - 1), selected + 10)
        case .next: turn(by: 1)
        case .previous: turn(by: -1)
        case .character("s"):
            let all = Sort.allCases
            sort = all[((all.firstIndex(of: sort) ?? 0) + 1) % all.count]
        case .enter: open()
        case .back: goBack()
        case .character(let digit):
            if let number = digit.wholeNumberValue, view == .overview, let table = Table(rawValue: number - 1) {
                (self.table, selected) = (table, 0)
            }
        }
        return false
    }

    private mutating func turn(by step: Int) {
        guard view == .overview else { return }
        let count = Table.allCases.count
        table = Table(rawValue: (table.rawValue + step + count) % count) ?? .stores
        selected = 0
    }

    private mutating func open() {
        guard openable.indices.contains(selected), let next = openable[selected] else { return }
        views.append(next)
        (selected, detail) = (0, .none)
    }

    private mutating func goBack() {
        guard views.count > 1 else { return }
        views.removeLast()
        (selected, detail) = (0, .none)
    }

    /// What each row of the selected table opens; nil for nothing.
    var openable: [View?] {
        switch view {
        case .overview:
            switch table {
            case .stores: sortedStores.map { .store($0["store_id"]) }
            case .failures: failures.map { $0.number("job_id").map { .job($0) } }
            case .items: rows(.recent, "hottest").map { .store($0["store_id"]) }
            case .levels: rows(.levels, "items").map { .store($0["store_id"]) }
            case .workers: rows(.workers, "sessions").map { _ in nil }
            case .deliveries: rows(.deliveries, "problems").map { .store($0["store_id"]) }
            }
        case .store:
            if case .store(let jobs, let results) = detail {
                (jobs + results).map { $0.number("job_id").map { .job($0) } }
            } else {
                []
            }
        case .job:
            // A step of scrolling for each field.
            Array(repeating: nil, count: fieldCount)
        }
    }

    /// The fields of the job that is shown.
    private var fieldCount: Int {
        guard case .job(let story) = detail else { return 0 }
        if case .object(let fields)? = story["result"] { return fields.count }
        if case .object(let fields)? = story["waiting"] { return fields.count }
        return 0
    }

    /// Failed jobs, and then rejected ones.
    var failures: [Row] { rows(.failures, "failed") + rows(.failures, "rejected") }

    var sortedStores: [Row] {
        let stores = rows(.backlog, "stores")
        return switch sort {
        case .ready: stores
        case .deferred: stores.sorted { ($0.number("deferred") ?? 0) > ($1.number("deferred") ?? 0) }
        case .oldest: stores.sorted { Self.age($0) < Self.age($1) }
        case .store: stores.sorted { $0["store_id"] < $1["store_id"] }
        }
    }

    /// Times in one form compare as texts; stores without ready jobs come last.
    private static func age(_ store: Row) -> String {
        let time = store["oldest_ready_at"]
        return time.isEmpty ? "~" : time
    }
}
