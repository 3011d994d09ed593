import CommandLineKit
import StockQueue
import StockQueuePostgres

enum DeliverCommand: Command {
    static let spec = CommandSpec(
        "deliver", "Delivers notifications to subscriptions, until stopped, without running workers.",
        options: [RunCommand.set, RunCommand.logLevel], usesDatabase: true,
        examples: [
            .init("Deliver, and let workers run elsewhere."),
            .init("Allow receivers on this machine.", "--set", "allowPrivateTargets=true"),
        ],
        notes: [
            "stockq run delivers too, unless it has the setting deliver=false. Several processes may deliver.",
            "The first SIGTERM or SIGINT lets the messages end that are under way; a second one does not wait.",
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let settings = try RunCommand.settings(input)
        let log = Log(minimumLevel: input[RunCommand.logLevel])
        let signals = StopOnSignals(timeout: settings.stopTimeout)
        let (connection, schema) = (try Database.settings(input), try Database.schema(input))
        try RunCommand.startUp(connection, schema, settings, log)
        let pool = WorkerPool(
            connection: connection, schema: schema, settings: settings, onlyDelivers: true,
            onEvent: { log.write($0) })
        signals.stop(pool)
        pool.run()
        return signals.wasAborted ? .failure : .success
    }
}
