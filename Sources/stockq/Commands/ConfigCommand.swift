import CommandLineKit
import Foundation
import StockGatewayExecution
import StockQueue
import StockQueuePostgres

enum ConfigCommand: Command {
    private static let json = Flag("json", help: "one JSON object a setting")

    static let spec = CommandSpec(
        "config", "Prints every setting that is in force, and where it comes from.", options: [json],
        usesDatabase: true,
        examples: [
            .init("See what the file and the environment change."),
            .init("Try a file.", before: "STOCKQ_CONFIG=stockq.conf"),
        ],
        notes: [
            "The output is a configuration file itself. Passwords are hidden.",
            "Exit code 1 if a variable of the environment begins with STOCKQ_ and is no setting.",
        ])

    private struct Line {
        var name: String
        var value: String
        var source: String
    }

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let environment = ProcessInfo.processInfo.environment
        for line in try options(input, environment) + settings(WorkerSettings.self, input)
            + settings(GatewaySettings.self, input)
        {
            if input[json] {
                Terminal.print(["name": .string(line.name), "value": .string(line.value), "from": .string(line.source)])
            } else {
                Terminal.print("\(line.name) = \(line.value)  # \(line.source)".printable)
            }
        }
        let unknown = ConfigurationFile.unknownVariables(in: environment)
        for variable in unknown { Terminal.note("\(variable) is no setting") }
        return unknown.isEmpty ? .success : .failure
    }

    private static func options(_ input: ParsedCommand, _ environment: [String: String]) -> [Line] {
        ConfigurationFile.options.map { info in
            var entry = input.configuration.entry(info.name)
            if info.name == Database.url.info.name, let url = environment["DATABASE_URL"] {
                if case .file? = entry?.source { entry = nil }
                entry = entry ?? Configuration.Entry(text: url, source: .environment("DATABASE_URL"))
            }
            let value = entry?.text ?? info.defaultText ?? (info.kind == .flag ? "false" : "")
            return Line(
                name: info.name, value: info.name == Database.url.info.name ? Database.masked(value) : value,
                source: entry?.source.description ?? "default")
        }
    }

    private static func settings<Settings: DescribedSettings>(
        _ type: Settings.Type, _ input: ParsedCommand
    ) throws -> [Line] {
        var settings = Settings()
        try settings.apply(input.configuration)
        // A setting with the name of an option is shown as that.
        let options = Set(ConfigurationFile.options.map(\.name))
        return Settings.all.filter { !options.contains($0.name) }.map { setting in
            Line(
                name: setting.name, value: setting.text(in: settings),
                source: input.configuration.entry(setting.name)?.source.description ?? "default")
        }
    }
}
