import CommandLineKit
import Foundation
import StockModel
import StockQueue
import StockQueueLocking
import StockQueuePostgres

enum ImportCommand: Command {
    private static let strict = Flag("strict", help: "enqueue nothing if any line is bad")
    private static let priority = Option(
        "priority", .wholeNumber(1...JobRequest.priorityMax), default: JobImport.Options().defaultPriority,
        help: "of jobs whose line gives none")
    private static let reference = Option(
        "reference", .text("REFERENCE", bytes: 1...2_000), help: "of jobs whose line gives none")
    private static let reason = Option(
        "reason", .text("REASON", bytes: 1...2_000), help: "of jobs whose line gives none")
    private static let afterLine = Option(
        "after-line", .wholeNumber(0...Int.max), default: 0,
        help: "skip the lines through line N")
    private static let resume = Option(
        "resume", .text("NAME"),
        help: "go on with this import, which stopped, behind its last committed line")
    private static let idempotencyPrefix = Option(
        "idempotency-prefix", .text("PREFIX", bytes: 1...180),
        help: "give each line the idempotency key PREFIX/LINE, so that importing the file again enqueues nothing twice")
    private static let dryRun = Flag(
        "dry-run", help: "say what the file would do now, with --lines for each line; enqueue nothing")
    private static let rowsPerCommit = Option(
        "rows-per-commit", .wholeNumber(1...10_000_000), default: JobImport.Options().rowsPerCommit,
        help: "rows in a transaction")
    private static let commitInterval = Option(
        "commit-interval", .duration, default: JobImport.Options().commitInterval,
        help: "commit what has come after this time at the latest, except with --strict")
    private static let groupLinesMax = Option(
        "group-lines-max", .wholeNumber(1...100_000), default: JobImport.Options().groupLinesMax,
        help: "lines in a group; a larger group is rejected, as it is by workers with the setting groupLinesMax")
    private static let from = InputFormOptions.from([.shopifyOrders])
    private static let lines = Flag(
        "lines", help: "with --dry-run: print each line and what would become of it, with --json an object a line")
    private static let csv = Flag("csv", help: "with --dry-run: print each line as CSV")
    private static let json = Flag("json", help: "print the summary as JSON")

    static let spec = CommandSpec(
        "import", "Enqueues the jobs of a CSV or NDJSON file.", arguments: [InputFile.file],
        options: [
            from, strict, priority, reference, reason, resume, afterLine, idempotencyPrefix, dryRun, rowsPerCommit,
            commitInterval,
            groupLinesMax,
        ] + InputFormOptions.parameters + ImportNaming.parameters + [RejectsFile.rejects, lines, csv, json],
        usesDatabase: true,
        examples: [
            .init("Import a file so that it is safe to import it again.", "day.csv", "--idempotency-prefix", "day 42"),
            .init("Go on with an import that stopped.", "day.csv", "--resume", "day.csv-42"),
            .init("Keep the bad lines for correction.", "day.csv", "--rejects", "rejects.csv"),
            .init(
                "Import a spreadsheet's file with columns of other names.", "sales.csv", "--map", "SKU=item_id",
                "--map", "Sold=-quantity", "--set", "store_id=berlin", "--ignore-unknown"),
            .init("Show what each line would do.", "day.csv", "--dry-run", "--csv"),
            .init("Import NDJSON from a pipe.", "-", "--format", "ndjson", before: "zcat jobs.ndjson.gz |"),
            .init("Enqueue the lines of a file while they are written.", "-", before: "tail -f -n +1 live.csv |"),
        ],
        notes: [
            "Columns: \(JobField.list).",
            "The first two and quantity are required.",
            InputFormOptions.note,
            "The rows of a group must be adjacent; a group with a bad line is rejected whole. A line has at most 1 MiB.",
            "The last group of an input that is still written is enqueued when the next line or the end comes.",
            "\(JobField.quantity.rawValue): below 0 takes stock away, above 0 adds it. --map COLUMN=-quantity takes away what a "
                + "column has, such as what was sold. "
                + "\(JobField.action.rawValue): \(StockAction.allCases.map(\.rawValue).joined(separator: ", ")); without it adjust. "
                + "\(JobField.onInsufficient.rawValue), when too little is available: "
                + "\(InsufficientStockPolicy.allCases.map(\.rawValue).joined(separator: ", ")); without it reject.",
            "To correct what workers rejected of a file: stockq results list --import NAME --outcome rejected --for-import "
                + "writes it for another import.",
            "Bad lines are reported by number and reason and do not stop the others, unless --strict is given. Exit code 1 if "
                + "there were any.",
        ])

    static func run(_ input: ParsedCommand) throws -> ExitCode {
        let listing = try DryRunListing(
            lines: input[lines], csv: input[csv], json: input[json], isDryRun: input[dryRun], input)
        let stop = StopOnSignal()
        let file = try InputFile(input, from: from, stop: stop.signal)
        if input[resume] != nil && (input[dryRun] || input.isGiven(afterLine)) {
            throw input.usageError("--resume goes without --dry-run and --after-line")
        }
        let naming = try ImportNaming(input, file, .jobs, resumed: input[resume])
        let options = options(input, file.form)
        let (connection, schema) = try Database.open(input)
        let rejects = try RejectsFile(input, file, isListed: listing != nil, appends: input[resume] != nil)
        let start = Stopwatch()
        stop.begin()
        let last = LastProgress()
        var importer = try JobImport(
            connection: connection, schema: schema, source: file.source, options: options,
            onProgress: { progress in
                last.progress = progress
                Terminal.showProgress(summary(progress, start))
            },
            onReject: { error, raw in
                try rejects.add(error, raw: raw)
                listing?.add(error)
            },
            onAnswer: listing?.add)
        rejects.form = importer.rejectsForm
        let record = try naming.begin(connection, schema, isDryRun: options.isDryRun)
        if let record { importer.keep(record) }
        listing?.begin()
        let progress: ImportProgress
        do {
            progress = try importer.run()
        } catch {
            listing?.end()
            Terminal.endProgress()
            explainStop(&importer, last.progress, record, options, input)
            if let record {
                ImportNaming.stop(record, because: error, connection) { try Database.open(input).0 }
            }
            throw error
        }
        listing?.end()
        Terminal.clearProgress()
        InputFile.note(leftOut: importer.leftOut)
        rejects.noteRest()
        if progress.endedInMidLine { Terminal.note(InputFile.unterminatedLastLine) }
        if listing != nil {
            Terminal.note(
                "\(grouped(progress.read)) read, \(counted(progress.rejected, "bad line")); nothing was enqueued")
        } else if let dryRun = importer.dryRun {
            printDryRun(dryRun, progress, leftOut: importer.leftOut, json: input[json])
        } else {
            printSummary(progress, start, leftOut: importer.leftOut, name: record?.name, json: input[json])
        }
        return progress.rejected == 0 ? .success : .failure
    }

    private static func options(_ input: ParsedCommand, _ form: InputForm) -> JobImport.Options {
        var options = JobImport.Options()
        options.form = form
        options.isStrict = input[strict]
        options.defaultPriority = input[priority]
        options.afterLine = input[afterLine]
        options.rowsPerCommit = input[rowsPerCommit]
        options.commitInterval = input[commitInterval]
        options.groupLinesMax = input[groupLinesMax]
        options.isDryRun = input[dryRun]
        options.idempotencyPrefix = input[idempotencyPrefix]
        options.reference = input[reference]
        options.reason = input[reason]
        return options
    }

    // MARK: an import that stopped

    private final class LastProgress {
        var progress = ImportProgress()
    }

    /// Says where to resume, after an error or a signal.
    private static func explainStop(
        _ importer: inout JobImport, _ progress: ImportProgress, _ record: ImportRecord?, _ options: JobImport.Options,
        _ input: ParsedCommand
    ) {
        guard let record else { return }
        if let inDoubt = importer.inDoubt {
            resolve(inDoubt, &importer, record, input)
        } else if !options.isStrict && progress.committedThroughLine > 0 {
            explainResume(progress, record)
        }
    }

    private static func explainResume(_ progress: ImportProgress, _ record: ImportRecord) {
        let enqueued = counted(progress.enqueued, "job")
        Terminal.note(
            "import stopped: \(enqueued) enqueued (through line \(progress.committedThroughLine)); resume with --resume \(ImportNaming.word(record.name))"
        )
    }

    /// The answer to a COMMIT was lost: asks the server whether it took effect, since enqueueing the lines again would
    /// double them.
    private static func resolve(
        _ inDoubt: InDoubtCommit, _ importer: inout JobImport, _ record: ImportRecord, _ input: ParsedCommand
    ) {
        let progress = importer.resolveInDoubt(timeoutMs: 30_000) { try Database.open(input).0 }
        if let progress { return explainResume(progress, record) }
        Terminal.note(
            """
            import stopped during a commit: the \(counted(inDoubt.rows, "job")) through line \(inDoubt.line) may or may not be enqueued
            Resume with --resume \(ImportNaming.word(record.name)), which goes on behind what was committed.
            """)
    }

    /// The first SIGINT or SIGTERM ends the import at its next read, a second one ends the process.
    private final class StopOnSignal: Sendable {
        let signal = StopSignal()
        private let state = Mutex<(hasBegun: Bool, first: Stopwatch?)>((false, nil))
        /// One signal may arrive twice, sent to the process and to its process group.
        private static let sameSignalMs = 500

        init() {
            Signals.handle { [self] in
                let before = state.withLock { state in
                    defer { state.first = state.first ?? Stopwatch() }
                    return state
                }
                let isSecond = before.first.map { $0.milliseconds > Self.sameSignalMs } == true
                if !before.hasBegun || isSecond { exit(ExitCode.interrupted.rawValue) }
                signal.abort()
            }
        }

        /// From here on there is progress to report when the import stops.
        func begin() { state.withLock { $0.hasBegun = true } }
    }

    // MARK: what it prints

    private static func printDryRun(
        _ dryRun: DryRun, _ progress: ImportProgress, leftOut: [String: Int], json: Bool
    ) {
        let counts = dryRun.counts.sorted { $0.key < $1.key }
        if json {
            Terminal.print([
                "read": .integer(progress.read), "rejected": .integer(progress.rejected),
                "left_out": .integer(leftOut.values.reduce(0, +)),
                "would_be": .object(counts.map { ($0.key, .integer($0.value)) }),
            ])
            return
        }
        Terminal.print(
            "\(grouped(progress.read)) read, \(counted(progress.rejected, "bad line")); nothing was enqueued"
                + (counts.isEmpty ? "" : ". They would be:"))
        let width = counts.map(\.key.count).max() ?? 0
        for (name, count) in counts { Terminal.print("  \(name.padding(toWidth: width))  \(grouped(count))") }
    }

    private static func printSummary(
        _ progress: ImportProgress, _ start: Stopwatch, leftOut: [String: Int], name: String?, json: Bool
    ) {
        if json {
            Terminal.print([
                "import": .stringOrNull(name), "read": .integer(progress.read), "enqueued": .integer(progress.enqueued),
                "rejected": .integer(progress.rejected), "left_out": .integer(leftOut.values.reduce(0, +)),
                "duplicates": .integer(progress.duplicates),
                "committed_through_line": .integer(progress.committedThroughLine), "seconds": .number(seconds(start)),
                "peak_rss_kib": .integer(ProcessUsage.peakResidentKiB),
            ])
        } else {
            Terminal.print(summary(progress, start) + (name.map { "; import \($0.printable)" } ?? ""))
        }
    }

    private static func seconds(_ start: Stopwatch) -> Double { Double(max(1, start.milliseconds)) / 1_000 }

    private static func summary(_ progress: ImportProgress, _ start: Stopwatch) -> String {
        "jobs: \(grouped(progress.read)) read, \(grouped(progress.enqueued)) enqueued, \(counted(progress.rejected, "bad line")), "
            + (progress.duplicates > 0 ? "\(counted(progress.duplicates, "duplicate")), " : "")
            + "\(grouped(Int(Double(progress.read) / seconds(start)))) rows/s"
    }
}
