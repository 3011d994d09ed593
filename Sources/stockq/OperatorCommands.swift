import CommandLineKit
import StockModel
import StockQueue
import StockQueuePostgres

/// Which queued jobs an operator means: ids, or a group or reference of a store.
enum QueuedJobs {
    static let options = [
        Option("group", "G", "the jobs of this group of --store"),
        Option("reference", "R", "the jobs with this reference of --store"),
        Option("store", "STORE", "the store that a group or reference belongs to"),
    ]

    static func selection(_ arguments: Arguments, ids: [String]) throws -> QueueAdmin.Selection {
        let jobs = try ids.map { Int64(try arguments.number($0, named: "JOB", in: 1...Int.max)) }
        switch (jobs.isEmpty, arguments.text("group"), arguments.text("reference")) {
        case (false, nil, nil):
            if arguments.has("store") {
                throw UsageError("--store goes with --group or --reference, not with job ids", arguments.usage)
            }
            return .jobs(jobs)
        case (true, let group?, nil): return .group(store: try store(arguments), group)
        case (true, nil, let reference?): return .reference(store: try store(arguments), reference)
        default: throw UsageError("name jobs by their ids, or by --group, or by --reference", arguments.usage)
        }
    }

    private static func store(_ arguments: Arguments) throws -> String {
        guard let store = arguments.text("store") else {
            throw UsageError("a group or a reference belongs to a store: give --store", arguments.usage)
        }
        return store
    }
}

enum CancelCommand: Command {
    static let usage = Usage(
        command: "cancel", positionals: "[JOB…]", positionalCount: 0...1_000,
        summary: "Cancels queued jobs, groups whole.",
        options: QueuedJobs.options + [Option("reason", "TEXT", "kept in the results")],
        notes: "What a worker has just finished stays finished. Exit code 1 if nothing was canceled.")

    static func run(_ arguments: Arguments) throws -> Int32 {
        let selection = try QueuedJobs.selection(arguments, ids: arguments.positionals)
        let (connection, schema) = try Database.open(arguments)
        let canceled = try QueueAdmin(connection: connection, schema: schema).cancel(
            selection, reason: arguments.text("reason"))
        Terminal.print("\(grouped(canceled.count)) canceled\(canceled.isEmpty ? "" : ": ")\(list(canceled))")
        return canceled.isEmpty ? 1 : 0
    }
}

enum ReprioritizeCommand: Command {
    static let usage = Usage(
        command: "reprioritize", positionals: "PRIORITY [JOB…]", positionalCount: 1...1_000,
        summary: "Gives queued jobs another priority, 1 (first) to 4 (last), groups whole.",
        options: QueuedJobs.options,
        notes: "Exit code 1 if nothing was changed.")

    static func run(_ arguments: Arguments) throws -> Int32 {
        let priority = try arguments.number(arguments.positionals[0], named: "PRIORITY", in: 1...4)
        let selection = try QueuedJobs.selection(arguments, ids: Array(arguments.positionals.dropFirst()))
        let (connection, schema) = try Database.open(arguments)
        let changed = try QueueAdmin(connection: connection, schema: schema).reprioritize(selection, to: priority)
        Terminal.print("\(grouped(changed)) changed")
        return changed > 0 ? 0 : 1
    }
}

enum RetryCommand: Command {
    static let usage = Usage(
        command: "retry", positionals: "[JOB…]", positionalCount: 0...1_000,
        summary: "Enqueues failed, rejected or canceled jobs again, groups whole, each once.",
        options: [
            Option("failed", nil, "all failed ones"), Option("code", "C", "all that were rejected with this code"),
            Option("store", "STORE", "with --failed or --code: of this store alone"),
            Option("since", "SPAN", "with --failed or --code: not older than this; default 1d"),
        ],
        notes: "The new jobs keep a link to the first ones. Exit code 1 if there was nothing to retry.")

    static func run(_ arguments: Arguments) throws -> Int32 {
        let jobs = try arguments.positionals.map { Int64(try arguments.number($0, named: "JOB", in: 1...Int.max)) }
        var code: ResultCode?
        if let text = arguments.text("code") {
            code = ResultCode(rawValue: text)
            if code == nil { throw UsageError("--code must be one of \(ResultCode.list), not '\(text)'", usage) }
        }
        let ways = [!jobs.isEmpty, arguments.has("failed"), code != nil].count { $0 }
        if ways != 1 { throw UsageError("name jobs by their ids, or give --failed, or --code", usage) }
        if !jobs.isEmpty && (arguments.has("store") || arguments.has("since")) {
            throw UsageError("--store and --since go with --failed or --code, not with job ids", usage)
        }
        let since = try arguments.seconds("since") ?? 86_400
        let (connection, schema) = try Database.open(arguments)
        let hand = QueueAdmin(connection: connection, schema: schema)
        let again =
            try jobs.isEmpty
            ? hand.retry(code: code, store: arguments.text("store"), since: since) : hand.retry(jobs)
        for (job, first) in again { Terminal.print("job \(first) again as job \(job)") }
        if again.isEmpty {
            Terminal.note("nothing to retry: none there, each was retried before, or refused for its idempotency key")
        }
        return again.isEmpty ? 1 : 0
    }
}

/// What is paused or resumed.
private enum Scope {
    static let options = [
        Option("store", "STORE", "the jobs of this store"), Option("lane", "N", "this lane, 0 to 63"),
        Option("all", nil, "everything"),
    ]

    static func scope(_ arguments: Arguments) throws -> QueueAdmin.Scope {
        let lane = try arguments.number("lane", in: 0...63)
        switch (arguments.text("store"), lane, arguments.has("all")) {
        case (let store?, nil, false): return .store(store)
        case (nil, let lane?, false): return .lane(lane)
        case (nil, nil, true): return .everything
        default: throw UsageError("give one of --store, --lane, --all", arguments.usage)
        }
    }
}

enum PauseCommand: Command {
    static let usage = Usage(
        command: "pause", summary: "Stops the work on a store, a lane, or everything.", options: Scope.options,
        notes: "Batches at hand are finished first. See what is paused with: stockq stats")

    static func run(_ arguments: Arguments) throws -> Int32 {
        let scope = try Scope.scope(arguments)
        let (connection, schema) = try Database.open(arguments)
        try QueueAdmin(connection: connection, schema: schema).pause(scope)
        Terminal.print("paused")
        return 0
    }
}

enum ResumeCommand: Command {
    static let usage = Usage(
        command: "resume", summary: "Lets paused work go on.", options: Scope.options)

    static func run(_ arguments: Arguments) throws -> Int32 {
        let scope = try Scope.scope(arguments)
        let (connection, schema) = try Database.open(arguments)
        let promoted = try QueueAdmin(connection: connection, schema: schema).resume(scope)
        Terminal.print("resumed; \(grouped(promoted)) paused jobs are ready again")
        return 0
    }
}

enum LimitsSetCommand: Command {
    static let usage = Usage(
        command: "ceiling", positionals: "STORE N|none", positionalCount: 2...2,
        summary: "Sets the most ready jobs that a store may have.",
        notes: "Beyond it enqueueing fails with SQLSTATE 53400, which says: try again later.")

    static func run(_ arguments: Arguments) throws -> Int32 {
        let text = arguments.positionals[1]
        let most = text == "none" ? nil : try arguments.number(text, named: "N", in: 1...100_000_000)
        let (connection, schema) = try Database.open(arguments)
        try QueueAdmin(connection: connection, schema: schema).setStoreLimit(
            store: arguments.positionals[0], readyJobs: most)
        Terminal.print(most.map { "at most \(grouped($0)) ready jobs" } ?? "no ceiling")
        return 0
    }
}

enum PruneCommand: Command {
    static let usage = Usage(
        command: "prune", summary: "Drops expired results and idempotency keys, as workers do that may.",
        options: [
            Option("keep-results", "SPAN", "results older than this; default 400d"),
            Option("keep-keys", "SPAN", "keys used longer ago than this; default 400d"),
        ],
        notes: "Results go a partition at a time, when all in it have expired and no job with an id below is queued.")

    static func run(_ arguments: Arguments) throws -> Int32 {
        let standard = WorkerSettings()
        let results = try arguments.seconds("keep-results") ?? standard.keepResults.wholeSeconds
        let keys = try arguments.seconds("keep-keys") ?? standard.keepKeys.wholeSeconds
        let (connection, schema) = try Database.open(arguments)
        let dropped = try QueueAdmin(connection: connection, schema: schema).prune(
            keepResultsSeconds: results, keepKeysSeconds: keys)
        Terminal.print(
            "\(dropped.partitions.count) partitions of results dropped, \(grouped(dropped.keys)) keys forgotten")
        return 0
    }
}

enum ItemsSetCommand: Command {
    static let usage = Usage(
        command: "items set", positionals: "STORE ITEM", positionalCount: 2...2,
        summary: "Changes an item's attributes; stock is changed by jobs alone.",
        options: [
            Option("location", "L", "the item's location; default main"),
            Option("threshold", "N|none", "low stock from here on down"),
            Option("tracked", "yes|no", "no: unlimited stock, jobs leave it unchanged"),
            Option("parent", "ITEM|none", "the product that it is a variation of"),
        ])

    static func run(_ arguments: Arguments) throws -> Int32 {
        let key = ItemKey(
            arguments.positionals[0], arguments.positionals[1], location: arguments.text("location") ?? "main")
        var clear: [String] = []
        var threshold: Int64?
        if arguments.text("threshold") == "none" {
            clear.append("low_stock_threshold")
        } else {
            threshold = try arguments.number("threshold", in: 0...Int(Quantity.max)).map { Int64($0) }
        }
        let parent = arguments.text("parent")
        if parent == "none" { clear.append("parent_id") }
        let tracked = arguments.text("tracked")
        if let tracked, !["yes", "no"].contains(tracked) {
            throw UsageError("--tracked must be yes or no, not '\(tracked)'", usage)
        }
        if threshold == nil && tracked == nil && parent == nil && clear.isEmpty {
            throw UsageError("give --threshold, --tracked or --parent", usage)
        }
        let (connection, schema) = try Database.open(arguments)
        let isThere = try QueueAdmin(connection: connection, schema: schema).setItem(
            key, threshold: threshold, tracked: tracked.map { $0 == "yes" }, parent: parent == "none" ? nil : parent,
            clear: clear)
        if !isThere {
            throw Failure(
                "there is no item \(key.itemID.printable) at \(key.locationID.printable) in store \(key.storeID.printable)"
            )
        }
        Terminal.print("set")
        return 0
    }
}

enum TransferCommand: Command {
    static let usage = Usage(
        command: "transfer", positionals: "STORE ITEM QUANTITY FROM TO", positionalCount: 5...5,
        summary: "Moves stock between two locations: a group of two jobs, applied both or not at all.",
        options: [
            Option("on-insufficient", "P", "reject, allow or wait; default reject"),
            Option("idempotency-key", "K", "of several transfers with this key, one takes effect"),
            Option("reason", "R", "kept in the results"), Option("reference", "R", "kept in the results"),
        ])

    static func run(_ arguments: Arguments) throws -> Int32 {
        let words = arguments.positionals
        let quantity = try arguments.number(words[2], named: "QUANTITY", in: 1...Int(Quantity.max))
        let text = arguments.text("on-insufficient") ?? "reject"
        guard let policy = InsufficientStockPolicy(rawValue: text), policy != .partial else {
            throw UsageError("--on-insufficient must be reject, allow or wait, not '\(text)'", usage)
        }
        let (connection, schema) = try Database.open(arguments)
        let receipts = try Producer(connection: connection, schema: schema).transfer(
            Int64(quantity), of: ItemKey(words[0], words[1], location: words[3]), to: words[4],
            idempotencyKey: arguments.text("idempotency-key"), onInsufficient: policy, reason: arguments.text("reason"),
            reference: arguments.text("reference"))
        if receipts.contains(where: \.isDuplicate) {
            Terminal.note("the idempotency key was used before; nothing was enqueued")
        }
        Terminal.print(list(receipts.map(\.jobID)))
        return 0
    }
}

enum GrantCommand: Command {
    static let usage = Usage(
        command: "grant", positionals: "PRODUCER", positionalCount: 1...1,
        summary: "Lets a role of the database enqueue for a store.",
        options: [
            Option("store", "STORE", "the store"),
            Option(
                "scope", "S", "update_catalog (enqueue) or read_catalog (see items); may be given twice; default both",
                repeats: true),
        ],
        notes: "The role must also be a member of the queue's producers: GRANT stockq_producer TO PRODUCER")

    static func run(_ arguments: Arguments) throws -> Int32 {
        let (store, scopes) = try grantOptions(arguments)
        let (connection, schema) = try Database.open(arguments)
        try QueueAdmin(connection: connection, schema: schema).grant(
            arguments.positionals[0], store: store, scopes: scopes.isEmpty ? allScopes : scopes)
        Terminal.print("granted")
        return 0
    }
}

enum RevokeCommand: Command {
    static let usage = Usage(
        command: "revoke", positionals: "PRODUCER", positionalCount: 1...1,
        summary: "Takes a store back from a producer.",
        options: [
            Option("store", "STORE", "the store"),
            Option("scope", "S", "only this scope; may be given twice", repeats: true),
        ],
        notes: "Exit code 1 if there was nothing to take.")

    static func run(_ arguments: Arguments) throws -> Int32 {
        let (store, scopes) = try grantOptions(arguments)
        let (connection, schema) = try Database.open(arguments)
        let had = try QueueAdmin(connection: connection, schema: schema).revoke(
            arguments.positionals[0], store: store, scopes: scopes)
        Terminal.print(had ? "revoked" : "it had no such grant")
        return had ? 0 : 1
    }
}

enum GrantsListCommand: Command {
    static let usage = Usage(command: "grants list", summary: "Lists which producer may touch which store.")

    static func run(_ arguments: Arguments) throws -> Int32 {
        let (connection, schema) = try Database.open(arguments)
        let rows = try QueueAdmin(connection: connection, schema: schema).grants().map { grant in
            [
                grant.producer.printable + (grant.isRole ? "" : " (no such role)"), grant.store.printable,
                grant.scopes.joined(separator: ", "), grant.grantedBy.printable, "\(grant.grantedAt)",
            ]
        }
        Terminal.print(table([["producer", "store", "scopes", "granted by", "at"]] + rows))
        return 0
    }
}

private let allScopes = ["read_catalog", "update_catalog"]

private func grantOptions(_ arguments: Arguments) throws -> (store: String, scopes: [String]) {
    guard let store = arguments.text("store") else { throw UsageError("give --store", arguments.usage) }
    let scopes = arguments.texts("scope")
    if let wrong = scopes.first(where: { !allScopes.contains($0) }) {
        throw UsageError("--scope must be \(allScopes.joined(separator: " or ")), not '\(wrong)'", arguments.usage)
    }
    return (store, scopes)
}

private func list(_ jobs: [Int64]) -> String { jobs.map { String($0) }.joined(separator: " ") }
