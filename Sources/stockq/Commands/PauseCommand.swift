import CommandLineKit
import StockQueue

enum PauseCommand: Command {
    static let spec = CommandSpec(
        "pause", "Stops the work on a store, a lane, or everything.",
        options: PauseScope.options + [Confirmation.dryRun, Confirmation.yes], usesDatabase: true,
        examples: [.init("Stop the work on a store during a stock count.", "--store", "berlin")],
        notes: [
            "Batches that have begun are finished first. 'stockq stats' shows what is paused.",
            "On a terminal the command asks before it pauses everything.",
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let scope = try PauseScope.scope(input)
        let (connection, schema) = try Database.open(input)
        let inspector = Inspector(connection: connection, schema: schema)
        let before = try inspector.scopeState(scope)
        if scope == .everything, Confirmation.isNeeded(input),
            !Confirmation.isGiven("Pause everything? \(PauseScope.waiting(before.jobs)).")
        {
            return .failure
        }
        var after = before
        if !input[Confirmation.dryRun] {
            try QueueAdmin(connection: connection, schema: schema).pause(scope)
            after = try inspector.scopeState(scope)
        }
        // Of everything, some of it may have been paused.
        let change = before.isPaused && scope != .everything ? "paused already" : "running → paused"
        let end = input[Confirmation.dryRun] ? "; nothing was changed" : ""
        Terminal.print("\(PauseScope.name(scope)): \(change); \(PauseScope.waiting(after.jobs))\(end)")
        if case .store(let store) = scope, !after.isKnown { UnknownStore.note(store) }
        return .success
    }
}
