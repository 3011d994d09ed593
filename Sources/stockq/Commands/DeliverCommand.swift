import CommandLineKit
import StockQueue
import StockQueuePostgres

enum DeliverCommand: Command {
    static let spec = CommandSpec(
        "deliver", "Delivers notifications to subscriptions, until stopped, without running workers.",
        options: [RunCommand.set] + MonitorOptions.all, usesDatabase: true,
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
        let log = MonitorOptions.log(input)
        let signals = StopOnSignals(timeout: settings.stopTimeout)
        let (connection, schema) = (try Database.settings(input), Database.schema(input))
        let monitor = Monitor(
            MonitorOptions.monitor(input), log,
            source: Monitor.Source(connection: connection, schema: schema, settings: settings),
            callTimeout: settings.callTimeout)
        monitor.connections.expect(["deliverer"])
        try monitor.start()
        defer { monitor.stop() }
        try RunCommand.startUp(connection, schema, settings, log, monitor.health)
        let pool = WorkerPool(
            connection: connection, schema: schema, settings: settings, onlyDelivers: true,
            onEvent: { event in
                monitor.record(event)
                log.write(event)
                if case .stopping = event { monitor.isStopping() }
            })
        signals.stop(pool)
        monitor.health.watch { pool.status }
        monitor.isRunning()
        pool.run()
        return signals.wasAborted ? .failure : .success
    }
}
