import Foundation
import StockModel
import StockQueue
import Testing

@Suite("settings") struct SettingTests {
    @Test("every property of the settings has a description of the same name")
    func descriptions() {
        let properties = Mirror(reflecting: WorkerSettings()).children.compactMap(\.label)
        #expect(Set(properties) == Set(WorkerSettings.all.map(\.name)))
        #expect(WorkerSettings.all.count == properties.count)
    }

    @Test("a setting takes back its own text, and its default")
    func texts() throws {
        for setting in WorkerSettings.all {
            var settings = WorkerSettings()
            try settings.set(setting.name, to: setting.defaultText)
            #expect(setting.text(in: settings) == setting.defaultText)
        }
    }

    @Test(
        "counts, durations and flags",
        arguments: [
            ("workers", "8", "8"), ("lockTimeout", "1s", "1s"), ("lockTimeout", "1500ms", "1500ms"),
            ("keepResults", "24h", "1d"), ("checkInterval", "0ms", "0ms"), ("requireDurability", "true", "true"),
        ])
    func values(name: String, text: String, shown: String) throws {
        var settings = WorkerSettings()
        try settings.set(name, to: text)
        #expect(WorkerSettings.all.first { $0.name == name }?.text(in: settings) == shown)
    }

    @Test(
        "a wrong value is rejected with what is allowed",
        arguments: [
            ("workers", "0", "workers takes a whole number from 1 to 64, not '0'"),
            ("workers", "two", "workers takes a whole number from 1 to 64, not 'two'"),
            (
                "lockTimeout", "200",
                "lockTimeout takes a duration from 1ms to 1m, such as 200ms, 5s, 15m, 24h or 7d, not '200'"
            ),
            (
                "lockTimeout", "2m",
                "lockTimeout takes a duration from 1ms to 1m, such as 200ms, 5s, 15m, 24h or 7d, not '2m'"
            ),
            ("stopOnViolation", "1", "stopOnViolation takes true or false, not '1'"),
        ])
    func wrongValues(name: String, text: String, message: String) {
        var settings = WorkerSettings()
        let error = #expect(throws: ValidationError.self) { try settings.set(name, to: text) }
        #expect(error?.message == message)
        #expect(error?.field == name)
    }

    @Test("an unknown name is rejected")
    func unknownName() {
        var settings = WorkerSettings()
        let error = #expect(throws: ValidationError.self) { try settings.set("speed", to: "9") }
        #expect(error?.code == .unknownField)
    }

    @Test("the environment changes settings")
    func environment() throws {
        var settings = WorkerSettings()
        try settings.apply(environment: ["STOCKQ_LOCK_TIMEOUT": "2s", "STOCKQ_WORKERS": "3", "PATH": "/bin"])
        #expect(settings.lockTimeout == .seconds(2))
        #expect(settings.workers == 3)
        let error = #expect(throws: ValidationError.self) {
            try settings.apply(environment: ["STOCKQ_WORKERS": "none"])
        }
        #expect(error?.message.hasPrefix("STOCKQ_WORKERS: workers takes a whole number") == true)
    }

    /// `docs/reference/settings.md` has the table that the descriptions make. After a change: STOCKQ_WRITE_SNAPSHOT=1
    /// make test
    @Test("the reference page lists every setting")
    func referencePage() throws {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("docs/reference/settings.md")
        var page = try String(contentsOf: file, encoding: .utf8)
        let start = try #require(page.range(of: "| setting |"))
        let table =
            "| setting | environment | default | values | meaning |\n|---|---|---|---|---|\n"
            + WorkerSettings.all.map {
                "| `\($0.name)` | `\($0.environmentName)` | `\($0.defaultText)` | \($0.allowed) | \($0.help) |\n"
            }.joined()
        if ProcessInfo.processInfo.environment["STOCKQ_WRITE_SNAPSHOT"] != nil {
            page = page[..<start.lowerBound] + table
            try page.write(to: file, atomically: true, encoding: .utf8)
        }
        #expect(page[start.lowerBound...] == table, "write it again with STOCKQ_WRITE_SNAPSHOT=1 make test")
    }
}
