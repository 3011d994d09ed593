import StockModel
import StockQueuePostgres

extension FieldSQLType {
    var parameterType: TypeOID {
        switch self {
        case .text: .text
        case .bigint: .int8
        case .integer: .int4
        case .boolean: .bool
        case .timestamptz: .timestamptz
        case .jsonb: .jsonb
        }
    }

    var arrayType: TypeOID {
        switch self {
        case .text: .textArray
        case .bigint: .int8Array
        case .integer: .int4Array
        case .boolean: .boolArray
        case .timestamptz: .timestamptzArray
        case .jsonb: .jsonbArray
        }
    }
}

extension Parameters {
    /// Adds a field's value in the form of its SQL type.
    mutating func add(_ value: FieldValue, as type: FieldSQLType) {
        switch value {
        case .null: add(nil as String?)
        case .text(let text): if type == .jsonb { add(jsonb: text) } else { add(text) }
        case .integer(let number): if type == .integer { add(Int32(number)) } else { add(number) }
        case .flag(let flag): add(flag)
        case .time(let microseconds): add(Timestamp(microsecondsSince2000: microseconds))
        }
    }

    /// Adds one field of a list of jobs as an array; NULL where no job gives it.
    mutating func addArray(_ jobs: [JobRequest], _ field: JobField, as type: FieldSQLType) {
        let values = jobs.map { $0.value(of: field) }
        if values.allSatisfy({ $0 == .null }) { return add(nil as String?) }
        switch type {
        case .text: addArray(values.map { if case .text(let text) = $0 { text } else { nil } })
        case .bigint:
            addArray(of: values.count, int64: { if case .integer(let number) = values[$0] { number } else { nil } })
        case .boolean: addArray(of: values.count, bool: { values[$0] == .flag(true) })
        case .timestamptz:
            addArray(
                of: values.count,
                optionalTimestamp: {
                    if case .time(let time) = values[$0] { Timestamp(microsecondsSince2000: time) } else { nil }
                })
        case .jsonb:
            addArray(of: values.count, jsonb: { if case .text(let text) = values[$0] { text } else { nil } })
        case .integer: preconditionFailure("\(field.rawValue) is a field of a whole list")
        }
    }
}

extension JobDelays {
    static let types: [TypeOID] = [.int8, .int8]

    func add(to parameters: inout Parameters) {
        parameters.add(runAfterSeconds)
        parameters.add(expireAfterSeconds)
    }

    /// The argument of a field, which is a delay where the producer gives no time.
    ///
    /// - Parameter first: the number of the first parameter of the delays.
    fileprivate static func argument(_ field: FieldDefinition, _ value: String, first: Int) -> String {
        switch JobField(rawValue: field.name) {
        case .runAt: "coalesce(\(value), now() + $\(first) * interval '1 second')"
        case .expiresAt: "coalesce(\(value), now() + $\(first + 1) * interval '1 second')"
        default: value
        }
    }
}

/// Enqueues one job by the SQL function, which finds duplicates and checks the store's limit.
///
/// It always passes all arguments, so that there is one statement with one name.
struct EnqueueStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let fields = JobField.definitions
        let arguments = fields.enumerated().map { index, field in
            "\(field.name) => \(JobDelays.argument(field, "$\(index + 1)", first: fields.count + 1))"
        }
        statement = Statement(
            "enqueue", fields.map(\.sqlType.parameterType) + JobDelays.types,
            "SELECT \(Receipt.columns) FROM \(schema.quoted).enqueue(\(arguments.joined(separator: ", ")))")
    }

    static func parameters(_ job: JobRequest, _ delays: JobDelays) -> Parameters {
        var parameters = Parameters()
        for (field, definition) in zip(JobField.allCases, JobField.definitions) {
            parameters.add(job.value(of: field), as: definition.sqlType)
        }
        delays.add(to: &parameters)
        return parameters
    }
}

/// Enqueues a list of jobs of one store by the SQL function, which checks the caller's grant once a list.
struct EnqueueListStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        let fields = JobField.definitions
        let types = fields.map { $0.listArgument == nil ? $0.sqlType.parameterType : $0.sqlType.arrayType }
        let key = fields.count + 1
        let arguments =
            fields.enumerated().map { index, field in
                let value = JobDelays.argument(field, "$\(index + 1)", first: key + 1)
                return "\(quoteIdentifier(field.listArgument ?? field.name)) => \(value)"
            } + ["idempotency_key => $\(key)"]
        statement = Statement(
            "enqueue_list", types + [.text] + JobDelays.types,
            "SELECT \(Receipt.columns) FROM \(schema.quoted).enqueue_arrays(\(arguments.joined(separator: ", ")))")
    }

    /// - Parameter idempotencyKey: gives each line this key and its number.
    static func parameters(
        _ first: JobRequest, _ jobs: [JobRequest], idempotencyKey: String?, _ delays: JobDelays
    ) -> Parameters {
        var parameters = Parameters()
        for (field, definition) in zip(JobField.allCases, JobField.definitions) {
            if definition.listArgument == nil {
                parameters.add(first.value(of: field), as: definition.sqlType)
            } else {
                parameters.addArray(jobs, field, as: definition.sqlType)
            }
        }
        parameters.add(idempotencyKey)
        delays.add(to: &parameters)
        return parameters
    }
}

/// Moves stock from one location to another by the SQL function, which enqueues a group of two lines.
struct TransferStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "transfer", [.text, .text, .int8] + [TypeOID](repeating: .text, count: 7) + [.timestamptz, .jsonb],
            """
            SELECT \(Receipt.columns)
            FROM \(schema.quoted).transfer(
                $1, $2, $3, $4, $5, $6, $7, reason => $8, reference => $9, actor => $10, occurred_at => $11,
                metadata => $12)
            """)
    }
}

/// Whether a job has its result.
struct HasResultStatement: QueueStatement {
    let statement: Statement

    init(_ schema: QueueSchema) {
        statement = Statement(
            "has_result", [.int8],
            "SELECT EXISTS (SELECT FROM \(schema.quoted).results WHERE job_id = $1) AS has_result")
    }
}
