import CommandLineKit
import StockQueue

enum PauseCommand: Command {
    static let spec = CommandSpec(
        "pause", "Stops the work on a store, a lane, or everything.", options: PauseScope.options, usesDatabase: true,
        examples: [.init("Stop the work on a store during a stock count.", "--store", "berlin")],
        notes: ["Batches that have begun are finished first. 'stockq stats' shows what is paused."])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let scope = try PauseScope.scope(input)
        let (connection, schema) = try Database.open(input)
        let inspector = Inspector(connection: connection, schema: schema)
        let wasPaused = try inspector.scopeState(scope).isPaused
        try QueueAdmin(connection: connection, schema: schema).pause(scope)
        let state = try inspector.scopeState(scope)
        let verb = wasPaused && scope != .everything ? "was paused already" : "is paused"
        Terminal.print("\(PauseScope.name(scope)) \(verb); \(PauseScope.waiting(state.jobs))")
        if !state.isKnown {
            Terminal.note("warning: \(PauseScope.name(scope)) has no items and no jobs; is the name right?")
        }
        return .success
    }
}
