/// Deliveries.
extension Bench {
    mutating func deliveries() throws {
        let scenarios = DeliveryScenarios(rig: rig, scale: scale)
        var sent: [DeliveryScenarios.Webhooks] = []
        for round in 1...min(rounds, 3) {
            report("webhooks, round \(round)")
            sent.append(try scenarios.webhooks())
        }
        figures.append(
            Figure(
                "webhooks", "webhooks to one subscription on this machine", unit: "1/s", samples: sent.map(\.rate),
                target: .atLeast(2_000)))
        figures.append(
            Figure(
                "webhooks_deliverer_cpu", "… deliverer CPU a message", unit: "µs",
                samples: sent.map { $0.delivererCPU * 1e6 }))
        figures.append(
            Figure(
                "webhooks_server_cpu", "… server CPU a message", unit: "µs", samples: sent.map { $0.serverCPU * 1e6 }))
        figures.append(
            Figure(
                "webhooks_memory", "… resident at the end: times that after a tenth", unit: "×",
                samples: sent.map { $0.lateKiB / $0.earlyKiB }, target: .atMost(1.2),
                detail: sent.map { "\(Figure.number($0.lateKiB / 1_024)) MiB" }.joined(separator: " ")))
        // Each round's ratio: both were measured in the same minute.
        var ratios: [Double] = []
        for round in 1...rounds {
            report("drains beside subscriptions, round \(round)")
            let without = try scenarios.drainRate(subscriptions: 0)
            ratios.append(try scenarios.drainRate(subscriptions: 1_000) / without)
        }
        figures.append(
            Figure(
                "subscribed_drain", "drain beside 1,000 subscriptions: times without", unit: "×", samples: ratios,
                target: .atLeast(0.97)))
    }
}
