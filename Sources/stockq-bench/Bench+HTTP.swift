import Foundation

/// The gateway.
extension Bench {
    mutating func http() throws {
        let scenarios = HTTPScenarios(rig: rig, seconds: max(2, Int(10 * scale)))
        try httpRates(scenarios)
        try httpLatency(scenarios)
        try httpQuiet(scenarios)
        try parser()
    }

    /// All loads in turn, round by round, so that a noisy minute of the machine affects them all.
    private mutating func httpRates(_ scenarios: HTTPScenarios) throws {
        let loads: [(name: String, load: HTTPLoad, options: [String])] = [
            ("http_128", HTTPLoad(), []),
            ("http_single", HTTPLoad(), ["--set", "callsPerCommitMax=1", "--set", "decideAtOnce=false"]),
            ("http_512", HTTPLoad(connections: 512), []),
            ("http_lists", HTTPLoad(call: .prosperna), []),
            ("http_one_product", HTTPLoad(products: 1), []),
        ]
        var rates: [String: [Double]] = [:]
        for round in 1...rounds {
            for (name, load, options) in loads {
                report("round \(round) of \(rounds): \(name)")
                rates[name, default: []].append(try scenarios.rate(load, options))
            }
        }
        func add(_ name: String, _ title: String, unit: String, times: Double = 1, _ target: Figure.Target?) {
            figures.append(
                Figure(name, title, unit: unit, samples: (rates[name] ?? []).map { $0 * times }, target: target))
        }
        add("http_128", "Ecwid adjust, 128 connections, 10,000 products", unit: "requests/s", .atLeast(15_000))
        add("http_512", "the same, 512 connections", unit: "requests/s", .atLeast(15_000))
        add("http_single", "128 connections, one transaction a request", unit: "requests/s", nil)
        // Each round's ratio: both were measured in the same minute.
        let ratios = zip(rates["http_128"] ?? [], rates["http_single"] ?? []).map { $0 / $1 }
        figures.append(
            Figure(
                "http_group_commit", "group commit: times one transaction a request", unit: "×", samples: ratios,
                target: .atLeast(5)))
        add(
            "http_lists", "Prosperna, 15 lines a request", unit: "lines/s", times: Double(HTTPLoad.prospernaLines),
            .atLeast(60_000))
        add("http_one_product", "one product in every request", unit: "requests/s", .atLeast(10_000))
    }

    private mutating func httpLatency(_ scenarios: HTTPScenarios) throws {
        report("200 requests a second")
        let seen = try (1...min(rounds, 3)).map { _ in try scenarios.latency(perSecond: 200) }
        let detail = seen.map { "\(Int($0.rate.rounded()))/s" }.joined(separator: " ")
        figures.append(
            Figure(
                "http_p50", "request to answer at 200 requests/s, p50", unit: "ms", samples: seen.map(\.medianMs),
                target: .atMost(4), detail: detail))
        figures.append(
            Figure("http_p99", "… p99", unit: "ms", samples: seen.map(\.p99Ms), target: .atMost(15), detail: detail))
    }

    private mutating func httpQuiet(_ scenarios: HTTPScenarios) throws {
        report("beside quiet connections")
        let (alone, beside, residentMiB) = try scenarios.besideQuiet(
            idle: Int(10_000 * scale), slow: Int(1_000 * scale), turns: min(rounds, 3))
        figures.append(
            Figure(
                "http_quiet_memory", "gateway beside 10,000 idle and 1,000 slow connections, resident", unit: "MiB",
                samples: [residentMiB], target: .atMost(96)))
        figures.append(
            Figure(
                "http_quiet_ratio", "… requests/s to those without them", unit: "×",
                samples: zip(beside, alone).map { $0 / $1 }, target: .atLeast(0.95)))
    }

    private mutating func parser() throws {
        report("parser of requests")
        let rates = try (1...max(3, rounds)).map { _ in try ParserBench.rate(pieces: Int(20 * scale)) }
        figures.append(
            Figure(
                "http_parser", "parser of requests, one core", unit: "GB/s", samples: rates, target: .atLeast(1)))
    }
}
