import StockModel
import StockQueuePostgres

/// A point in the past: a time, or a span before now by the database's clock.
package enum PastMoment: Sendable, Hashable {
    case at(Timestamp)
    case ago(Duration)

    /// As SQL, for a statement without parameters.
    var literal: String {
        switch self {
        case .at(let time): quoteLiteral("\(time)") + "::timestamptz"
        case .ago(let span): "now() - \(span.components.seconds) * interval '1 second'"
        }
    }
}

/// A list of rows: what it reads, which rows, in which order. Filters that are nil do not filter.
package protocol FilteredList: Sendable {
    /// At most so many rows.
    var limit: Int { get }

    /// The FROM clause, the filters and the order.
    func rows(of schema: QueueSchema) -> FilteredRows
}

/// The SELECT of a list, written from the filters that are given, so that the planner sees no others.
package struct FilteredRows {
    private let name: String
    private let source: String
    private let order: String
    private var conditions: [String] = []
    private var types: [TypeOID] = []
    private var parameters = Parameters()
    /// One bit for each filter that could be given, so that each shape of the statement has a name of its own.
    private var mask: UInt32 = 0
    private var filters: UInt32 = 0

    /// - Parameters:
    ///   - name: of the statement.
    ///   - source: a table, a view or a subquery, under the alias `listed`.
    ///   - order: the ORDER BY list.
    init(_ name: String, from source: String, order: String) {
        (self.name, self.source, self.order) = (name, source, order)
    }

    /// - Parameter condition: SQL with `$` for the value.
    mutating func filter(_ condition: String, _ value: String?) {
        filter(condition, .text, value) { $0.add($1) }
    }

    /// - Parameter condition: SQL with a `$` for each value.
    mutating func filter(_ condition: String, _ values: [String]?) {
        guard let values else { return skip() }
        var parts = condition.split(separator: "$", omittingEmptySubsequences: false).map(String.init)
        for (index, value) in values.enumerated() {
            types.append(.text)
            parameters.add(value)
            parts[index] += "$\(types.count)"
        }
        add(parts.joined())
    }

    mutating func filter(_ condition: String, _ value: Int64?) {
        filter(condition, .int8, value) { $0.add($1) }
    }

    /// - Parameter condition: SQL with `$` for a timestamptz.
    mutating func filter(_ condition: String, _ moment: PastMoment?) {
        switch moment {
        case .ago(let span):
            let ago = condition.replacingParameter(with: "(now() - $ * interval '1 second')")
            filter(ago, .int8, span.components.seconds) { $0.add($1) }
            skip()
        case .at(let time):
            skip()
            filter(condition, .timestamptz, time) { $0.add($1) }
        case nil:
            skip()
            skip()
        }
    }

    /// A filter that is on or off.
    mutating func filter(_ condition: String?) {
        guard let condition else { return skip() }
        add(condition)
    }

    private mutating func filter<Value>(
        _ condition: String, _ type: TypeOID, _ value: Value?, _ bind: (inout Parameters, Value) -> Void
    ) {
        guard let value else { return skip() }
        types.append(type)
        bind(&parameters, value)
        add(condition.replacingParameter(with: "$\(types.count)"))
    }

    private mutating func add(_ condition: String) {
        conditions.append("(\(condition))")
        mask |= 1 << filters
        filters += 1
    }

    private mutating func skip() { filters += 1 }

    /// - Returns: the statement, with the row as JSON in its only column, and its parameters.
    func statement(limit: Int) -> (Statement, Parameters) {
        var parameters = parameters
        parameters.add(Int64(limit))
        let filter = conditions.isEmpty ? "" : "WHERE \(conditions.joined(separator: " AND "))\n"
        let sql = """
            SELECT to_json(listed)::text AS json
            FROM \(source) AS listed
            \(filter)ORDER BY \(order)
            LIMIT $\(types.count + 1)
            """
        return (Statement("\(name)_\(String(mask, radix: 16))", types + [.int8], sql), parameters)
    }
}

extension String {
    /// The text with its `$` replaced.
    fileprivate func replacingParameter(with text: String) -> String {
        split(separator: "$", omittingEmptySubsequences: false).joined(separator: text)
    }
}
