import StockDecision
import StockModel
import StockQueuePostgres

/// What a batch decided of its jobs, as numbers: those of all jobs one after another in one array.
///
/// `unnest` of many arrays costs more than the rest of the write-back, because each fills a tuplestore of its own. An
/// element of an array of numbers without NULL is found by its place (`array_get_element`, PostgreSQL source,
/// `src/backend/utils/adt/arrayfuncs.c`), so NULL travels as a number of its own.
enum ResultNumbers {
    /// A number of a job, in the order in which they travel.
    enum Number: Int, CaseIterable {
        /// The labels and flags, see `Label`.
        case labels
        case appliedQuantity, onHandBefore, onHandAfter, allocatedBefore, allocatedAfter, version, previousJobID
        /// Only of a job that has no row in the table of jobs.
        case jobID, quantity
    }

    /// How many numbers a job has that has a row in the table of jobs.
    static let countOfQueuedJob = Number.jobID.rawValue
    static let countOfImmediateJob = Number.allCases.count

    /// Travels for NULL.
    private static let none = Int64.min

    /// A label in the first number: 0 is none, else its place counted from 1. A flag is one bit.
    ///
    /// The raw value is the lowest bit.
    enum Label: Int64 {
        case action = 0
        case policy = 4
        case outcome = 8
        case code = 12
        case levelBefore = 17
        case levelAfter = 20
        case notify = 24
        case warnsNegative = 25

        func number(_ ordinal: Int16?) -> Int64 { ordinal.map { (Int64($0) + 1) << rawValue } ?? 0 }

        func number(_ flag: Bool) -> Int64 { flag ? 1 << rawValue : 0 }
    }

    /// The labels of what was decided.
    static func labels(_ outcome: JobOutcome) -> Int64 {
        Label.outcome.number(outcome.outcome.ordinal) | Label.code.number(outcome.code?.ordinal)
            | Label.levelBefore.number(outcome.change?.levelBefore.ordinal)
            | Label.levelAfter.number(outcome.change?.levelAfter.ordinal)
            | Label.warnsNegative.number(outcome.change?.warnsNegativeStock ?? false)
    }

    /// The numbers of a job in their order, without those of an immediate job.
    static func append(_ outcome: JobOutcome, labels: Int64, to numbers: inout [Int64]) {
        let (before, after) = (outcome.before, outcome.after)
        numbers.append(labels)
        numbers.append(outcome.change?.quantity ?? 0)
        numbers.append(before?.onHand ?? none)
        numbers.append(after?.onHand ?? none)
        numbers.append(before?.allocated ?? none)
        numbers.append(after?.allocated ?? none)
        numbers.append(outcome.version ?? none)
        numbers.append(outcome.change?.previousJobID ?? none)
    }

    /// Ids that most batches do not have, one for each job; an empty array where no job has one.
    static func addIDs(_ ids: [Int64?], to parameters: inout Parameters) {
        let count = ids.contains { $0 != nil } ? ids.count : 0
        parameters.addArray(of: count, int64: { ids[$0] ?? none })
    }

    // MARK: SQL

    /// Expressions over the array `array` at the job whose first number is behind the place `place`.
    struct Columns {
        var schema: QueueSchema
        /// A parameter of the statement.
        var array: String
        /// How many numbers a job has.
        var count: Int

        /// A row for each job: the elements of `arrays`, and the place of its numbers.
        func rows(_ arrays: [(parameter: String, name: String)]) -> String {
            let elements = arrays.map { "unnest(\($0.parameter)) AS \($0.name)" }.joined(separator: ", ")
            return "(SELECT \(elements), generate_series(0, cardinality(\(array)) - 1, \(count)) AS place) AS decided"
        }

        subscript(_ number: Number) -> String { "(\(array))[place + \(number.rawValue + 1)]" }

        /// A number that may be none.
        func optional(_ number: Number) -> String { "nullif(\(self[number]), \(none))" }

        /// An element of the array of `addIDs`.
        func id(_ parameter: String) -> String { "nullif((\(parameter))[place / \(count) + 1], \(none))" }

        func label<Names: DatabaseLabel>(_ label: Label, _ type: Names.Type) -> String {
            let mask = UInt8.max >> UInt8(UInt8(Names.allCases.count).leadingZeroBitCount)
            return "(\(SQL.labels(type, schema)))[(\(self[.labels]) >> \(label.rawValue)) & \(mask)]"
        }

        func flag(_ label: Label) -> String { "(\(self[.labels]) >> \(label.rawValue)) & 1 = 1" }

        /// The columns of `results` that come from the decision.
        static let decided = """
            applied_quantity, on_hand_before, on_hand_after, allocated_before, allocated_after, version, previous_job_id,
                outcome, code, warning, alert_before, alert_after
            """

        /// Their values, in the same order.
        var decided: String {
            """
            \(self[.appliedQuantity]), \(optional(.onHandBefore)), \(optional(.onHandAfter)),
                \(optional(.allocatedBefore)), \(optional(.allocatedAfter)), \(optional(.version)),
                \(optional(.previousJobID)),
                \(label(.outcome, Outcome.self)),
                \(label(.code, ResultCode.self)),
                CASE WHEN \(flag(.warnsNegative)) THEN 'negative_stock'::\(schema.quoted).warning END,
                \(label(.levelBefore, AlertLevel.self)),
                \(label(.levelAfter, AlertLevel.self))
            """
        }
    }
}
