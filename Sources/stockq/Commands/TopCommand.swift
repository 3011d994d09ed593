import CommandLineKit
import Foundation
import StockQueue

enum TopCommand: Command {
    private static let once = Flag("once", help: "print one screen and stop")
    private static let sort = Option(
        "sort", .choice("COLUMN", of: TopState.Sort.allCases), default: TopState.Sort.ready,
        help: "the column by which the stores are sorted at first")

    static let spec = CommandSpec(
        "top", "Shows the queue live on the terminal: what is queued, what fails, what workers do.",
        options: [once, sort], usesDatabase: true,
        examples: [
            .init("Watch the queue."),
            .init("Print one screen, such as for a report.", "--once"),
        ],
        notes: [
            "Keys: q quits, Tab shows the next table, up and down select a row, Enter opens a store or a job, Escape goes back, "
                + "s sorts the stores by the next column.",
            "It reads once a second, and pauses at least 50 times as long as a reading takes.",
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        // It says what is wrong with the schema before the terminal changes.
        _ = try Database.open(input, timeout: .seconds(10))
        let source = TopSource(try Database.settings(input), Database.schema(input))
        var state = TopState(sort: input[sort])
        if input[once] {
            try printOnce(source, &state)
            return .success
        }
        guard let terminal = TopTerminal() else {
            throw input.usageError("top needs a terminal for its keys and its screen; --once prints one screen")
        }
        let stop = StopSignal()
        Signals.handle { stop.finish() }
        return terminal.show { TopLoop(source, state, terminal, stop).run() }
    }

    /// Two readings, so that there are rates.
    private static func printOnce(_ source: TopSource, _ state: inout TopState) throws {
        let reader = source.reader()
        let first = try reader.read()
        state.take(first)
        pause(milliseconds: first.pause.milliseconds)
        state.take(try reader.read())
        let size = TopTerminal.size ?? (rows: 1_000, columns: 100)
        let screen = TopScreen(rows: Terminal.outputIsTerminal ? size.rows - 1 : 1_000, columns: size.columns)
        for line in screen.lines(state, isLive: false) { Terminal.print(exactly: line) }
    }
}
