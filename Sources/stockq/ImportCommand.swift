import CommandLineKit
import Foundation
import StockQueue
import StockQueueLocking
import StockQueuePostgres

enum ImportCommand: Command {
    static let usage = Usage(
        command: "import", positionals: "FILE|-", positionalCount: 1...1,
        summary: "Enqueues the jobs of a CSV or NDJSON file.",
        options: [
            Option("strict", nil, "one bad line refuses the whole file: nothing is enqueued"),
            Option("priority", "N", "of jobs for which the file says nothing: 1 to 4; default 3"),
            Option("after-line", "N", "leave out what stands up to line N: go on after an import that broke off"),
            Option(
                "idempotency-prefix", "P",
                "give each line the idempotency key P/LINE: what is imported again adds nothing twice"),
            Option("dry-run", nil, "tell what the file would do now, line by line in its order; enqueue nothing"),
            Option("rows-per-commit", "N", "rows a transaction; default 50000"),
            Option("json", nil, "print the summary as JSON"),
        ] + Input.options,
        notes: """
            Columns: \(JobField.list).
            The first two and quantity must be there. A CSV's header names them; in NDJSON they are the keys.
            The rows of a group must be adjacent, at most 100,000; a group with a bad line is left out whole. A line has at most 1 MiB.
            Bad lines are told by number and reason and never stop the good ones, unless --strict. Exit code 1 if there were any.
            """)

    static func run(_ arguments: Arguments) throws -> Int32 {
        var options = JobImport.Options()
        options.isStrict = arguments.has("strict")
        options.defaultPriority = try arguments.number("priority", in: 1...4) ?? options.defaultPriority
        options.afterLine = try arguments.number("after-line", in: 0...Int.max) ?? 0
        options.rowsPerCommit = try arguments.number("rows-per-commit", in: 1...10_000_000) ?? options.rowsPerCommit
        options.isDryRun = arguments.has("dry-run")
        options.idempotencyPrefix = arguments.text("idempotency-prefix")
        if let prefix = options.idempotencyPrefix, !(1...180).contains(prefix.utf8.count) {
            throw UsageError("--idempotency-prefix takes 1 to 180 bytes, not \(prefix.utf8.count)", usage)
        }
        let stop = StopOnSignal()
        let input = try Input(arguments, stop: stop.signal)
        options.format = input.format
        let (connection, schema) = try Database.open(arguments)
        let rejects = try Rejects(arguments, input)
        let start = DispatchTime.now().uptimeNanoseconds
        stop.begin()
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
            if let inDoubt = importer.inDoubt {
                Self.resolve(inDoubt, &importer, arguments)
            } else if !options.isStrict && !options.isDryRun && last.progress.committedThroughLine > 0 {
                Self.tellHowToGoOn(last.progress)
            }
            throw error
        }
        Terminal.endProgress()
        if progress.rejected > 0 && options.idempotencyPrefix != nil {
            Terminal.note(
                "a mended file of rejects has other line numbers: import it with another --idempotency-prefix")
        }
        if progress.endedInMidLine { Terminal.note(Input.endedInMidLine) }
        if let dryRun = importer.dryRun {
            tell(dryRun, progress, json: arguments.has("json"))
        } else {
            tell(progress, since: start, json: arguments.has("json"))
        }
        return progress.rejected == 0 ? 0 : 1
    }

    private static func tell(_ dryRun: DryRun, _ progress: ImportProgress, json: Bool) {
        let counts = dryRun.counts.sorted { $0.key < $1.key }
        if json {
            let list = counts.map { "\"\($0.key)\":\($0.value)" }.joined(separator: ",")
            Terminal.print("{\"read\":\(progress.read),\"rejected\":\(progress.rejected),\"would_be\":{\(list)}}")
            return
        }
        Terminal.print(
            "\(grouped(progress.read)) read, \(grouped(progress.rejected)) bad lines; nothing was enqueued. They would be:"
        )
        let width = counts.map(\.key.count).max() ?? 0
        for (name, count) in counts { Terminal.print("  \(name.padding(toWidth: width))  \(grouped(count))") }
    }

    /// SIGINT and SIGTERM end the import when it next reads, another one at once.
    private final class StopOnSignal: Sendable {
        let signal = StopSignal()
        private let state = Mutex<(hasBegun: Bool, first: Stopwatch?)>((false, nil))
        /// A signal may come twice, to the process and to its group; that is one.
        private static let sameMs = 500

        init() {
            Signals.handle { [self] in
                let before = state.withLock { state in
                    defer { state.first = state.first ?? Stopwatch() }
                    return state
                }
                if !before.hasBegun || before.first.map({ $0.milliseconds > Self.sameMs }) == true {
                    exit(Main.stoppedBySignal)
                }
                signal.abort()
            }
        }

        /// From here on there is something to tell when it ends.
        func begin() { state.withLock { $0.hasBegun = true } }
    }

    private final class Last {
        var progress = ImportProgress()
    }

    private static func tellHowToGoOn(_ progress: ImportProgress) {
        Terminal.note(
            "broken off: \(grouped(progress.enqueued)) jobs are enqueued, everything up to line \(progress.committedThroughLine); "
                + "go on with --after-line \(progress.committedThroughLine)")
    }

    /// The answer to a COMMIT was lost: asks the server what became of it, since enqueueing the lines again would double them.
    private static func resolve(_ inDoubt: JobImport.InDoubtCommit, _ importer: inout JobImport, _ arguments: Arguments)
    {
        let deadline = DispatchTime.now().uptimeNanoseconds + 30_000_000_000
        var pauses = Backoff(firstMs: 50, longestMs: 2_000)
        let never = StopSignal()
        while DispatchTime.now().uptimeNanoseconds < deadline {
            if let (connection, _) = try? Database.open(arguments),  // not back yet: the next try may find it
                let progress = try? importer.resolveInDoubt(over: connection)
            {
                return tellHowToGoOn(progress)
            }
            _ = never.wait(milliseconds: pauses.next())
        }
        Terminal.note(
            "broken off while committing: the \(grouped(inDoubt.rows)) jobs up to line \(inDoubt.line) may or may not be enqueued. "
                + "Ask the server before going on: SELECT pg_xact_status('\(inDoubt.transaction)'); "
                + "if it says committed, go on with --after-line \(inDoubt.line)")
    }

    private static func tell(_ progress: ImportProgress, since start: UInt64, json: Bool) {
        if json {
            Terminal.print(
                "{\"read\":\(progress.read),\"enqueued\":\(progress.enqueued),\"rejected\":\(progress.rejected),\"duplicates\":\(progress.duplicates),"
                    + "\"settled_line\":\(progress.committedThroughLine),\"seconds\":\(Self.seconds(since: start)),"
                    + "\"peak_rss_kib\":\(ProcessUsage.peakResidentKiB)}")
        } else {
            Terminal.print(line(progress, since: start))
        }
    }

    private static func seconds(since start: UInt64) -> Double {
        max(0.001, Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9)
    }

    private static func line(_ progress: ImportProgress, since start: UInt64) -> String {
        let seconds = seconds(since: start)
        return
            "jobs: \(grouped(progress.read)) read, \(grouped(progress.enqueued)) enqueued, \(grouped(progress.rejected)) rejected, "
            + (progress.duplicates > 0 ? "\(grouped(progress.duplicates)) duplicates, " : "")
            + "\(grouped(Int(Double(progress.read) / seconds))) rows/s"
    }
}
