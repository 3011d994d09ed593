import CommandLineKit
import StockGatewayExecution
import StockQueue
import StockQueuePostgres

enum ConfigCommand: Command {
    private static let json = Flag("json", help: "one JSON object a setting")

    static let spec = CommandSpec(
        "config", "Prints every setting that is in force, and where it comes from.", options: [json],
        usesDatabase: false,
        examples: [
            .init("See what the file and the environment change."),
            .init("Try a file.", before: "STOCKQ_CONFIG=stockq.conf"),
        ],
        notes: [
            "The output is a configuration file itself. Passwords are hidden.",
            "A variable that begins with STOCKQ_ and belongs to no setting is an error, as an unknown name in the file is.",
        ])

    private struct Line {
        var name: String
        var value: String
        var source: String
    }

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let lines =
            try options(input) + settings(WorkerSettings.self, input) + settings(GatewaySettings.self, input)
        for line in lines {
            if input[json] {
                Terminal.print(["name": .string(line.name), "value": .string(line.value), "from": .string(line.source)])
            } else {
                // Where there is no value, the line of a file would be one.
                let start = line.value.isEmpty ? "# " : ""
                Terminal.print("\(start)\(line.name) = \(line.value)  # \(line.source)".printable)
            }
        }
        return .success
    }

    private static func options(_ input: ParsedCommand) throws -> [Line] {
        try ConfigurationFile.options.map { option in
            let info = option.info
            let isDatabase = info.name == Database.url.info.name
            let entry = isDatabase ? Database.entry(input) : input.configuration.entry(of: info)
            if let entry { try check(entry, option) }
            let standard = isDatabase ? "" : info.defaultText ?? (info.kind == .flag ? "false" : "")
            let value = entry?.text ?? standard
            return Line(
                name: info.name, value: isDatabase ? Database.masked(value) : value,
                source: entry?.source.description ?? "default")
        }
    }

    private static func check(_ entry: Configuration.Entry, _ option: any Parameter) throws(Failure) {
        do throws(ConversionError) {
            _ = try option.convert(try entry.words(of: option.info))
        } catch {
            throw Failure("\(entry.source): \(error.message)")
        }
    }

    private static func settings<Settings: DescribedSettings>(
        _ type: Settings.Type, _ input: ParsedCommand
    ) throws -> [Line] {
        // A setting with the name of an option is shown as that.
        let options = ConfigurationFile.optionNames
        var settings = Settings()
        try settings.apply(input.configuration, except: options)
        return Settings.all.filter { !options.contains($0.name) }.map { setting in
            Line(
                name: setting.name, value: setting.text(in: settings),
                source: input.configuration.entry(setting.name)?.source.description ?? "default")
        }
    }
}
