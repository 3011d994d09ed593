import Foundation
import Postgres
import StockQueue

enum ImportCommand: Command {
    static let usage = Usage(
        command: "import", positionals: "FILE|-", positionalCount: 1...1,
        summary: "Enqueues the jobs of a CSV or NDJSON file.",
        options: [
            Option("strict", nil, "one bad line refuses the whole file: nothing is enqueued"),
            Option("priority", "N", "of jobs for which the file says nothing: 1 to 4; default 3"),
            Option("after-line", "N", "leave out what stands up to line N: go on after an import that broke off"),
            Option("rows-per-commit", "N", "rows a transaction; default 50000"),
            Option("json", nil, "print the summary as JSON"),
        ] + Input.options,
        notes: """
            Columns: \(JobColumn.list).
            The first two and quantity must be there. A CSV's header names them; in NDJSON they are the keys.
            The rows of a group must be adjacent; a group with a bad line is left out whole.
            Bad lines are told by number and reason and never stop the good ones, unless --strict. Exit code 1 if there were any.
            """)

    static func run(_ arguments: Arguments) throws -> Int32 {
        var options = JobImport.Options()
        options.isStrict = arguments.has("strict")
        options.standardPriority = try arguments.number("priority", in: 1...4) ?? options.standardPriority
        options.afterLine = try arguments.number("after-line", in: 0...Int.max) ?? 0
        options.rowsPerCommit = try arguments.number("rows-per-commit", in: 1...10_000_000) ?? options.rowsPerCommit
        let input = try Input(arguments)
        options.format = input.format
        let rejects = try Rejects(arguments)
        let (connection, schema) = try Database.open(arguments)
        let start = DispatchTime.now().uptimeNanoseconds
        let last = Last()
        var importer = try JobImport(
            connection: connection, schema: schema, source: input.source, options: options,
            onProgress: { progress in
                last.progress = progress
                Terminal.showProgress(Self.line(progress, since: start))
            },
            onReject: rejects.take)
        rejects.header = importer.header
        let progress: ImportProgress
        do {
            progress = try importer.run()
        } catch {
            Terminal.endProgress()
            if !options.isStrict { Self.tellHowToGoOn(last.progress) }
            throw error
        }
        Terminal.endProgress()
        if progress.endedInMidLine {
            Terminal.note("the file ends in mid-line: its last line has no line break and was taken as it stood")
        }
        tell(progress, since: start, json: arguments.has("json"))
        return progress.rejected == 0 ? 0 : 1
    }

    private final class Last {
        var progress = ImportProgress()
    }

    private static func tellHowToGoOn(_ progress: ImportProgress) {
        Terminal.note(
            "broken off: \(grouped(progress.enqueued)) jobs are enqueued, everything up to line \(progress.settledLine); "
                + "go on with --after-line \(progress.settledLine)")
    }

    private static func tell(_ progress: ImportProgress, since start: UInt64, json: Bool) {
        if json {
            Terminal.print(
                "{\"read\":\(progress.read),\"enqueued\":\(progress.enqueued),\"rejected\":\(progress.rejected),"
                    + "\"settled_line\":\(progress.settledLine)}")
        } else {
            Terminal.print(line(progress, since: start))
        }
    }

    private static func line(_ progress: ImportProgress, since start: UInt64) -> String {
        let seconds = max(0.001, Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9)
        return
            "jobs: \(grouped(progress.read)) read, \(grouped(progress.enqueued)) enqueued, \(grouped(progress.rejected)) rejected, "
            + "\(grouped(Int(Double(progress.read) / seconds))) rows/s"
    }
}
