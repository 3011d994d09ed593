import HTTPServer
import StockFormats
import StockModel

/// The bodies that have jobs.
enum JobBody {
    /// The fields of a job in a body: those of the table, without the store, which the path has.
    static let fields = JobField.allCases.filter { $0 != .storeID }
    static let definitions = fields.map(\.definition)

    static func value(_ request: Request) throws(Problem) -> JSONValue {
        do throws(InvalidField) {
            return try JSONBody.read(request.body)
        } catch {
            throw Problem(Problem.Fault(.pointer(""), error.sentence))
        }
    }

    /// The one job of a body.
    static func job(_ request: Request, store: String) throws(Problem) -> JobRequest {
        try job(try value(request), store: store, at: "")
    }

    /// The jobs of a body: `{"jobs": […]}`.
    static func jobs(_ request: Request, store: String, max: Int) throws(Problem) -> [JobRequest] {
        let body = try value(request)
        guard case .object(let members) = body else {
            throw Problem(Problem.Fault(.pointer(""), "the body must be an object with jobs"))
        }
        if let member = members.first(where: { $0.key != "jobs" }) {
            throw FieldValues.fault(
                "", member.key, "\(ValidationError.shown(member.key.utf8)) is not known here; known is jobs")
        }
        guard case .array(let elements)? = body["jobs"], (1...max).contains(elements.count) else {
            throw Problem(Problem.Fault(.pointer("/jobs"), "jobs must be an array of 1 to \(max) jobs"))
        }
        var jobs: [JobRequest] = []
        for (index, element) in elements.enumerated() {
            jobs.append(try job(element, store: store, at: "/jobs/\(index)"))
        }
        try requireUniqueKeys(jobs)
        return jobs
    }

    private static func job(_ value: JSONValue, store: String, at pointer: String) throws(Problem) -> JobRequest {
        var job = JobRequest(store: store, item: "", quantity: 0)
        try FieldValues.read(value, definitions, at: pointer) { job.set(fields[$0], $1) }
        do throws(ValidationError) {
            try job.validate()
        } catch {
            // Each value is valid, so it is the combination.
            if error.field == JobField.storeID.rawValue { throw Problem(.unknownStore) }
            var problem = Problem(.conflictingFields, "\(error.message). Nothing was enqueued.")
            problem.faults = [Problem.Fault(.pointer(pointer + (error.field.map { "/\($0)" } ?? "")), error.message)]
            throw problem
        }
        return job
    }

    private static func requireUniqueKeys(_ jobs: [JobRequest]) throws(Problem) {
        var keys: Set<String> = []
        for (index, job) in jobs.enumerated() {
            guard let key = job.idempotencyKey, !keys.insert(key).inserted else { continue }
            var problem = Problem(.conflictingFields, "Two jobs have the same idempotency_key. Nothing was enqueued.")
            problem.faults = [
                Problem.Fault(.pointer("/jobs/\(index)/idempotency_key"), "another job of the body has this key")
            ]
            throw problem
        }
    }
}
