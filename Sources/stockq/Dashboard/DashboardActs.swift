import CommandLineKit
import Foundation
import HTTPServer
import StockFormats
import StockModel
import StockQueue
import StockQueuePostgres

/// What an administrator does on the page: the acts of `stockq cancel`, `retry`, `reprioritize`, `pause` and `resume`.
///
/// The page asks twice. The first request has `dry_run`: the answer says what would happen, and to which jobs. The second
/// one names these very jobs, so that what was shown is what happens. The functions of the schema record each act.
struct DashboardAct: Sendable {
    enum Verb: String, Sendable, CaseIterable {
        case cancel, retry, reprioritize, pause, resume
    }

    /// Which jobs.
    enum Selection: Sendable {
        case queued(QueueAdmin.Selection)
        /// Finished jobs, for a retry.
        case finished([Int64])
        /// Queued jobs of a list.
        case jobList(JobList)
        /// Finished jobs of a list.
        case resultList(ResultList)
        /// What is paused or resumed.
        case scope(QueueAdmin.Scope)
    }

    let verb: Verb
    let isDryRun: Bool
    let selection: Selection
    let priority: Int?
    let reason: String?

    /// The most jobs of one act.
    static let jobsMax = 10_000

    // MARK: reading

    init(body: [UInt8]) throws {
        let value: JSONValue
        do throws(ValidationError) {
            value = try JSONReader.read(body[...])
        } catch {
            throw HTTPFailure(.badRequest, "the body is no JSON: \(error.message)")
        }
        guard let verb = Self.text(value["verb"]).flatMap(Verb.init) else {
            throw HTTPFailure(
                .badRequest, "verb is one of \(Verb.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        self.verb = verb
        // Only an explicit false acts.
        isDryRun = value["dry_run"] != .bool(false)
        priority = Self.number(value["priority"]).flatMap { Int(exactly: $0) }
        reason = Self.text(value["reason"])
        if verb == .reprioritize, priority.map({ (1...JobRequest.priorityMax).contains($0) }) != true {
            throw HTTPFailure(.badRequest, "priority is a whole number from 1 to \(JobRequest.priorityMax)")
        }
        selection = try Self.selection(verb, value)
    }

    private static func selection(_ verb: Verb, _ value: JSONValue) throws -> Selection {
        switch verb {
        case .pause, .resume: .scope(try scope(value))
        case .retry:
            if let filter = text(value["filter"]) {
                .resultList(try resultList(filter))
            } else {
                .finished(try jobs(value))
            }
        case .cancel, .reprioritize:
            if let filter = text(value["filter"]) {
                .jobList(try DashboardQueries.jobList(query(filter), limit: jobsMax))
            } else {
                .queued(try queued(value))
            }
        }
    }

    private static func scope(_ value: JSONValue) throws -> QueueAdmin.Scope {
        let (store, lane) = (text(value["store"]), number(value["lane"]))
        switch (store, lane, value["everything"] == .bool(true)) {
        case (let store?, nil, false): return .store(store)
        case (nil, let lane?, false):
            guard let number = Int(exactly: lane), QueueAdmin.Scope.lanes.contains(number) else {
                throw HTTPFailure(.badRequest, "there are lanes 0 to \(QueueAdmin.Scope.lanes.upperBound)")
            }
            return .lane(number)
        case (nil, nil, true): return .everything
        default: throw HTTPFailure(.badRequest, "name a store, or a lane, or everything")
        }
    }

    private static func queued(_ value: JSONValue) throws -> QueueAdmin.Selection {
        let (group, reference) = (text(value["group"]), text(value["reference"]))
        if group == nil && reference == nil { return .jobs(try jobs(value)) }
        guard let store = text(value["store"]) else {
            throw HTTPFailure(.badRequest, "name the store of the group or the reference")
        }
        if let group { return .group(store: store, group) }
        return .reference(store: store, reference ?? "")
    }

    private static func jobs(_ value: JSONValue) throws -> [Int64] {
        guard case .array(let elements)? = value["jobs"], !elements.isEmpty, elements.count <= jobsMax else {
            throw HTTPFailure(.badRequest, "jobs is a list of 1 to \(jobsMax) job ids")
        }
        return try elements.map { element in
            guard let id = number(element), id > 0 else { throw HTTPFailure(.badRequest, "a job id is a whole number") }
            return id
        }
    }

    /// A retry of a filter needs an outcome: applied jobs are never retried.
    private static func resultList(_ filter: String) throws -> ResultList {
        let list = try DashboardQueries.resultList(query(filter), limit: jobsMax)
        guard let outcome = list.outcome, [.failed, .rejected, .canceled].contains(outcome) else {
            throw HTTPFailure(.badRequest, "only failed, rejected and canceled jobs are retried: filter by the outcome")
        }
        return list
    }

    private static func query(_ text: String) -> QueryParameters { QueryParameters(Array(text.utf8)[...]) }

    private static func text(_ value: JSONValue?) -> String? {
        if case .string(let text)? = value, !text.isEmpty { text } else { nil }
    }

    private static func number(_ value: JSONValue?) -> Int64? {
        if case .number(let number)? = value { number.int64 } else { nil }
    }

    // MARK: acting

    /// What happened, or would happen.
    struct Outcome {
        /// A sentence.
        var text: String
        var count: Int
        /// Which jobs the act is about: what the page sends to do it.
        var jobs: [Int64] = []
    }

    /// Does it, or rehearses it in a transaction that is rolled back.
    ///
    /// - Parameter name: who acts, for the record.
    func perform(_ connection: Connection, _ schema: QueueSchema, for name: String?) throws -> Outcome {
        let inspector = Inspector(connection: connection, schema: schema)
        let admin = QueueAdmin(connection: connection, schema: schema)
        if case .scope(let scope) = selection, isDryRun { return try describe(scope, inspector) }
        let resolved = try resolve(inspector)
        if isDryRun { return try admin.rehearse { try run(resolved, $0, inspector) } }
        return try admin.perform(for: name) { try run(resolved, $0, inspector) }
    }

    /// A list as the jobs that are in it now.
    private func resolve(_ inspector: Inspector) throws -> Selection {
        switch selection {
        case .jobList(let list): return .queued(.jobs(try Self.ids(inspector.rows(of: list))))
        case .resultList(var list):
            list.after = try inspector.firstOfNewest(DashboardQueries.searchedJobs)
            list.leavesOutRetried = true
            return .finished(try Self.ids(inspector.rows(of: list), where: Self.canBeRetried))
        case .queued, .finished, .scope: return selection
        }
    }

    private static func ids(_ rows: [String], where isWanted: (Row) -> Bool = { _ in true }) throws -> [Int64] {
        try rows.map { try Row(json: $0) }.filter(isWanted).compactMap { $0.number("job_id") }
    }

    /// What else `jobs_to_retry` accepts. A job of a list that it does not accept is left out; a job that is named is an error.
    private static func canBeRetried(_ result: Row) -> Bool {
        result["first_job_id"].isEmpty
            && ![ResultCode.idempotencyMismatch, .groupTooLarge].map(\.rawValue).contains(result["code"])
    }

    private func run(_ selection: Selection, _ admin: QueueAdmin, _ inspector: Inspector) throws -> Outcome {
        func were(_ count: Int) -> String { isDryRun ? "would be" : count == 1 ? "was" : "were" }
        switch (verb, selection) {
        case (.cancel, .queued(let jobs)):
            let canceled = try admin.cancel(jobs, reason: reason)
            return Outcome(
                text: "\(counted(canceled.count, "queued job")) \(were(canceled.count)) canceled, groups whole.",
                count: canceled.count, jobs: canceled)
        case (.reprioritize, .queued(let jobs)):
            let ids = try Self.ids(inspector.rows(of: SelectedJobList(jobs)))
            let count = try admin.reprioritize(jobs, to: priority ?? JobRequest.priorityMax)
            return Outcome(
                text:
                    "\(counted(count, "queued job")) \(were(count)) given the priority \(priority ?? 0), groups whole.",
                count: count, jobs: ids)
        case (.retry, .finished(let jobs)):
            let retries = try admin.retry(jobs)
            return Outcome(
                text:
                    "\(counted(retries.count, "job")) \(were(retries.count)) enqueued again, groups whole, behind what is queued.",
                count: retries.count, jobs: retries.map(\.retryOf))
        case (.pause, .scope(let scope)):
            try admin.pause(scope)
            return Outcome(text: "\(Self.name(scope)) is paused.", count: 0)
        case (.resume, .scope(let scope)):
            let jobs = try admin.resume(scope)
            return Outcome(
                text:
                    "\(Self.name(scope)) is worked again; \(counted(jobs, "paused job")) \(jobs == 1 ? "is" : "are") ready.",
                count: jobs)
        default: throw HTTPFailure(.badRequest, "\(verb.rawValue) does not take this selection")
        }
    }

    /// What pausing or resuming would do. A rehearsal would wait for the batches that have the lanes locked.
    private func describe(_ scope: QueueAdmin.Scope, _ inspector: Inspector) throws -> Outcome {
        let state = try inspector.scopeState(scope)
        guard state.isKnown else {
            throw HTTPFailure(.notFound, "there are no items and no jobs of \(Self.name(scope))")
        }
        let jobs =
            state.jobs > ScopeState.jobsMax
            ? "more than \(grouped(ScopeState.jobsMax)) queued jobs" : counted(state.jobs, "queued job")
        let text =
            switch (verb, state.isPaused) {
            case (.pause, true): "\(Self.name(scope)) is paused already; it has \(jobs)."
            case (.pause, false):
                "\(Self.name(scope)) would be paused: workers would finish their batches, and then skip its \(jobs)."
            case (_, true): "\(Self.name(scope)) would be worked again; it has \(jobs)."
            case (_, false): "\(Self.name(scope)) is not paused; it has \(jobs)."
            }
        return Outcome(text: text, count: Int(clamping: state.jobs))
    }

    private static func name(_ scope: QueueAdmin.Scope) -> String {
        switch scope {
        case .everything: "everything"
        case .store(let name): "the store \(name.shownName)"
        case .lane(let number): "lane \(number)"
        }
    }

    /// The answer to the page.
    func json(_ outcome: Outcome) -> String {
        JSON.object([
            ("verb", .string(verb.rawValue)), ("dry_run", .bool(isDryRun)), ("text", .string(outcome.text)),
            ("count", .integer(outcome.count)), ("jobs", .array(outcome.jobs.map { .integer($0) })),
        ]).text
    }
}
