import CommandLineKit
import StockQueue

enum ResumeCommand: Command {
    static let spec = CommandSpec(
        "resume", "Resumes the work on a paused store, lane, or everything.", options: PauseScope.options,
        usesDatabase: true,
        examples: [
            .init("Resume a store.", "--store", "berlin"), .init("Resume everything that is paused.", "--all"),
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let scope = try PauseScope.scope(input)
        let (connection, schema) = try Database.open(input)
        let wasPaused = try Inspector(connection: connection, schema: schema).scopeState(scope).isPaused
        let ready = try QueueAdmin(connection: connection, schema: schema).resume(scope)
        let change =
            switch (wasPaused, scope) {
            case (true, _): "paused → running"
            case (false, .everything): "running already; no store and no lane was paused"
            case (false, _): "running already"
            }
        // Of a lane only the lane's row is paused, and no job of it.
        var jobs = ""
        if ready > 0 { jobs = "; \(counted(ready, "paused job is", "paused jobs are")) ready again" }
        Terminal.print("\(PauseScope.name(scope)): \(change)\(jobs)")
        if case .store(let store) = scope, !wasPaused { try UnknownStore.warn(store, connection, schema) }
        return .success
    }
}
