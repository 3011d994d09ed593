/// Stores beside each other.
extension Bench {
    mutating func fairness() throws {
        let scenarios = FairnessScenarios(rig: rig, scale: scale)
        for flood in FairnessScenarios.Flood.allCases {
            report("beside \(flood.title)")
            let seen = try scenarios.measure(flood)
            let all = seen.latenciesMs
            func percentile(_ share: Double) -> Double { all[min(all.count - 1, Int(Double(all.count) * share))] }
            figures.append(
                Figure(
                    "beside_\(flood)_p95", "commit to result beside \(flood.title), p95", unit: "ms",
                    samples: [percentile(0.95)], target: .atMost(150),
                    detail: "\(all.count) jobs, p50 \(Figure.number(percentile(0.5))), "
                        + "longest \(Figure.number(all.last ?? 0)) ms"))
            figures.append(
                ratio(
                    "beside_\(flood)_rate", "… the others' rate: times undisturbed", seen.rate / seen.rateAlone,
                    .atLeast(0.9)))
        }
    }
}
