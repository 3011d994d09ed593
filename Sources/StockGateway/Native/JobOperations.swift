import HTTPServer
import StockFormats
import StockModel

/// The operations that enqueue, decide, look up and cancel jobs.
enum JobOperations {
    static let all = [enqueue, submit, dryRun, job, cancel, submission, group, cancelGroup, key]

    private static let store = "/v1/stores/{store_id}"

    private static func jobLinks(_ pointer: String) -> [NativeOperation.Link] {
        [.init("getJob", "job_id", pointer), .init("cancelJob", "job_id", pointer)]
    }

    // MARK: enqueueing

    private static let enqueue = NativeOperation(
        id: "enqueueJob", method: .post, path: "\(store)/jobs", summary: "Enqueue one job and wait for its result",
        scopes: [.updateCatalog], parameters: [.idempotencyKey, .prefer], body: "JobRequest",
        answers: [
            .init(
                200, "The job was applied or changed nothing; of a repeated call, the result of the first.", "Job",
                fields: ["Preference-Applied"], links: jobLinks("/job_id")),
            .init(
                202, "The job is in the queue, and Location has its result later.", "AcceptedJob",
                fields: ["Location", "Preference-Applied"], links: jobLinks("/job_id")),
        ], problems: [422]
    ) { input throws(Problem) in
        let job = try JobBody.job(input.request, store: input.store)
        return try SubmissionPlan(input, [job], isList: false).callPlan
    }

    private static let submit = NativeOperation(
        id: "submitJobs", method: .post, path: "\(store)/submissions",
        summary: "Enqueue several jobs in one transaction and wait for their results; jobs with the same group_id are "
            + "applied all together or not at all",
        scopes: [.updateCatalog], parameters: [.idempotencyKey, .prefer], body: "Submission",
        answers: [
            .init(
                200, "The results in the order of the jobs; at least one was not rejected.", "Jobs",
                fields: ["Preference-Applied"], links: jobLinks("/jobs/0/job_id")),
            .init(
                202, "The jobs are in the queue, and Location has their results later.", "AcceptedJobs",
                fields: ["Location", "Preference-Applied"], links: jobLinks("/jobs/0/job_id")),
        ], problems: [422]
    ) { input throws(Problem) in
        let jobs = try JobBody.jobs(input.request, store: input.store, max: input.settings.linesMax)
        return try SubmissionPlan(input, jobs, isList: true).callPlan
    }

    private static let dryRun = NativeOperation(
        id: "dryRun", method: .post, path: "\(store)/dry-runs",
        summary: "Decide jobs with the present stock by the workers' own function; nothing is written",
        scopes: [.readCatalog], body: "Submission",
        answers: [.init(200, "What would become of each job.", "Decisions")]
    ) { input throws(Problem) in
        let jobs = try JobBody.jobs(input.request, store: input.store, max: input.settings.linesMax)
        return .dryRun(DryRunCall(input.access, jobs)) { [access = input.access] answer in
            switch answer {
            case .success(let lines): JobAnswers.decisions(lines)
            case .failure(let failure): Problem(failure, access).response
            }
        }
    }

    // MARK: look-up

    private static let job = NativeOperation(
        id: "getJob", method: .get, path: "\(store)/jobs/{job_id}", summary: "Look up a job, queued or finished",
        answers: [.init(200, "The job.", "Job")]
    ) { input throws(Problem) in
        input.query(.job(try jobID(input))) { rows throws(Problem) in
            guard let row = rows.rows.first else { throw unknownJob }
            return .json(.ok, Array(row.json.utf8))
        }
    }

    private static let submission = NativeOperation(
        id: "getSubmission", method: .get, path: "\(store)/submissions/{submission}",
        summary: "Look up the jobs of a submission by the ids of its first and its last job: 12-15",
        answers: [.init(200, "Its jobs.", "Jobs")]
    ) { input throws(Problem) in
        let ends = input.path["submission"].split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count == 2, let first = Int64(pathText: String(ends[0])),
            let last = Int64(pathText: String(ends[1])),
            first > 0, last >= first, last - first <= idsMax
        else { throw Problem(.notFound, "There is no such submission.") }
        return input.query(.submission(first: first, last: last)) { rows throws(Problem) in
            try JobAnswers.list(rows, Problem(.notFound, "There is no such submission."))
        }
    }

    /// How far apart the first and the last id of a submission may be: ids of other producers can be between them.
    private static let idsMax: Int64 = 100_000

    private static let group = NativeOperation(
        id: "getGroup", method: .get, path: "\(store)/groups/{group_id}",
        summary: "Look up the jobs of every group with this name", answers: [.init(200, "Their jobs.", "Jobs")]
    ) { input throws(Problem) in
        input.query(.group(input.path["group_id"])) { rows throws(Problem) in try JobAnswers.list(rows, unknownGroup) }
    }

    private static let key = NativeOperation(
        id: "getKey", method: .get, path: "\(store)/keys/{idempotency_key}",
        summary: "Look up the job of an idempotency key", answers: [.init(200, "The job.", "Job")]
    ) { input throws(Problem) in
        input.query(.key(input.path["idempotency_key"])) { rows throws(Problem) in
            guard let row = rows.rows.first else { throw Problem(.notFound, "The store has no such idempotency key.") }
            return .json(.ok, Array(row.json.utf8))
        }
    }

    // MARK: cancel

    private static let cancel = NativeOperation(
        id: "cancelJob", method: .post, path: "\(store)/jobs/{job_id}/cancel",
        summary: "Cancel a queued job, together with its group", scopes: [.updateCatalog],
        answers: [.init(200, "The jobs that were canceled.", "Jobs")], problems: [409]
    ) { input throws(Problem) in
        input.query(.cancelJob(try jobID(input))) { rows throws(Problem) in try JobAnswers.canceled(rows, unknownJob) }
    }

    private static let cancelGroup = NativeOperation(
        id: "cancelGroup", method: .post, path: "\(store)/groups/{group_id}/cancel",
        summary: "Cancel the queued jobs of every group with this name", scopes: [.updateCatalog],
        answers: [.init(200, "The jobs that were canceled.", "Jobs")], problems: [409]
    ) { input throws(Problem) in
        input.query(.cancelGroup(input.path["group_id"])) { rows throws(Problem) in
            try JobAnswers.canceled(rows, unknownGroup)
        }
    }

    private static func jobID(_ input: NativeInput) throws(Problem) -> Int64 {
        guard let id: Int64 = input.path.value("job_id"), id > 0 else { throw unknownJob }
        return id
    }

    private static var unknownJob: Problem { Problem(.notFound, "The store has no such job.") }
    private static var unknownGroup: Problem { Problem(.notFound, "The store has no such group.") }
}
