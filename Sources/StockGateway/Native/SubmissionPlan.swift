import HTTPServer
import StockModel

/// A call that enqueues jobs: its key, how long it waits, and its answers.
struct SubmissionPlan: Sendable {
    let call: StockCall
    let store: String
    /// Whether the body was a list, and so the answer is one.
    let isList: Bool
    let preferenceApplied: String?

    init(_ input: NativeInput, _ jobs: [JobRequest], isList: Bool) throws(Problem) {
        let deadlineMs = input.settings.deadlineMs
        let preferences = Preferences(input.request.head)
        let isDeferred = jobs.contains { $0.runAtMicroseconds != nil || $0.onInsufficient == .wait }
        var submission = JobSubmission(
            jobs, acceptedAfterMs: preferences.acceptedAfterMs(isDeferred: isDeferred, deadlineMs: deadlineMs))
        if let key = try NativeIdempotencyKey.read(input.request.head) {
            try Self.apply(key.text, to: &submission, isList: isList)
        }
        call = StockCall(input.access, submission, deadlineMs: deadlineMs)
        store = input.store
        self.isList = isList
        preferenceApplied = preferences.applied(deadlineMs: deadlineMs)
    }

    /// One job has the key itself; those of a list have it with their numbers, as `enqueue_arrays` does it.
    private static func apply(_ key: String, to submission: inout JobSubmission, isList: Bool) throws(Problem) {
        for index in submission.jobs.indices {
            if submission.jobs[index].idempotencyKey != nil {
                var problem = Problem(
                    .conflictingFields, "Give Idempotency-Key or idempotency_key, not both. Nothing was enqueued.")
                problem.faults = [
                    Problem.Fault(.header("Idempotency-Key"), "must not be given together with idempotency_key")
                ]
                throw problem
            }
            submission.jobs[index].idempotencyKey = isList ? "\(key)/\(index + 1)" : key
        }
        submission.isKeyed = true
        submission.unusedKeys = isList ? [key, "\(key)/\(submission.jobs.count + 1)"] : ["\(key)/1"]
    }

    var callPlan: CallPlan { .submit(call) { self.response(to: $0) } }

    // MARK: the answer

    private func response(to answer: SubmissionAnswer) -> Response {
        var response =
            switch answer {
            case .failure(let failure): Problem(failure, call.access).response
            case .success(.decided(let results)): decided(results)
            case .success(.accepted(let jobs)): accepted(jobs)
            }
        if response.status.code < 300, let preferenceApplied {
            response.fields.add("Preference-Applied", preferenceApplied)
        }
        return response
    }

    private func decided(_ results: [LineResult]) -> Response {
        let jobs = results.map { JobAnswers.json($0, store: store) }
        let hasEffect = results.contains { $0.outcome == .applied || $0.outcome == .unchanged }
        guard !hasEffect else {
            return .json(.ok, Array((isList ? "{\"jobs\":[\(jobs.joined(separator: ","))]}" : jobs[0]).utf8))
        }
        if results.contains(where: { $0.outcome == .canceled }) {
            return Problem(.undecided, "The jobs were canceled before they were decided. Nothing was applied.").response
        }
        // The other lines of a group are rejected because of this one.
        let cause = results.first { $0.code != nil && $0.code != .groupRejected } ?? results[0]
        if cause.code == .idempotencyMismatch { return Problem(.idempotencyMismatch).response }
        var problem = Problem(.rejected, Self.reason(cause))
        problem.code = cause.code
        problem.jobs = jobs
        return problem.response
    }

    private static func reason(_ result: LineResult) -> String {
        let item = "item \(result.itemID) at \(result.locationID)"
        let available = result.before.map { "\($0.available) available" } ?? "nothing available"
        switch result.code {
        case .insufficientStock: return "The stock of \(item) is too small: \(available). Nothing was applied."
        case .insufficientAllocation:
            return "Less than \(result.quantity) of \(item) is allocated. Nothing was applied."
        case .unknownItem: return "The store has no \(item). Nothing was applied."
        case .stale: return "The stock of \(item) is not the expected one: \(available). Nothing was applied."
        case .outOfRange: return "The stock of \(item) would be out of range. Nothing was applied."
        case .invalidQuantity: return "The quantity does not go with the action. Nothing was applied."
        case .expired: return "The job expired before it was decided. Nothing was applied."
        case .groupTooLarge: return "The group has too many jobs. Nothing was applied."
        case .untracked, .noChange, .idempotencyMismatch, .groupRejected, nil:
            return "The database failed this job in all attempts. Nothing was applied."
        }
    }

    private func accepted(_ jobs: [AcceptedJob]) -> Response {
        var response = Response.json(.accepted, Array(JobAnswers.accepted(jobs, isList: isList).utf8))
        let place: String
        if !isList {
            place = "jobs/\(jobs[0].jobID)"
        } else {
            // Those of an earlier call are elsewhere.
            let new = jobs.filter { !$0.isDuplicate }
            let ids = (new.isEmpty ? jobs : new).map(\.jobID)
            place = "submissions/\(ids.min() ?? 0)-\(ids.max() ?? 0)"
        }
        response.fields.add("Location", "/v1/stores/\(PathText.encoded(store))/\(place)")
        return response
    }
}

/// Texts in the paths of answers.
enum PathText {
    /// Percent-encodes what is not unreserved (RFC 3986, section 2.3).
    static func encoded(_ text: String) -> String {
        var encoded = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                encoded.unicodeScalars.append(Unicode.Scalar(byte))
            default: encoded += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }
        return encoded
    }
}
