import Foundation
import HTTPServer
import StockGateway
import StockGatewayExecution
import StockModel
import StockQueue
import TestSupport
import Testing

@Suite("settings of the gateway") struct GatewaySettingTests {
    @Test("every property of the settings has a description of the same name, and no name is a worker's")
    func descriptions() {
        let properties = Mirror(reflecting: GatewaySettings()).children.compactMap(\.label)
        #expect(Set(properties) == Set(GatewaySettings.all.map(\.name)))
        #expect(GatewaySettings.all.count == properties.count)
        #expect(Set(properties).isDisjoint(with: WorkerSettings.all.map(\.name)))
    }

    @Test("a setting takes back its own text, its default, and the ends of its range")
    func texts() throws {
        for setting in GatewaySettings.all {
            var settings = GatewaySettings()
            try settings.set(setting.name, to: setting.defaultText)
            #expect(setting.text(in: settings) == setting.defaultText)
        }
    }

    @Test("limits reach the server, the executor and the vendors")
    func parts() throws {
        var settings = GatewaySettings()
        try settings.apply(environment: ["STOCKQ_DEADLINE": "2s", "STOCKQ_IDLE_TIMEOUT": "5s"])
        try settings.set("acceptQueryTokens", to: "false")
        try settings.set("linesMax", to: "7")
        #expect(settings.vendors.deadlineMs == 2_000 && settings.vendors.linesMax == 7)
        #expect(!settings.vendors.acceptsEcwidQueryTokens && settings.server.idleMs == 5_000)
    }

    @Test("serve shows its settings and those of its workers, and rejects what is none")
    func commands() throws {
        var program = Program()
        program.environment["STOCKQ_HEAD_TIMEOUT"] = "3s"
        let shown = try program.run(["serve", "--show-settings", "--set", "proxies=2", "--set", "lockTimeout=1s"])
        #expect(shown.code == 0, "\(shown)")
        for line in ["proxies=2", "headTimeout=3s", "deadline=15s", "lockTimeout=1s"] {
            #expect(shown.out.contains("\(line)\n"), "\(line)")
        }
        for wrong in ["proxies=11", "speed=9", "deadline=19s"] {
            let ended = try program.run(["serve", "--set", wrong])
            #expect(ended.code == 2 && !ended.err.isEmpty, "\(ended)")
        }
    }

    /// `docs/reference/gateway-settings.md` has the table that the descriptions make. After a change:
    /// STOCKQ_WRITE_SNAPSHOT=1 make test
    @Test("the reference page lists every setting")
    func referencePage() throws {
        let file = GatewayGuideTests.docs.appendingPathComponent("reference/gateway-settings.md")
        var page = try String(contentsOf: file, encoding: .utf8)
        let start = try #require(page.range(of: "| setting |"))
        let table =
            "| setting | environment | default | values | meaning |\n|---|---|---|---|---|\n"
            + GatewaySettings.all.map {
                "| `\($0.name)` | `\($0.environmentName)` | `\($0.defaultText)` | \($0.allowed) | \($0.help) |\n"
            }.joined()
        if ProcessInfo.processInfo.environment["STOCKQ_WRITE_SNAPSHOT"] != nil {
            page = page[..<start.lowerBound] + table
            try page.write(to: file, atomically: true, encoding: .utf8)
        }
        #expect(page[start.lowerBound...] == table, "write it again with STOCKQ_WRITE_SNAPSHOT=1 make test")
    }
}
