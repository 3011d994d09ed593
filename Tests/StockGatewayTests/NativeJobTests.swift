import HTTPServer
import StockFormats
import StockGateway
import StockModel
import Testing

/// The operations of the native API that enqueue, decide, look up and cancel jobs, without a database.
@Suite("Native API: jobs") struct NativeJobTests {
    private static let jobs = "/v1/stores/s/jobs"
    private static let token = "Authorization: Bearer t"

    private static func post(
        _ body: String, to target: String = jobs, _ fields: [String] = []
    ) -> String {
        WireRequest("POST", target, [token, "Content-Type: application/json"] + fields, body).bytes
    }

    /// The call that a request amounts to.
    private static func submission(_ request: String) throws -> (call: StockCall, jobs: JobSubmission) {
        guard case .submit(let call, _) = try TestGateway().plan(request), let submission = call.submission else {
            throw TestError("no submission")
        }
        return (call, submission)
    }

    private static func problem(_ answer: WireAnswer) throws -> JSONValue {
        #expect(answer["Content-Type"] == "application/problem+json", "\(answer)")
        let body = try JSONReader.read(Array(answer.body.utf8)[...])
        #expect(body["status"] == .integer(answer.status))
        return body
    }

    // MARK: requests

    @Test("one job has every field of the table") func everyField() throws {
        let body = #"""
            {"item_id":"a","location_id":"cellar","quantity":-2,"action":"adjust","on_insufficient":"partial",
            "group_id":"g","priority":3,"run_at":"2030-01-02T03:04:05.1234567Z","expires_at":"2030-01-03T22:00:00+23:00",
            "expected_available":5,"notify":false,"max_attempts":7,"reason":"r","reference":"o","idempotency_key":"k",
            "actor":"till 3","occurred_at":"2029-12-31T00:00:00Z","metadata":{"lot":[1.50,null]}}
            """#
        let (call, submission) = try Self.submission(Self.post(body))
        var job = JobRequest(store: "s", item: "a", quantity: -2)
        job.locationID = "cellar"
        job.onInsufficient = .partial
        job.groupID = "g"
        job.priority = 3
        job.runAtMicroseconds = RFC3339.microsecondsSince2000(Array("2030-01-02T03:04:05.123456Z".utf8)[...])
        job.expiresAtMicroseconds = RFC3339.microsecondsSince2000(Array("2030-01-02T23:00:00Z".utf8)[...])
        job.expectedAvailable = 5
        job.notify = false
        job.maxAttempts = 7
        job.reason = "r"
        job.reference = "o"
        job.idempotencyKey = "k"
        job.actor = "till 3"
        job.occurredAtMicroseconds = RFC3339.microsecondsSince2000(Array("2029-12-31T00:00:00Z".utf8)[...])
        job.metadata = #"{"lot":[1.50,null]}"#
        #expect(submission.jobs == [job])
        #expect(call.access.store == .named("s") && call.access.scopes == [.updateCatalog])
        #expect(call.access.caller.credential?.token == "t")
        let keyed = try Self.submission(Self.post(#"{"item_id":"a","quantity":1,"ordering_key":"o"}"#))
        #expect(keyed.jobs.jobs[0].orderingKey == "o")
        let counted = try Self.submission(
            Self.post(#"{"item_id":"a","quantity":1,"action":"set","counted_at":"2026-01-01T00:00:00Z"}"#))
        #expect(
            counted.jobs.jobs[0].countedAtMicroseconds
                == RFC3339.microsecondsSince2000(Array("2026-01-01T00:00:00Z".utf8)[...]))
        let given = try JSONReader.read(Array(body.utf8)[...])
        let others: [JobField] = [.storeID, .orderingKey, .countedAt]
        #expect(JobField.allCases.allSatisfy { others.contains($0) || given[$0.rawValue] != nil })
    }

    @Test("a null is a field that is not given, and 5.0 is 5") func nullsAndNumbers() throws {
        let (_, submission) = try Self.submission(Self.post(#"{"item_id":"a","quantity":5.0,"reason":null}"#))
        #expect(submission.jobs == [JobRequest(store: "s", item: "a", quantity: 5)])
    }

    @Test("the jobs of a list keep their order and their groups") func lists() throws {
        let body = #"{"jobs":[{"item_id":"a","quantity":-1,"group_id":"g"},{"item_id":"b","quantity":2}]}"#
        let (call, submission) = try Self.submission(Self.post(body, to: "/v1/stores/s/submissions"))
        #expect(submission.jobs.map(\.itemID) == ["a", "b"] && submission.jobs.map(\.groupID) == ["g", nil])
        #expect(call.lines.count == 2)
    }

    @Test("an Idempotency-Key names the one job, and with a number each job of a list") func keys() throws {
        let job = #"{"item_id":"a","quantity":1}"#
        for field in ["Idempotency-Key: k-1", #"Idempotency-Key: "k-1""#] {
            let one = try Self.submission(Self.post(job, [field])).jobs
            #expect(one.jobs.map(\.idempotencyKey) == ["k-1"] && one.isKeyed && one.unusedKeys == ["k-1/1"])
            let list = try Self.submission(
                Self.post(#"{"jobs":[\#(job),\#(job)]}"#, to: "/v1/stores/s/submissions", [field])
            ).jobs
            #expect(list.jobs.map(\.idempotencyKey) == ["k-1/1", "k-1/2"] && list.unusedKeys == ["k-1", "k-1/3"])
        }
        for field in ["Idempotency-Key: a b", "Idempotency-Key:", #"Idempotency-Key: "a"#] {
            #expect(try TestGateway().answer(Self.post(job, [field])).status == 400, "\(field)")
        }
        let both = try TestGateway().answer(
            Self.post(#"{"item_id":"a","quantity":1,"idempotency_key":"i"}"#, ["Idempotency-Key: k"]))
        #expect(both.status == 409)
    }

    struct PreferCase: Sendable {
        var fields: [String]
        var acceptedAfterMs: Int?
        var applied: String?
        var body = #"{"item_id":"a","quantity":1}"#
    }

    @Test(
        "Prefer decides how long the answer takes; a deferred job is not waited for",
        arguments: [
            PreferCase(fields: []), PreferCase(fields: ["Prefer: wait=5"], acceptedAfterMs: 5_000, applied: "wait=5"),
            PreferCase(fields: ["Prefer: respond-async"], acceptedAfterMs: 0, applied: "respond-async"),
            PreferCase(
                fields: ["Prefer: Respond-Async , wait = \"3\";x=y", "Prefer: wait=4"], acceptedAfterMs: 3_000,
                applied: "respond-async, wait=3"),
            PreferCase(fields: ["Prefer: wait=600"], acceptedAfterMs: 15_000, applied: "wait=15"),
            PreferCase(fields: ["Prefer: wait=soon, handling=lenient"]),
            PreferCase(
                fields: [], acceptedAfterMs: 0,
                body: #"{"item_id":"a","quantity":-1,"run_at":"2030-01-01T00:00:00Z"}"#),
            PreferCase(
                fields: [], acceptedAfterMs: 0, body: #"{"item_id":"a","quantity":-1,"on_insufficient":"wait"}"#),
        ]) func preferences(_ input: PreferCase) throws
    {
        let request = Self.post(input.body, input.fields)
        #expect(try Self.submission(request).jobs.acceptedAfterMs == input.acceptedAfterMs)
        var gateway = TestGateway()
        gateway.submission = .success(.accepted([AcceptedJob(7, isDuplicate: false)]))
        let answer = try gateway.answer(request)
        #expect(answer.status == 202 && answer["Preference-Applied"] == input.applied, "\(answer)")
    }

    // MARK: answers

    @Test("an applied job is 200 with its result") func applied() throws {
        var gateway = TestGateway()
        gateway.submission = .success(.decided([.result(.applied, item: "a")]))
        let answer = try gateway.answer(Self.post(#"{"item_id":"a","quantity":-10}"#))
        #expect(answer.status == 200)
        #expect(
            answer.body
                == #"{"job_id":77,"state":"finished","store_id":"s","item_id":"a","location_id":"main","action":"adjust","#
                + #""quantity":-10,"outcome":"applied","applied_quantity":0,"on_hand_before":20,"on_hand_after":20,"#
                + #""allocated_before":0,"allocated_after":0,"finished_at":"2018-05-01T10:10:57.000000Z"}"#)
    }

    @Test("a rejected job is a problem with its code and its result") func rejected() throws {
        var gateway = TestGateway()
        gateway.submission = .success(.decided([.result(.rejected, .insufficientStock, item: "a")]))
        let answer = try gateway.answer(Self.post(#"{"item_id":"a","quantity":-10}"#))
        let problem = try Self.problem(answer)
        #expect(answer.status == 409 && problem["type"] == "/v1/problems/rejected")
        #expect(problem["code"] == "insufficient_stock")
        guard case .array(let jobs)? = problem["jobs"] else { throw TestError("no jobs") }
        #expect(jobs.count == 1 && jobs[0]["job_id"] == 77)
    }

    @Test("of a rejected group the problem has the code of the line that caused it") func rejectedGroup() throws {
        var gateway = TestGateway()
        gateway.submission = .success(
            .decided([.result(.rejected, .groupRejected), .result(.rejected, .unknownItem)]))
        let body =
            #"{"jobs":[{"item_id":"a","quantity":1,"group_id":"g"},{"item_id":"b","quantity":1,"group_id":"g"}]}"#
        let answer = try gateway.answer(Self.post(body, to: "/v1/stores/s/submissions"))
        #expect(try Self.problem(answer)["code"] == "unknown_item")
    }

    @Test("a list of which one job was applied is 200") func mixedList() throws {
        var gateway = TestGateway()
        gateway.submission = .success(.decided([.result(.applied), .result(.rejected, .stale)]))
        let body = #"{"jobs":[{"item_id":"a","quantity":1},{"item_id":"b","quantity":1}]}"#
        let answer = try gateway.answer(Self.post(body, to: "/v1/stores/s/submissions"))
        #expect(answer.status == 200 && answer.body.hasPrefix(#"{"jobs":[{"job_id":77,"#), "\(answer)")
    }

    @Test("jobs that were canceled before their decision are undecided") func canceled() throws {
        var gateway = TestGateway()
        gateway.submission = .success(.decided([.result(.canceled)]))
        let answer = try gateway.answer(Self.post(#"{"item_id":"a","quantity":1}"#))
        #expect(answer.status == 503 && answer["Retry-After"] == nil)
        #expect(try Self.problem(answer)["type"] == "/v1/problems/undecided")
    }

    @Test("accepted jobs have a Location: of a job, or of the new jobs of a submission") func accepted() throws {
        var gateway = TestGateway()
        gateway.submission = .success(
            .accepted([
                AcceptedJob(3, isDuplicate: true), AcceptedJob(12, isDuplicate: false),
                AcceptedJob(15, isDuplicate: false),
            ]))
        let list = try gateway.answer(
            Self.post(
                #"{"jobs":[{"item_id":"a","quantity":1}]}"#, to: "/v1/stores/a%2Fb%20%C3%A9/submissions"))
        #expect(list.status == 202 && list["Location"] == "/v1/stores/a%2Fb%20%C3%A9/submissions/12-15", "\(list)")
        #expect(list.body.hasPrefix(#"{"jobs":[{"job_id":3,"is_duplicate":true},"#))
        let one = try gateway.answer(Self.post(#"{"item_id":"a","quantity":1}"#))
        #expect(one["Location"] == "/v1/stores/s/jobs/3" && one.body == #"{"job_id":3,"is_duplicate":true}"#)
    }

    // MARK: faults

    struct Fault: Sendable, CustomTestStringConvertible {
        var body: String
        var pointer: String
        var status = 400
        var testDescription: String { body }

        init(_ body: String, _ pointer: String, _ status: Int = 400) {
            (self.body, self.pointer, self.status) = (body, pointer, status)
        }
    }

    @Test(
        "a body with a fault names the place, and nothing is enqueued",
        arguments: [
            Fault("", "#"), Fault("[]", "#"), Fault("{", "#"), Fault(#"{"quantity":1}"#, "#/item_id"),
            Fault(#"{"item_id":"a"}"#, "#/quantity"), Fault(#"{"item_id":"a","quantity":"1"}"#, "#/quantity"),
            Fault(#"{"item_id":"a","quantity":1.5}"#, "#/quantity"),
            Fault(#"{"item_id":"a","quantity":9007199254740992}"#, "#/quantity"),
            Fault(#"{"item_id":"","quantity":1}"#, "#/item_id"), Fault(#"{"item_id":5,"quantity":1}"#, "#/item_id"),
            Fault(#"{"item_id":"a\u200b","quantity":1}"#, "#/item_id"),
            Fault(#"{"item_id":"a","quantity":1,"a/b":1}"#, "#/a~1b"),
            Fault(#"{"item_id":"a","quantity":1,"store_id":"t"}"#, "#/store_id"),
            Fault(#"{"item_id":"a","quantity":1,"priority":5}"#, "#/priority"),
            Fault(#"{"item_id":"a","quantity":1,"action":"steal"}"#, "#/action"),
            Fault(#"{"item_id":"a","quantity":1,"notify":"yes"}"#, "#/notify"),
            Fault(#"{"item_id":"a","quantity":1,"run_at":"tomorrow"}"#, "#/run_at"),
            Fault(#"{"item_id":"a","item_id":"b","quantity":1}"#, "#"),
            Fault(#"{"item_id":"a","quantity":0,"action":"ship"}"#, "#/quantity", 409),
            Fault(#"{"item_id":"a","quantity":1,"action":"ship","on_insufficient":"wait"}"#, "#/on_insufficient", 409),
            Fault(#"{"item_id":"a","quantity":1,"group_id":"g","ordering_key":"o"}"#, "#/ordering_key", 409),
            Fault(
                #"{"item_id":"a","quantity":1,"run_at":"2030-01-02T00:00:00Z","expires_at":"2030-01-01T00:00:00Z"}"#,
                "#/expires_at", 409),
        ]) func faults(_ input: Fault) throws
    {
        let answer = try TestGateway().answer(Self.post(input.body))
        #expect(answer.status == input.status, "\(answer)")
        let problem = try Self.problem(answer)
        guard case .array(let errors)? = problem["errors"] else { throw TestError("no errors: \(answer)") }
        #expect(errors.map { $0["pointer"] } == [.string(input.pointer)])
    }

    @Test("a list has 1 to 500 jobs, each valid, with different keys") func listFaults() throws {
        let job = #"{"item_id":"a","quantity":1}"#
        let keyed = #"{"item_id":"a","quantity":1,"idempotency_key":"k"}"#
        let many = Array(repeating: job, count: 501).joined(separator: ",")
        for (body, pointer, status) in [
            (#"{"jobs":[]}"#, "#/jobs", 400), (#"{}"#, "#/jobs", 400), (#"{"jobs":{}}"#, "#/jobs", 400),
            (#"{"jobs":[\#(many)]}"#, "#/jobs", 400), (#"{"jobs":[\#(job),5]}"#, "#/jobs/1", 400),
            (#"{"jobs":[\#(job)],"x":1}"#, "#/x", 400),
            (#"{"jobs":[\#(keyed),\#(keyed)]}"#, "#/jobs/1/idempotency_key", 409),
        ] {
            for target in ["submissions", "dry-runs"] {
                let answer = try TestGateway().answer(Self.post(body, to: "/v1/stores/s/\(target)"))
                #expect(answer.status == status && answer.body.contains("\"pointer\":\"\(pointer)\""), "\(answer)")
            }
        }
    }

    @Test("a wrong token is reported before a fault of the body") func accessFirst() throws {
        let answer = try TestGateway(failing: .invalidCredential).answer(Self.post("{}"))
        #expect(answer.status == 401 && answer["WWW-Authenticate"] == #"Bearer error="invalid_token""#)
    }

    // MARK: look-up, cancellation, dry runs

    @Test(
        "a look-up names its job, submission, group or key",
        arguments: [
            ("jobs/12", .job(12)), ("submissions/12-15", .submission(first: 12, last: 15)),
            ("groups/order%2F7", .group("order/7")), ("keys/k%201", .key("k 1")),
        ] as [(String, NativeQuery.Subject)]) func lookups(path: String, subject: NativeQuery.Subject) throws
    {
        let request = WireRequest("GET", "/v1/stores/s/\(path)", [Self.token]).bytes
        guard case .native(let query, _) = try TestGateway().plan(request) else { throw TestError("no query") }
        #expect(query.subject == subject && query.access.scopes.isEmpty)
        #expect(try TestGateway().answer(request).status == 404)
        var gateway = TestGateway()
        gateway.native = .success(NativeRows([NativeRows.Row(#"{"job_id":12}"#)]))
        let answer = try gateway.answer(request)
        #expect(answer.status == 200 && answer.body.contains(#"{"job_id":12}"#))
    }

    @Test(
        "an id that no job has is 404",
        arguments: [
            "jobs/0", "jobs/x", "jobs/99999999999999999999",
            "submissions/5-4", "submissions/5", "submissions/1-200000", "submissions/a-b",
        ])
    func impossibleIDs(path: String) throws {
        let answer = try TestGateway().answer(WireRequest("GET", "/v1/stores/s/\(path)", [Self.token]).bytes)
        #expect(answer.status == 404)
        #expect(try Self.problem(answer)["type"] == "/v1/problems/not_found")
    }

    @Test("a cancellation answers the jobs that it canceled, and 409 when none was queued") func cancellation() throws {
        for (path, subject) in [("jobs/5/cancel", .cancelJob(5)), ("groups/g/cancel", .cancelGroup("g"))]
            as [(String, NativeQuery.Subject)]
        {
            let request = WireRequest("POST", "/v1/stores/s/\(path)", [Self.token]).bytes
            guard case .native(let query, _) = try TestGateway().plan(request) else { throw TestError("no query") }
            #expect(query.subject == subject && query.access.scopes == [.updateCatalog])
            var row = NativeRows.Row(#"{"job_id":5}"#)
            var gateway = TestGateway()
            gateway.native = .success(NativeRows([row]))
            let finished = try gateway.answer(request)
            #expect(finished.status == 409 && finished.body.contains(#""jobs":[{"job_id":5}]"#))
            row.isCanceled = true
            gateway.native = .success(NativeRows([row, NativeRows.Row(#"{"job_id":6}"#)]))
            let canceled = try gateway.answer(request)
            #expect(canceled.status == 200 && canceled.body == #"{"jobs":[{"job_id":5}]}"#)
            #expect(try TestGateway().answer(request).status == 404)
        }
    }

    @Test("a dry run shows what would become of each job") func dryRun() throws {
        var gateway = TestGateway()
        gateway.dryRun = .success([
            DryRunLine(
                .rejected, code: .insufficientStock, before: Balance(onHand: 1), after: Balance(onHand: 1)),
            DryRunLine(nil, before: Balance(onHand: 1), after: Balance(onHand: 1)),
        ])
        let body = #"{"jobs":[{"item_id":"a","quantity":-2},{"item_id":"a","quantity":-2,"on_insufficient":"wait"}]}"#
        let answer = try gateway.answer(Self.post(body, to: "/v1/stores/s/dry-runs"))
        #expect(answer.status == 200)
        #expect(
            answer.body.hasPrefix(
                #"{"jobs":[{"waits":false,"outcome":"rejected","code":"insufficient_stock","applied_quantity":0,"#))
        #expect(answer.body.contains(#"{"waits":true,"applied_quantity":0,"#))
    }
}
