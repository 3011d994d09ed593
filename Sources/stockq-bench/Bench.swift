import CommandLineKit
import Foundation

/// Runs the scenarios and collects their figures.
struct Bench {
    let rig: BenchRig
    let rounds: Int
    let scale: Double
    private let scenarios: BenchScenarios
    var figures: [Figure] = []
    private(set) var heldBackRounds: [Double] = []
    /// The rate of the drain of 300,000 jobs, with which others are compared.
    private var drainRate: Double?

    init(rig: BenchRig, rounds: Int, scale: Double) {
        self.rig = rig
        self.rounds = rounds
        self.scale = scale
        scenarios = BenchScenarios(rig: rig, scale: scale)
    }

    mutating func run(_ scenario: BenchScenario) throws {
        switch scenario {
        case .drains: try drains()
        case .steady: try steady()
        case .import: try importing()
        case .latency: try latency()
        case .idle: try idle()
        case .heldBack: try heldBack()
        case .openTransaction: try openTransaction()
        case .backlog: try backlog()
        case .catalog: try catalog()
        case .growth: try growth()
        case .producers: try producers()
        case .memory: try memory()
        case .deliveries: try deliveries()
        case .fairness: try fairness()
        case .http: try http()
        }
    }

    func report(_ text: String) {
        if Terminal.errorIsTerminal { Terminal.showProgress(text) } else { Terminal.note(text) }
    }

    /// Shows a figure as soon as it is known, so that a run that is ended early was not in vain.
    func report(_ figure: Figure) {
        Terminal.note("\(figure.title): \(Figure.number(figure.value)) \(figure.unit)")
    }

    // MARK: drains

    /// Measures all contestants in turn, round by round, so that a noisy minute of the machine affects them all.
    private mutating func drains() throws {
        let jobs = scenarios.scaled(300_000)
        let deferred = scenarios.scaled(1_000_000)
        var costs: [String: [BenchRig.Cost]] = [:]
        for round in 1...rounds {
            func measure(_ name: String, _ workload: Workload, _ body: (BenchRig.Database) throws -> BenchRig.Cost)
                throws
            {
                report("round \(round) of \(rounds): \(name)")
                let cost = try rig.withCopy(of: workload) { database in
                    let cost = try body(database)
                    if round == rounds
                        && !["baseline", "upper_bound", "narrow", "keys_bound"].contains(where: name.hasPrefix)
                    {
                        try rig.verify(database)
                    }
                    return cost
                }
                costs[name, default: []].append(cost)
            }
            for connections in [1, 4, 8] {
                try measure("baseline_\(connections)", .singles(jobs)) { database in
                    try rig.measure {
                        try Reference.oneTransactionAJob(
                            database, connections: connections, seconds: max(0.5, 2 * scale))
                    }
                }
            }
            try measure("upper_bound", .singles(jobs)) { database in
                try rig.measure { try Reference.oneStatement(database) }
            }
            try measure("narrow", .singles(jobs)) { database in
                try rig.measure { try Reference.oneNarrowStatement(database) }
            }
            try measure("keys_bound", .singles(jobs, hasKeys: true)) { database in
                try rig.measure { try Reference.oneStatement(database, withKeys: true) }
            }
            try measure("drain", .singles(jobs)) { try rig.drain($0) }
            try measure("keys", .singles(jobs, hasKeys: true)) { try rig.drain($0) }
            try measure("one_lane", .singles(jobs, stores: 1)) { try rig.drain($0) }
            try measure("orders", .orders(lines: jobs)) { try rig.drain($0) }
            try measure("deferred", .singles(jobs, deferred: deferred)) { try rig.drain($0) }
            try measure("hot_item", .singles(jobs, hotShare: 0.5)) { try rig.drain($0) }
        }
        collect(costs)
    }

    private mutating func collect(_ costs: [String: [BenchRig.Cost]]) {
        func rates(_ name: String) -> [Double] { (costs[name] ?? []).map(\.rate) }
        let best = ["baseline_1", "baseline_4", "baseline_8"].max {
            Figure.median(rates($0)) < Figure.median(rates($1))
        }
        let baseline = best ?? "baseline_8"
        let connections = baseline.split(separator: "_")[1]
        figures.append(
            Figure(
                "baseline", "baseline: one transaction a job, \(connections) connections", unit: "jobs/s",
                samples: rates(baseline)))
        figures.append(
            Figure("upper_bound", "upper bound: one SQL statement", unit: "jobs/s", samples: rates("upper_bound")))
        figures.append(
            Figure("narrow", "the same with narrow tables", unit: "jobs/s", samples: rates("narrow")))
        let baselineRate = Figure.median(rates(baseline))
        let upperBoundRate = Figure.median(rates("upper_bound"))
        func add(_ name: String, _ title: String, _ target: Figure.Target? = nil) {
            var figure = Figure(name, title, unit: "jobs/s", samples: rates(name), target: target)
            figure.timesBaseline = figure.value / baselineRate
            figure.timesUpperBound = figure.value / upperBoundRate
            figures.append(figure)
        }
        add("drain", "drain, 300,000 jobs, 16 stores", .atLeast(200_000))
        add("one_lane", "the same, one store")
        add("orders", "drain, orders of 1–50 lines", .atLeast(150_000))
        let drain = Figure.median(rates("drain"))
        drainRate = drain
        func median(_ name: String) -> Double { Figure.median(rates(name)) }
        figures.append(
            ratio("drain_narrow", "drain: times the narrow upper bound", drain / median("narrow"), .atLeast(0.65)))
        figures.append(ratio("one_lane_ratio", "one store: times drain", median("one_lane") / drain, .atLeast(0.75)))
        figures.append(ratio("drain_baseline", "drain: times baseline", drain / baselineRate, .atLeast(25)))
        figures.append(ratio("drain_upper_bound", "drain: times upper bound", drain / upperBoundRate, .atLeast(0.5)))
        add("keys", "drain, each job with an idempotency key", .atLeast(120_000))
        figures.append(
            Figure(
                "keys_bound", "upper bound that also keeps the keys", unit: "jobs/s", samples: rates("keys_bound")))
        figures.append(
            ratio("keys_ratio", "keys: times that upper bound", median("keys") / median("keys_bound"), .atLeast(0.65)))
        add("deferred", "beside 1,000,000 deferred jobs")
        add("hot_item", "one item in half of all jobs")
        figures.append(
            ratio(
                "deferred_ratio", "deferred: times drain", median("deferred") / drain, .atLeast(0.97)))
        figures.append(ratio("hot_ratio", "hot item: times drain", median("hot_item") / drain, .atLeast(0.9)))
        collectCosts(costs, baseline)
    }

    /// The processor time and WAL of a job, for the baseline and for the drain.
    private mutating func collectCosts(_ costs: [String: [BenchRig.Cost]], _ baseline: String) {
        func perJob(_ name: String, _ part: (BenchRig.Cost) -> Double) -> [Double] {
            (costs[name] ?? []).map { part($0) / Double(max(1, $0.jobs)) }
        }
        func cpu(_ cost: BenchRig.Cost) -> Double { (cost.serverCPU + cost.clientCPU) * 1e6 }
        for (name, title, cpuMax, walMax) in [(baseline, "baseline", nil, nil), ("drain", "drain", 9.0, 460.0)] {
            figures.append(
                Figure(
                    "\(title)_server_cpu", "\(title): server CPU a job", unit: "µs",
                    samples: perJob(name) { $0.serverCPU * 1e6 }, target: cpuMax.map(Figure.Target.atMost)))
            figures.append(
                Figure(
                    "\(title)_client_cpu", "\(title): client CPU a job", unit: "µs",
                    samples: perJob(name) { $0.clientCPU * 1e6 }))
            figures.append(
                Figure(
                    "\(title)_wal", "\(title): WAL a job", unit: "bytes",
                    samples: perJob(name) { Double($0.walBytes) }, target: walMax.map(Figure.Target.atMost)))
        }
        figures.append(
            ratio(
                "cpu_ratio", "CPU a job: baseline's times drain's",
                Figure.median(perJob(baseline, cpu)) / max(0.001, Figure.median(perJob("drain", cpu))), .atLeast(5)))
    }

    func ratio(_ name: String, _ title: String, _ value: Double, _ target: Figure.Target) -> Figure {
        Figure(name, title, unit: "×", samples: [value], target: target)
    }

    // MARK: other scenarios

    private mutating func steady() throws {
        report("steady state")
        let offered = 45_000
        let runs = try (1...min(rounds, 3)).map { _ in try scenarios.steady(rate: offered) }
        figures.append(
            Figure(
                "steady", "4 producers, 100 rows a commit, and workers", unit: "jobs/s", samples: runs.map(\.rate),
                target: .atLeast(40_000)))
        figures.append(
            Figure(
                "steady_growth", "… growth of the queue in the second half", unit: "jobs",
                samples: runs.map { Double($0.growth) }, target: .atMost(5_000),
                detail: "\(grouped(offered)) a second offered"))
    }

    private mutating func importing() throws {
        report("import")
        let runs = try (1...min(rounds, 3)).map { _ in try scenarios.importRate(rows: scenarios.scaled(1_000_000)) }
        figures.append(
            Figure(
                "import", "import of 1,000,000 CSV rows", unit: "rows/s", samples: runs.map(\.rate),
                target: .atLeast(120_000)))
        figures.append(
            Figure(
                "import_memory", "… resident", unit: "MiB", samples: runs.map { $0.residentKiB / 1_024 },
                target: .atMost(64)))
    }

    private mutating func latency() throws {
        report("latency")
        let all = try scenarios.latencies(perSecond: 200, seconds: max(2, 20 * scale))
        func percentile(_ share: Double) -> Double { all[min(all.count - 1, Int(Double(all.count) * share))] }
        let detail = "\(grouped(all.count)) jobs, longest \(Figure.number(all.last ?? 0)) ms"
        figures.append(
            Figure(
                "latency_p50", "commit to result at 200 jobs/s, p50", unit: "ms", samples: [percentile(0.5)],
                target: .atMost(1.5), detail: detail))
        figures.append(
            Figure("latency_p99", "… p99", unit: "ms", samples: [percentile(0.99)], target: .atMost(5), detail: detail)
        )
    }

    private mutating func idle() throws {
        report("a minute of idling")
        let idle = try scenarios.idle(seconds: max(3, 60 * scale))
        figures.append(
            Figure(
                "first_job", "first job after an idle minute", unit: "ms", samples: [idle.firstJobMs],
                target: .atMost(6)))
        figures.append(
            Figure(
                "idle_statements", "idle: transactions a second", unit: "1/s", samples: [idle.transactionsPerSecond],
                target: .atMost(2)))
        figures.append(
            Figure(
                "idle_cpu", "idle: share of a core, server and client", unit: "%", samples: [idle.coreShare * 100],
                target: .atMost(1)))
    }

    private mutating func heldBack() throws {
        report("vacuum held back")
        heldBackRounds = try scenarios.heldBack(rounds: 15)
        let first = heldBackRounds.prefix(3)
        let last = heldBackRounds.suffix(3)
        figures.append(
            Figure(
                "held_back", "vacuum held back over 1,500,000 jobs: last 3 rounds to first 3", unit: "×",
                samples: [Figure.median(Array(last)) / Figure.median(Array(first))], target: .atLeast(0.95),
                detail: heldBackRounds.map { Figure.number($0) }.joined(separator: " ")))
    }

    /// A producer that has enqueued a job and does not commit, while two million jobs of others pass.
    private mutating func openTransaction() throws {
        report("beside a transaction that stays open")
        let rounds = try scenarios.openTransaction(rounds: 20)
        func ratio(_ values: [Double]) -> Double {
            Figure.median(Array(values.suffix(5))) / Figure.median(Array(values.prefix(5)))
        }
        func detail(_ values: [Double]) -> String { values.map { Figure.number($0) }.joined(separator: " ") }
        let (rates, latencies) = (rounds.map(\.rate), rounds.map(\.latencyMs))
        figures.append(
            Figure(
                "open_drain", "beside an open transaction, 2,000,000 jobs: rate, last 5 rounds to first 5", unit: "×",
                samples: [ratio(rates)], target: .atLeast(0.9), detail: detail(rates)))
        figures.append(
            Figure(
                "open_latency", "… median latency at 200 jobs/s, last 5 rounds to first 5", unit: "×",
                samples: [ratio(latencies)], target: .atMost(1.1), detail: detail(latencies)))
    }

    private mutating func backlog() throws {
        report("a backlog of 5,000,000")
        let jobs = scenarios.scaled(5_000_000)
        // The drains' median if they were measured: a single drain takes two seconds, and the machine may be noisy.
        let reference =
            try drainRate ?? rig.withCopy(of: .singles(scenarios.scaled(300_000))) { try rig.drain($0).rate }
        let large = try rig.withCopy(of: .singles(jobs)) { database in
            let rate = try rig.drain(database).rate
            try rig.verify(database)
            return rate
        }
        figures.append(Figure("backlog", "a backlog of 5,000,000 jobs", unit: "jobs/s", samples: [large]))
        figures.append(
            ratio("backlog_ratio", "backlog: times the drain of 300,000", large / reference, .atLeast(0.9)))
    }

    /// Most items of a large catalog, each once or twice.
    private mutating func catalog() throws {
        let items = scenarios.scaled(5_000_000)
        let jobs = scenarios.scaled(1_000_000)
        let rates = try (1...min(rounds, 3)).map { round in
            report("a catalog of 5,000,000 items, round \(round)")
            return try rig.withCopy(of: .singles(jobs, items: items, popularShare: 0)) { database in
                let rate = try rig.drain(database).rate
                if round == 1 { try rig.verify(database) }
                return rate
            }
        }
        figures.append(
            Figure(
                "catalog", "5,000,000 items, 1,000,000 jobs over most of them", unit: "jobs/s", samples: rates,
                target: .atLeast(100_000)))
    }

    /// Drains of more and more jobs, and of the same jobs over more and more items.
    private mutating func growth() throws {
        let (jobsMid, itemsMid) = (1_000_000, 10_000)
        for (jobs, items) in [
            (100_000, itemsMid), (jobsMid, itemsMid), (10_000_000, itemsMid), (jobsMid, 1_000), (jobsMid, 100_000),
            (jobsMid, 10_000_000),
        ] {
            let title = "\(grouped(jobs)) jobs, \(grouped(items)) items"
            // Small drains are short, and the machine is noisy.
            let rounds = jobs > jobsMid || items > 1_000_000 ? 1 : min(rounds, 3)
            let rates = try (1...rounds).map { _ in
                report(title)
                return try rig.withCopy(of: .singles(scenarios.scaled(jobs), items: scenarios.scaled(items))) {
                    try rig.drain($0).rate
                }
            }
            figures.append(Figure("growth_\(jobs)_\(items)", title, unit: "jobs/s", samples: rates))
        }
    }

    private mutating func producers() throws {
        var with: [Double] = []
        var without: [Double] = []
        for round in 1...min(rounds, 3) {
            report("64 producers, round \(round)")
            without.append(try scenarios.commits(wakesWorkers: false))
            with.append(try scenarios.commits(wakesWorkers: true))
        }
        figures.append(Figure("producers", "64 producers, one row a commit", unit: "commits/s", samples: with))
        figures.append(Figure("producers_silent", "… without any wake-up", unit: "commits/s", samples: without))
        figures.append(
            ratio("producers_ratio", "… with to without", Figure.median(with) / Figure.median(without), .atLeast(0.9)))
    }

    private mutating func memory() throws {
        report("memory")
        let memory = try scenarios.memory(jobs: scenarios.scaled(5_000_000))
        figures.append(
            Figure(
                "memory", "resident, 4 workers, batch 10,000, 5,000,000 jobs", unit: "MiB",
                samples: [memory.peak / 1_024],
                target: .atMost(96), detail: "\(Figure.number(memory.early / 1_024)) MiB after a fifth"))
    }
}
